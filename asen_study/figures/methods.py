"""The scores of many methods below each other.

Rows of the matrix in groups of what they vary, as figures list them below each other.

Differences between methods over the same queries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_study.matrix import LABELS
from asen_tf.data import label

# How the names of a group's rows begin; the first that fits counts, any other row is a method.
_BEGINNINGS = {
    "Triplet network, other losses": ("triplet/",),
    "What the local branch sees": ("asen_pp/true_region", "asen_pp/centre_crop"),
    "Threshold of the region (0.1 otherwise)": ("asen_pp/threshold_",),
    "Input of the local branch": ("asen_pp/local_size_",),
    "Parts left out or replaced": ("asen_pp/",),
}
_METHODS = "Methods"
_ORDER = (
    *(_METHODS, "Triplet network, other losses", "Parts left out or replaced"),
    *("What the local branch sees", "Threshold of the region (0.1 otherwise)"),
    "Input of the local branch",
)
_GAP = 0.4  # rows, above a heading


def group_of(row: str) -> str:
    """Return the heading under which a row of the matrix stands."""
    fitting = (heading for heading, starts in _BEGINNINGS.items() if row.startswith(starts))
    return next(fitting, _METHODS)


def lay_out(rows: Sequence[str]) -> tuple[list[float], dict[str, float]]:
    """Place rows below each other, group by group, each group in the order that is given.

    Args:
        rows: names of rows, distinct or not.

    Returns:
        The place of each row, downwards from 0; and the places of the headings, none where there
        is a single group.
    """
    groups = [group_of(row) for row in rows]
    places, headings, below = [0.0] * len(rows), {}, 0.0
    for heading in _ORDER:
        members = [index for index, group in enumerate(groups) if group == heading]
        if members and len(set(groups)) > 1:
            below += _GAP if headings else 0.0
            headings[heading] = below
            below += 1.0
        for index in members:
            places[index] = below
            below += 1.0
    return places, headings


def name_rows(
    axes: Axes, places: Sequence[float], names: Sequence[str], headings: dict[str, float]
) -> None:
    """Name the rows at the left of an axis that goes downwards, the headings in bold."""
    axes.set_yticks([*places, *headings.values()], [*names, *headings])
    for tick in axes.get_yticklabels()[len(names) :]:
        tick.set_fontweight("bold")
    axes.set_ylim(max([*places, *headings.values()], default=0.0) + 0.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    for tick in axes.yaxis.get_major_ticks()[len(names) :]:
        tick.gridline.set_alpha(0.0)


_MARKERS = {"global": "s", "local": "^", "fused": "o"}
_SCORES = ("overall", "macro")
_BELOW = {"loc": "outside lower center", "ncols": 5, "fontsize": "large"}
_APART = 0.26  # rows, between the embeddings of one row
_MAIN = ("asen_pp", "fused")  # what the variations are compared with


@themed
def method_scores(summary: pd.DataFrame) -> Figure:
    """Draw overall and macro MAP, a line per row of the matrix, in groups of what they vary.

    Args:
        summary: of `asen_study.tables.summarise`: `method, embedding, attribute, map, seeds, low,
            high`; percent. The embeddings of a row stand closely below each other. A random
            ranking is a dashed line, ASEN++'s fused embedding a dotted one.
    """
    random = summary[summary["method"] == "random"]
    ranked = summary[summary["method"] != "random"]
    order = list(ranked["method"].unique())
    places, headings = lay_out(order)
    tall = 0.29 * (max([*places, 0.0]) + 1.0) + 1.3
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    panels = figure.subplots(1, len(_SCORES), sharey=True)
    for axes, attribute in zip(panels, _SCORES, strict=True):
        rows = ranked[ranked["attribute"] == attribute]
        at = _places(rows, dict(zip(order, places, strict=True)))
        for embedding in rows["embedding"].unique():
            chosen = (rows["embedding"] == embedding).to_numpy()
            part = rows[chosen]
            axes.errorbar(
                part["map"],
                at[chosen],
                xerr=np.abs([part["map"] - part["low"], part["high"] - part["map"]]),
                fmt=_MARKERS.get(embedding, "D"),
                color=COLOURS.get(embedding, "black"),
                markersize=5,
                elinewidth=1.3,
                capsize=2,
                label=embedding,
            )
        main = rows[(rows["method"] == _MAIN[0]) & (rows["embedding"] == _MAIN[1])]
        for value in main["map"] if headings else ():
            colour = COLOURS["fused"]
            axes.axvline(value, color=colour, ls=":", lw=1.3, zorder=1, label="ASEN++ fused")
        for chance in random.loc[random["attribute"] == attribute, "map"]:
            axes.axvline(chance, color=COLOURS["random"], ls="--", lw=1.2, label="random")
        axes.set_title(f"MAP (test), {label(attribute)}", fontsize="x-large")
        axes.set_xlabel("percent", fontsize="large")
        axes.tick_params(labelsize="large")
        name_rows(axes, places, [LABELS.get(name, name) for name in order], headings)
    handles, words = panels[0].get_legend_handles_labels()
    kinds = ("random", "ASEN++ fused")
    known = sorted(zip(words, handles, strict=True), key=lambda pair: pair[0] in kinds)
    legend = figure.legend([handle for _, handle in known], [word for word, _ in known], **_BELOW)
    legend.set_title(f"bars: {_bars(ranked)}", {"size": "large"})
    return figure


def _places(rows: pd.DataFrame, places: dict[str, float]) -> np.ndarray:
    """Return the height of each mark: embeddings of one method closely below each other."""
    rank = rows.groupby("method").cumcount()
    count = rows.groupby("method")["embedding"].transform("size")
    return (rows["method"].map(places) + _APART * (rank - (count - 1) / 2)).to_numpy(float)


def _bars(ranked: pd.DataFrame) -> str:
    """Say what the bars are."""
    seeds = sorted(ranked["seeds"].unique())
    several = f"±1 standard deviation over {seeds[-1] if seeds else 0} seeds"
    alone = "95 % interval over queries"
    if len(seeds) > 1:
        several = "±1 standard deviation over seeds"
    if 1 not in seeds:
        return several
    return alone if len(seeds) == 1 else f"{several}; of one seed, {alone}"


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
