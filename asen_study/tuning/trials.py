"""What a search found: a table of its trials, and the best of them as a preset file.

Which settings mattered, as far as a few trials can say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from keras_tuner.engine.trial import Trial, TrialStatus
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from asen_study import provenance
from asen_study.tuning.failures import SearchError
from asen_study.tuning.search import BEST, DEFAULT, Search
from asen_tf.config import ExperimentConfig
from asen_tf.files import write_json, write_text
from asen_tf.presets import PRESETS

_TABLE, _ORIGIN = "trials.csv", "provenance.json"


def trials_table(search: Search) -> pd.DataFrame:
    """Return the trials that have ended, one per row.

    Returns:
        `trial` (from 1), `status` ("COMPLETED" or "FAILED"), `val_map` (percent, of the weights
        that the run keeps; empty where it failed), `epochs` of all stages, a column for each
        setting that was searched, and `config_hash`, as in the manifest of the trial's run.
    """
    rows = []
    for trial in search.ended_trials():
        config = search.settings.settings(trial.hyperparameters.values)
        rows.append(
            {
                "trial": int(trial.trial_id) + 1,
                "status": trial.status,
                "val_map": None if trial.score is None else round(trial.score, 4),
                "epochs": config.stage1_epochs + config.stage2_epochs,
                **{name: getattr(config, name) for name in search.settings.fields},
                "config_hash": config.hash,
            }
        )
    columns = ("trial", "status", "val_map", "epochs", *search.settings.fields, "config_hash")
    return pd.DataFrame(rows, columns=columns)


def best_trial(search: Search) -> Trial:
    """Return the trial with the highest validation MAP; of equals, the earliest.

    Of Hyperband's trials only those count that were trained as long as the preset says.

    Raises:
        SearchError: no trial counts.
    """
    full = search.settings.epochs
    counted = [
        trial
        for trial in search.ended_trials()
        if trial.status == TrialStatus.COMPLETED
        and trial.hyperparameters.values.get("tuner/epochs", full) == full
    ]
    if not counted:
        raise SearchError(f"{search.state_dir}: no trial has been trained to its end")
    return max(counted, key=lambda trial: round(trial.score, 4))


def write_trials(search: Search) -> list[Path]:
    """Write what a search found into the study's directory, and into that of its state.

    `trials.csv`; the preset files `best.json` and `default.json`, the preset that the trials
    started from, as it was then; and `provenance.json`. `asen_tf.presets.preset`, and so
    `-p preset`, takes the path of a preset file. The study's directory shows the search that was
    written last; the others of the study keep theirs beside their states.

    Returns:
        What was written into the study's directory.

    Raises:
        SearchError: no trial has been trained to its end.
    """
    table = trials_table(search)
    best = best_trial(search)
    found = f"trial {int(best.trial_id) + 1} of {len(table)}, {search.algorithm} search"
    settings = search.settings.settings(best.hyperparameters.values)
    start = f"what the trials of {search.state_dir.name} started from: {search.preset}"
    contents = {
        BEST: _preset_file(search, settings, f"{found}: validation MAP {best.score:.2f}"),
        DEFAULT: _preset_file(search, search.config, start),
        _ORIGIN: _origin(search),
    }
    _tell_of_another(search)
    for place in (search.state_dir, search.place):
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_text(place / _TABLE, text)
        for name, content in contents.items():
            write_json(place / name, content)
    return [search.place / name for name in (_TABLE, *contents)]


def _preset_file(search: Search, config: ExperimentConfig, note: str) -> dict[str, Any]:
    base = _base(search.preset)
    own = PRESETS[base]().to_dict()
    changes = {name: value for name, value in config.to_dict().items() if value != own[name]}
    return {"preset": base, "overrides": changes, "note": note}


def _tell_of_another(search: Search) -> None:
    """Say so if the study's directory shows another search until now."""
    try:
        shown = json.loads((search.place / _ORIGIN).read_text(encoding="utf-8"))["search"]["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # none, or none that can be read
    if shown != search.state_dir.name:
        kept = search.state_dir.parent / str(shown)
        where = f"; they are still in {kept}" if (kept / _TABLE).exists() else ""
        print(f"{search.place}: the tables of {shown}, another search, are replaced{where}")


def _base(name: str) -> str:
    """Return the preset that a name, or a preset file, starts from."""
    if name in PRESETS:
        return name
    return json.loads(Path(name).read_text(encoding="utf-8"))["preset"]


def _origin(search: Search) -> dict[str, Any]:
    return {
        "search": {
            "preset": search.preset,
            "algorithm": search.algorithm,
            "trials": search.trials,
            "fields": list(search.settings.fields),
            "seed": search.seed,
            "state": search.state_dir.name,
        },
        "settings": search.config.to_dict(),
        **provenance.describe(),
    }


FEWEST = 4  # completed trials


def importance(
    trials: pd.DataFrame, fields: Sequence[str], *, repeats: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Return how much a forest that predicts validation MAP relies on each setting.

    A random forest is fitted to the trials. Then the values of one setting are shuffled among
    them: the importance is how much the forest's mean absolute error grows by that, in points of
    MAP, and its deviation is over the shuffles. Settings that go together share it, and the forest
    is asked about trials it was fitted to, so these are no effects: a sweep of one setting measures
    those. `explained` says what the forest is worth: R2 of each trial by the trees that have not
    seen it (out of bag). At 0 or below it predicts nothing, and the order of the settings is
    chance: with ten trials it often is.

    Args:
        trials: of `trials_table`; failed ones do not count.
        fields: columns to compare; those of one value cannot matter, and get 0.
        repeats: shuffles of each.
        seed: of forest and shuffles.

    Returns:
        `setting, importance, deviation, explained`, the most important first.

    Raises:
        ValueError: fewer than four trials to fit.

    References:
        Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    scored = trials[trials["status"] == "COMPLETED"]
    if len(scored) < FEWEST:
        raise ValueError(f"importance needs {FEWEST} or more completed trials; got {len(scored)}")
    values = pd.DataFrame({name: _numbers(scored[name]) for name in fields})
    scores = scored["val_map"].to_numpy(float)
    forest = RandomForestRegressor(n_estimators=200, oob_score=True, random_state=seed)
    forest.fit(values.to_numpy(), scores)
    found = permutation_importance(
        forest,
        values.to_numpy(),
        scores,
        scoring="neg_mean_absolute_error",
        n_repeats=repeats,
        random_state=seed,
    )
    table = pd.DataFrame(
        {
            "setting": list(fields),
            "importance": found.importances_mean,
            "deviation": found.importances_std,
            "explained": float(forest.oob_score_),
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _numbers(column: pd.Series) -> np.ndarray:
    """Return numbers as they are, and names by their place in the alphabet."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(float)
    return np.unique(column.astype(str), return_inverse=True)[1].astype(float)
