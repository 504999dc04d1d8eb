"""What a search found: its trials, the best of them as a preset file, and what that gains on test.

Also which settings mattered, as far as a few trials can say, and pictures of both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from keras_tuner.engine.trial import Trial, TrialStatus
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from asen_study import provenance
from asen_study.comparison import paired_differences
from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_study.runs import Run
from asen_study.tuning.search import BEST, Search, SearchError
from asen_study.tuning.space import LOGARITHMIC, changed
from asen_study.tuning.tuner import number
from asen_tf.data import label
from asen_tf.files import write_json, write_text
from asen_tf.presets import PRESETS

_FEWEST = 4  # completed trials that importance needs
_COLOURS = "cividis_r"  # told apart by all kinds of colour vision, and in grey; the best is light


# === Trials ===


def trials_table(search: Search) -> pd.DataFrame:
    """Return the trials that have ended, one per row.

    Returns:
        `trial` (from 1), `status` ("COMPLETED" or "FAILED"), `val_map` (percent, of the weights
        that the run keeps; empty where it failed), `epochs` of all stages, a column for each
        setting that was searched, and `config_hash`, as in the manifest of the trial's run.
    """
    settings, rows = search.settings, []
    for trial in search.ended_trials():
        config = settings.settings(trial.hyperparameters.values)
        score = None if trial.score is None else round(trial.score, 4)
        epochs = config.stage1_epochs + config.stage2_epochs
        values = [getattr(config, name) for name in settings.fields]
        rows.append([number(trial), trial.status, score, epochs, *values, config.hash])
    columns = ["trial", "status", "val_map", "epochs", *settings.fields, "config_hash"]
    return pd.DataFrame(rows, columns=columns)


def best_trial(search: Search) -> Trial:
    """Return the trial with the highest validation MAP; of equals, the earliest.

    Of Hyperband's trials only those count that were trained as long as the preset says.

    Raises:
        SearchError: no trial counts.
    """
    full = search.settings.epochs
    counted = [trial for trial in search.ended_trials() if trial.status == TrialStatus.COMPLETED]
    counted = [x for x in counted if x.hyperparameters.values.get("tuner/epochs", full) == full]
    if not counted:
        raise SearchError(f"{search.state_dir}: no trial has been trained to its end")
    return max(counted, key=lambda trial: round(trial.score, 4))


def write_trials(search: Search) -> None:
    """Write what a search found into the study's directory.

    `trials.csv`; the preset file `best.json`, whose path `asen_tf.presets.preset`, and so
    `-p preset`, takes; and `provenance.json`, with all settings of the preset that the trials
    started from. Another search of the study replaces them; to restore these, run this search
    again, which trains nothing.

    Raises:
        SearchError: no trial has been trained to its end.
    """
    table, best, settings = trials_table(search), best_trial(search), search.settings
    base = search.preset
    if base not in PRESETS:  # a file over one of them
        base = json.loads(Path(base).read_text(encoding="utf-8"))["preset"]
    found = f"trial {number(best)} of {len(table)}, {search.algorithm} search"
    content = {
        "preset": base,
        "overrides": changed(settings.settings(best.hyperparameters.values), PRESETS[base]()),
        "note": f"{found}: validation MAP {best.score:.2f}",
    }
    facts = asdict(search) | {"fields": list(settings.fields), "state": search.state_dir.name}
    del facts["places"]
    origin = {"search": facts, "settings": settings.config.to_dict(), **provenance.describe()}
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(search.place / "trials.csv", text)
    write_json(search.place / BEST, content)
    write_json(search.place / "provenance.json", origin)


# === Importance ===


def importance(trials: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """Return how much a forest that predicts validation MAP relies on each setting.

    A random forest is fitted to the trials. Then the values of one setting are shuffled among
    them: the importance is how much the forest's mean absolute error grows by that, in points of
    MAP, and its deviation is over the shuffles. Correlated settings share their importance, and the
    forest predicts the trials it was fitted to, so these are not effects: a sweep of one setting
    measures those. `explained` says how good the forest is: R2 of each trial by the trees that have
    not seen it (out of bag). At 0 or below it predicts nothing, and the order of the settings is
    chance: with ten trials it often is.

    Args:
        trials: of `trials_table`; of the completed ones those with most epochs count.
        fields: columns to compare; those with only one value cannot matter, and get 0.

    Returns:
        `setting, importance, deviation, explained`, the most important first; empty for fewer than
        four completed trials.

    References:
        Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    scored = trials[trials["status"] == "COMPLETED"]
    # Hyperband's short trials would have their length explained by their settings.
    scored = scored[scored["epochs"] == scored["epochs"].max()]
    if len(scored) < _FEWEST:
        return pd.DataFrame(columns=["setting", "importance", "deviation", "explained"])
    values, scores = scored[[*fields]].apply(_numbers).to_numpy(float), scored["val_map"]
    forest = RandomForestRegressor(n_estimators=200, oob_score=True, random_state=0)
    forest.fit(values, scores)
    measure = {"scoring": "neg_mean_absolute_error", "n_repeats": 20, "random_state": 0}
    found = permutation_importance(forest, values, scores, **measure)
    growth = {"importance": found.importances_mean, "deviation": found.importances_std}
    table = pd.DataFrame({"setting": fields, **growth, "explained": float(forest.oob_score_)})
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _numbers(column: pd.Series) -> pd.Series:
    """Return numbers as they are, and names as their rank in alphabetical order."""
    return column if pd.api.types.is_numeric_dtype(column) else column.rank(method="dense") - 1.0


# === On test ===


def compare_on_test(default: Sequence[Run], best: Sequence[Run]) -> pd.DataFrame:
    """Compare two settings over the same seeds and the same test queries.

    Args:
        default: runs of the preset, by seed.
        best: runs of the best settings, with the same seeds.

    Returns:
        `attribute, default, best, difference, ci_low, ci_high, seeds`: MAP on test in percent, of
        the embedding that is retrieved with, means over seeds; best minus default with its 95%
        interval, see `asen_study.comparison.paired_differences`. Attributes first, then `overall`,
        the mean over all queries, and `macro`, the mean of the attributes.

    Raises:
        ValueError: the two sides have different seeds or different queries.
    """
    seeds = [[run.config.seed for run in runs] for runs in (default, best)]
    if seeds[0] != seeds[1]:
        raise ValueError(f"both sides need runs of the same seeds; got {seeds[0]} and {seeds[1]}")
    left, right = (_precisions(runs) for runs in (default, best))
    table = pd.DataFrame(map(asdict, paired_differences(right, left)))
    table = table.rename(columns={"low": "ci_low", "high": "ci_high"})
    table[["difference", "ci_low", "ci_high"]] *= 100.0
    table.insert(1, "default", 100.0 * _means(left))
    table.insert(2, "best", 100.0 * _means(right))
    return table.assign(seeds=len(seeds[0]))


def verdict(comparison: pd.DataFrame, *, attribute: str = "overall") -> str:
    """Say what was gained: a gain, or a loss, only where the interval excludes zero."""
    (row,) = comparison[comparison["attribute"] == attribute].itertuples()
    interval = f"{row.difference:+.2f} points, {row.ci_low:+.2f} to {row.ci_high:+.2f}"
    words = f"The best settings of the search and the default ({interval}; {row.seeds} seeds, test)"
    if not (row.ci_low > 0.0 or row.ci_high < 0.0):  # of a single query, there is none
        return f"{words} do not differ significantly: the search has shown no gain."
    gained = "gained" if row.difference > 0 else "lost"
    return f"{words} differ significantly: the search has {gained}."


def _precisions(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Return the precisions of the embedding retrieved with: attribute -> `(seeds, queries)`."""
    found = [list(run.precisions().values())[-1] for run in runs]
    return {attribute: np.stack([each[attribute] for each in found]) for attribute in found[0]}


def _means(precisions: dict[str, np.ndarray]) -> np.ndarray:
    """Return the mean of each attribute, of all queries, and of the attributes' means."""
    each = [values.mean() for values in precisions.values()]
    return np.array([*each, np.concatenate([*precisions.values()], axis=1).mean(), np.mean(each)])


# === Pictures ===


@themed
def parallel_coordinates(trials: pd.DataFrame, fields: Sequence[str]) -> Figure:
    """Draw each completed trial as a line over its settings to its validation MAP, the last axis.

    The lowest value of an axis is at the bottom, the highest at the top; names are in alphabetical
    order. Colours tell trials apart by their rank, so that one far above the others does not take
    the scale for itself. Trials of fewer epochs than the longest, as Hyperband has them, are
    dotted: their MAP is that of a shorter training. The best of the others is thick and dashed.

    Args:
        trials: of `trials_table`.
        fields: the settings to draw, in this order; those of one value stay in the middle.

    Raises:
        ValueError: no trial is completed.
    """
    scored = trials[trials["status"] == "COMPLETED"].sort_values("val_map", kind="stable")
    if scored.empty:
        raise ValueError("parallel coordinates need a completed trial; got none")
    full = scored["epochs"] == scored["epochs"].max()
    best = scored["val_map"][full].sort_index().idxmax()  # of equals, the earliest
    drawn = scored[[*fields, "val_map"]]
    heights = drawn.apply(_numbers).astype(float)
    heights = heights.apply(lambda column: np.log(column) if column.name in LOGARITHMIC else column)
    heights -= heights.min()
    heights = (heights / heights.max()).fillna(0.5)
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    ranks = scored["val_map"].rank(ascending=False, method="min")
    norm = Normalize(1, max(len(scored), 2))
    for trial, line in heights.iterrows():
        style = {"lw": 1.4, "ls": "-" if full[trial] else ":"}
        style = {"lw": 3.2, "ls": "--", "zorder": 3} if trial == best else style
        colour = matplotlib.colormaps[_COLOURS](norm(ranks[trial]))
        axes.plot(range(len(line)), line, marker="o", ms=4, color=colour, **style)
    ends = {"ha": "center", "fontsize": 8, "linespacing": 0.9}
    for place, name in enumerate(drawn):
        low, high = drawn[name].min(), drawn[name].max()
        axes.vlines(place, 0, 1, color="black", lw=0.8, zorder=0)  # not through its ends' values
        axes.text(place, -0.04, _short(low), va="top", **ends)
        axes.text(place, 1.04, "" if low == high else _short(high), va="bottom", **ends)
    names = [*map(label, fields), "validation MAP, percent"]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set(ylim=(-0.14, 1.14), yticks=[])
    axes.grid(False)
    dotted = "" if full.all() else ", shorter ones are dotted"
    axes.set_title(f"Trials of the search; the best one is dashed{dotted}")
    bar = figure.colorbar(ScalarMappable(norm, _COLOURS), ax=axes, label="rank by validation MAP")
    bar.set_ticks(np.unique([1, (len(scored) + 1) // 2, len(scored)]))
    bar.ax.invert_yaxis()  # the first at the top
    return figure


@themed
def setting_importance(table: pd.DataFrame, *, trials: int) -> Figure:
    """Draw how much a forest relies on each setting, and say what the forest is worth.

    Args:
        table: of `asen_study.tuning.importance`.
        trials: how many the forest was fitted to.
    """
    explained = float(table["explained"].iloc[0])
    figure = Figure(figsize=(0.75 * WIDTH, 0.6 + 0.32 * len(table)), layout="constrained")
    axes = figure.subplots()
    style = {"xerr": table["deviation"], "color": COLOURS["global"], "height": 0.6, "capsize": 3}
    axes.barh(table["setting"].map(label), table["importance"], **style)
    axes.invert_yaxis()  # the first at the top
    worth = f"explains {explained:.0%} of trials unseen" if explained > 0 else "predicts nothing"
    axes.set_title(f"What a forest of {trials} trials relies on (it {worth})")
    axes.set_xlabel("growth of its error when the setting is shuffled, points of MAP")
    return figure


def _short(value: str | float) -> str:
    """Return the end of an axis in few letters: axes stand close together."""
    if isinstance(value, str):
        return value.replace("_", "\n")
    digits = ".2g" if value < 10 else ".0f" if value == round(value) else ".1f"
    return f"{value:{digits}}"
