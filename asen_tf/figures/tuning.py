"""What a search for better settings has tried, and which settings seem to matter."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from asen_tf.figures.style import COLOURS, WIDTH, label, themed

_COLOURS = "cividis"  # told apart by all kinds of colour vision, and in grey


@themed
def parallel_coordinates(
    trials: pd.DataFrame, fields: Sequence[str], *, logarithmic: Sequence[str] = ()
) -> Figure:
    """Draw each completed trial as a line over its settings, coloured by validation MAP.

    The lowest value of a setting is at the bottom, the highest at the top; names are in
    alphabetical order. The best trial is the thick dashed line.

    Args:
        trials: of `asen_tf.tuning.trials_table`.
        fields: the settings to draw, in this order; those of one value stay in the middle.
        logarithmic: those of them with a logarithmic axis.

    Raises:
        ValueError: no trial is completed.
    """
    scored = trials[trials["status"] == "COMPLETED"].sort_values("val_map", kind="stable")
    if scored.empty:
        raise ValueError("parallel coordinates need a completed trial; got none")
    axes_of = {name: _axis(scored[name], name in logarithmic) for name in fields}
    heights = np.column_stack([heights for heights, _, _ in axes_of.values()])
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    norm = Normalize(scored["val_map"].min(), scored["val_map"].max())
    colours = matplotlib.colormaps[_COLOURS](norm(scored["val_map"].to_numpy(float)))
    best = int(np.argmax(scored["val_map"].to_numpy(float)))  # of equals, the earliest
    for place, (line, colour) in enumerate(zip(heights, colours, strict=True)):
        style = {"ls": "--", "lw": 3.2, "zorder": 3} if place == best else {"lw": 1.4}
        axes.plot(range(len(fields)), line, marker="o", ms=4, color=colour, **style)
    for place, (_, low, high) in enumerate(axes_of.values()):
        axes.axvline(place, color="black", lw=0.8, zorder=0)
        ends = {"ha": "center", "fontsize": "x-small", "linespacing": 0.9}
        axes.text(place, -0.04, low.replace("_", "\n"), va="top", **ends)
        axes.text(place, 1.04, high.replace("_", "\n"), va="bottom", **ends)
    names = [label(name) for name in fields]
    axes.set_xticks(range(len(fields)), names, rotation=35, ha="right")
    axes.set(ylim=(-0.14, 1.14), yticks=[])
    axes.grid(False)
    axes.set_title("Trials of the search; the best one is dashed")
    figure.colorbar(ScalarMappable(norm, _COLOURS), ax=axes, label="validation MAP, percent")
    return figure


@themed
def setting_importance(table: pd.DataFrame, *, trials: int) -> Figure:
    """Draw how much a forest relies on each setting, and say what the forest is worth.

    Args:
        table: of `asen_tf.tuning.importance`.
        trials: how many the forest was fitted to.
    """
    explained = float(table["explained"].iloc[0])
    figure = Figure(figsize=(0.75 * WIDTH, 0.6 + 0.32 * len(table)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))[::-1]
    error = {"ecolor": "black", "capsize": 3, "elinewidth": 1.0}
    axes.barh(
        places,
        table["importance"],
        xerr=table["deviation"],
        color=COLOURS["global"],
        height=0.6,
        error_kw=error,
    )
    axes.set_yticks(places, [label(name) for name in table["setting"]])
    worth = f"explains {explained:.0%} of trials unseen" if explained > 0 else "predicts nothing"
    axes.set_title(f"What a forest of {trials} trials relies on (it {worth})")
    axes.set_xlabel("growth of its error when the setting is shuffled, points of MAP")
    return figure


def _axis(column: pd.Series, logarithmic: bool) -> tuple[np.ndarray, str, str]:
    """Return a setting's heights between 0 and 1, and what its ends are called."""
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(float)
        low, high = _short(values.min()), _short(values.max())
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
