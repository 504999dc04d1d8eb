"""What a search found: a table of its trials, and the best of them as a preset file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from keras_tuner.engine.trial import Trial, TrialStatus

from asen_tf import provenance
from asen_tf.files import write_json, write_text
from asen_tf.presets import PRESETS
from asen_tf.tuning.search import Search, SearchError


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
    """Write `trials.csv`, `best.json` and `provenance.json` into the study's directory.

    `best.json` is a preset file: `asen_tf.presets.preset`, and so `-p preset`, takes its path.

    Returns:
        What was written.

    Raises:
        SearchError: no trial has been trained to its end.
    """
    table = trials_table(search)
    best = best_trial(search)
    wanted = search.settings.settings(best.hyperparameters.values).to_dict()
    base = _base(search.preset)
    own = PRESETS[base]().to_dict()
    number = int(best.trial_id) + 1
    content = {
        "preset": base,
        "overrides": {name: value for name, value in wanted.items() if value != own[name]},
        "note": f"trial {number} of {len(table)}, {search.algorithm} search: validation MAP "
        f"{best.score:.2f}",
    }
    place = search.place
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(place / "trials.csv", text)
    write_json(place / "best.json", content)
    write_json(place / "provenance.json", _origin(search))
    return [place / name for name in ("trials.csv", "best.json", "provenance.json")]


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
