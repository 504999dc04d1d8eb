"""What a search for better settings has tried, and which settings seem to matter."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_tf.data import label

_COLOURS = "cividis_r"  # told apart by all kinds of colour vision, and in grey; the best is light


@themed
def parallel_coordinates(
    trials: pd.DataFrame,
    fields: Sequence[str],
    *,
    logarithmic: Sequence[str] = (),
    best: int | None = None,
) -> Figure:
    """Draw each completed trial as a line over its settings to its validation MAP, the last axis.

    The lowest value of an axis is at the bottom, the highest at the top; names are in alphabetical
    order. Colours tell trials apart by their rank, so that one far above the others does not take
    the scale for itself. Trials of fewer epochs than the longest, as Hyperband has them, are
    dotted: their MAP is that of a shorter training.

    Args:
        trials: of `asen_study.tuning.trials_table`.
        fields: the settings to draw, in this order; those of one value stay in the middle.
        logarithmic: those of them with a logarithmic axis.
        best: number of the trial that is drawn thick and dashed; none, unless given.

    Raises:
        ValueError: no trial is completed.
    """
    scored = trials[trials["status"] == "COMPLETED"].sort_values("val_map", kind="stable")
    if scored.empty:
        raise ValueError("parallel coordinates need a completed trial; got none")
    axes_of = {name: _axis(scored[name], name in logarithmic) for name in fields}
    axes_of["validation MAP, percent"] = _axis(scored["val_map"], False, "{:.1f}")
    heights = np.column_stack([heights for heights, _, _ in axes_of.values()])
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    ranks = scored["val_map"].rank(ascending=False, method="min").to_numpy(float)
    norm = Normalize(1, max(len(scored), 2))
    colours = matplotlib.colormaps[_COLOURS](norm(ranks))
    short = (scored["epochs"] < scored["epochs"].max()).to_numpy()
    chosen = (scored["trial"] == best).to_numpy()
    for at, line in enumerate(heights):
        style = {"lw": 1.4, "ls": ":" if short[at] else "-"}
        if chosen[at]:
            style = {"lw": 3.2, "ls": "--", "zorder": 3}
        axes.plot(range(len(axes_of)), line, marker="o", ms=4, color=colours[at], **style)
    for place, (_, low, high) in enumerate(axes_of.values()):
        axes.axvline(place, color="black", lw=0.8, zorder=0)
        ends = {"ha": "center", "fontsize": "x-small", "linespacing": 0.9}
        axes.text(place, -0.04, low.replace("_", "\n"), va="top", **ends)
        axes.text(place, 1.04, high.replace("_", "\n"), va="bottom", **ends)
    names = [label(name) for name in axes_of]
    axes.set_xticks(range(len(axes_of)), names, rotation=35, ha="right")
    axes.set(ylim=(-0.14, 1.14), yticks=[])
    axes.grid(False)
    dashed = "; the best one is dashed" if chosen.any() else ""
    dotted = ", shorter ones are dotted" if short.any() else ""
    axes.set_title(f"Trials of the search{dashed}{dotted}")
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
    places = np.arange(len(table))[::-1]
    style = {"color": COLOURS["global"], "height": 0.6, "capsize": 3}
    axes.barh(places, table["importance"], xerr=table["deviation"], **style)
    axes.set_yticks(places, [label(name) for name in table["setting"]])
    worth = f"explains {explained:.0%} of trials unseen" if explained > 0 else "predicts nothing"
    axes.set_title(f"What a forest of {trials} trials relies on (it {worth})")
    axes.set_xlabel("growth of its error when the setting is shuffled, points of MAP")
    return figure


def _axis(
    column: pd.Series, logarithmic: bool, ends: str | None = None
) -> tuple[np.ndarray, str, str]:
    """Return a column's heights between 0 and 1, and what its ends are called."""
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(float)
        low, high = (ends.format(x) if ends else _short(x) for x in (values.min(), values.max()))
        values = np.log(values) if logarithmic else values
    else:
        names, values = np.unique(column.astype(str), return_inverse=True)
        low, high = names[0], names[-1]
    span = np.ptp(values)
    if span == 0:
        return np.full(len(values), 0.5), low, ""
    return (values - values.min()) / span, low, high


def _short(value: float) -> str:
    """Return a number with two digits, or a whole one as it is: axes stand close together."""
    return f"{value:.0f}" if value == round(value) else f"{value:.2g}"
