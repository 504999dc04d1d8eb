"""Differences between methods over the same queries."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from asen_tf.annotations import label
from asen_tf.figures.groups import lay_out, name_rows
from asen_tf.figures.style import COLOURS, WIDTH, themed
from asen_tf.matrix import LABELS

_CLEAR, _OPEN = COLOURS["global"], "#767676"
_CAP = 0.17  # rows, half the height
_UNIT = "percentage points, with 95 % interval;\nright of zero the first-named is better"


@themed
def forest(table: pd.DataFrame, *, attribute: str = "overall") -> Figure:
    """Draw paired differences with their intervals, a line per pair, in groups of what they vary.

    A pair of a method and its variation is drawn as variation minus method, whichever comes first
    in the table: the sign says what the variation does.

    Args:
        table: `method_a, method_b, attribute, difference, ci_low, ci_high`; percentage points.
        attribute: whose rows to draw.
    """
    rows = _oriented(table[table["attribute"] == attribute])
    heights, headings = lay_out([name.split(":")[0] for name in rows["method_a"]])
    places = np.array(heights)
    tall = 0.27 * (max([*heights, 0.0]) + 1.0) + 1.5
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    axes = figure.subplots()
    clear = ((rows["ci_low"] > 0) | (rows["ci_high"] < 0)).to_numpy(bool)
    for chosen, colour, fill, words in (
        (clear, _CLEAR, _CLEAR, "interval leaves out zero"),
        (~clear, _OPEN, "white", "interval holds zero"),
    ):
        part = rows[chosen]
        axes.hlines(places[chosen], part["ci_low"], part["ci_high"], color=colour, linewidth=2)
        for end in ("ci_low", "ci_high"):  # a mark may hide a short line, but not its caps
            axes.vlines(part[end], places[chosen] - _CAP, places[chosen] + _CAP, color=colour)
        style = {"markerfacecolor": fill, "markersize": 5, "linestyle": "none"}
        axes.plot(
            part["difference"], places[chosen], marker="o", color=colour, label=words, **style
        )
    axes.axvline(0.0, color="black", linewidth=1.2, zorder=1)
    pairs = zip(rows["method_a"].map(_words), rows["method_b"].map(_words), strict=True)
    name_rows(axes, places, [f"{first} minus {second}" for first, second in pairs], headings)
    if not len(rows):
        axes.text(0.5, 0.5, "no pairs to compare", ha="center", transform=axes.transAxes)
    axes.set_title(f"Differences of MAP (test), {label(attribute)}", fontsize="x-large")
    axes.set_xlabel(_UNIT, fontsize="large")
    axes.tick_params(labelsize="large")
    figure.legend(loc="outside lower right", ncols=2, fontsize="large")
    return figure


def _oriented(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn the pairs that are a method minus its variation round."""
    turned = rows.rename(columns={"method_a": "method_b", "method_b": "method_a"}).assign(
        difference=-rows["difference"], ci_low=-rows["ci_high"], ci_high=-rows["ci_low"]
    )
    pairs = zip(rows["method_a"], rows["method_b"], strict=True)
    base_first = np.array([b.startswith(f"{a}/") for a, b in pairs], bool)
    return pd.concat([rows[~base_first], turned[base_first]]).loc[rows.index]


def _words(name: str) -> str:
    """Return `row:embedding` as words."""
    row, _, embedding = name.partition(":")
    return f"{LABELS.get(row, row)} {embedding}".strip()
