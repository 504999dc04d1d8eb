"""Differences between methods over the same queries."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from asen_tf.figures.style import COLOURS, WIDTH, label, themed
from asen_tf.matrix import LABELS

_CLEAR, _OPEN = COLOURS["global"], "#767676"


@themed
def forest(table: pd.DataFrame, *, attribute: str = "overall") -> Figure:
    """Draw paired differences with their intervals, a line per pair, in the table's order.

    Args:
        table: `method_a, method_b, attribute, difference, ci_low, ci_high`; percentage points.
        attribute: whose rows to draw.
    """
    rows = table[table["attribute"] == attribute]
    figure = Figure(figsize=(WIDTH, 0.27 * len(rows) + 1.3), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    clear = ((rows["ci_low"] > 0) | (rows["ci_high"] < 0)).to_numpy(bool)
    for chosen, colour, fill, words in (
        (clear, _CLEAR, _CLEAR, "interval leaves out zero"),
        (~clear, _OPEN, "white", "interval holds zero"),
    ):
        part = rows[chosen]
        axes.hlines(places[chosen], part["ci_low"], part["ci_high"], color=colour, linewidth=2)
        style = {"markerfacecolor": fill, "markersize": 6, "linestyle": "none"}
        axes.plot(
            part["difference"], places[chosen], marker="o", color=colour, label=words, **style
        )
    axes.axvline(0.0, color="black", linewidth=1.2, zorder=1)
    names = zip(rows["method_a"].map(_words), rows["method_b"].map(_words), strict=True)
    axes.set_yticks(places, [f"{first} minus {second}" for first, second in names])
    if not len(rows):
        axes.text(0.5, 0.5, "no pairs to compare", ha="center", transform=axes.transAxes)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first pair on top
    unit = "percentage points, with 95 % interval; right of zero the first one is better"
    axes.set(title=f"Differences of MAP (test), {label(attribute)}", xlabel=unit)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower right", ncols=2)
    return figure


def _words(name: str) -> str:
    """Return `row:embedding` as words."""
    row, _, embedding = name.partition(":")
    return f"{LABELS.get(row, row)} {embedding}".strip()
