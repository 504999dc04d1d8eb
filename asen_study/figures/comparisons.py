"""Rows of the matrix, one below the other, grouped by what they vary: scores and differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from asen_study.figures.style import COLOURS, METHODS, WIDTH, themed
from asen_study.matrix import CONTROLS, TRIED, name_of
from asen_tf.data import label

_METHODS = "Methods"
# Groups of the matrix's rows, top to bottom, with the beginnings of their names: of several that
# match, the longest counts; a row that matches none is a method.
_GROUPS = {
    _METHODS: ("asen_pp/adapted",),
    "Controls of the local branch": CONTROLS,
    "Without a trained network": ("features",),
    "Triplet network, other losses": ("triplet/",),
    "ASEN_v2, other starts than ImageNet": ("asen_v2/",),
    "Parts left out or replaced": ("asen_pp/",),
    "What may make the local branch pay": tuple(f"asen_pp/{name}" for name in TRIED),
    "What the local branch sees": ("asen_pp/true_region", "asen_pp/centre_crop"),
    "Threshold of the region (0.1 otherwise)": ("asen_pp/threshold_",),
    "Input of the local branch": ("asen_pp/local_size_",),
}
_GAP = 0.4  # rows, above a heading
_MARKERS = {"global": "s", "local": "^", "fused": "o"}
_SCORES = {"overall": "over all queries", "macro": "mean of the attributes"}
_BELOW = {"loc": "outside lower center", "ncols": 5, "fontsize": "large"}
_APART = 0.26  # rows, between the embeddings of one row
_MAIN = ("asen_pp", "fused")  # what the variations are compared with
_CLEAR, _OPEN = "black", "#767676"
_CAP = 0.17  # rows, half the height
_UNIT = "percentage points, with 95% interval;\nright of zero, the first one is better"


@themed
def method_scores(summary: pd.DataFrame) -> Figure:
    """Draw overall and macro MAP, a line per row of the matrix, grouped by what they vary.

    Args:
        summary: of `asen_study.tables.summarise`: `method, embedding, attribute, map, seeds, low,
            high`; percent. The embeddings of a row are drawn close together. A random ranking is
            a dashed line, ASEN++'s fused embedding a dotted one.
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
        for (method, embedding), part in rows.groupby(["method", "embedding"], sort=False):
            axes.errorbar(
                part["map"],
                at[(rows["method"] == method) & (rows["embedding"] == embedding)],
                xerr=np.abs([part["map"] - part["low"], part["high"] - part["map"]]),
                fmt=_MARKERS.get(embedding, "D"),
                color=METHODS.get(method.split("/")[0], "black"),
                markersize=5,
                elinewidth=1.3,
                capsize=2,
            )
        main = rows[(rows["method"] == _MAIN[0]) & (rows["embedding"] == _MAIN[1])]
        for value in main["map"] if headings else ():
            colour = COLOURS["fused"]
            axes.axvline(value, color=colour, ls=":", lw=1.3, zorder=1, label="ASEN++ fused")
        for chance in random.loc[random["attribute"] == attribute, "map"]:
            axes.axvline(chance, color=COLOURS["random"], ls="--", lw=1.2, label="random")
        axes.set_title(_SCORES[attribute], fontsize="large", fontweight="normal")
        axes.set_xlabel("MAP on the test split, percent", fontsize="large")
        axes.tick_params(labelsize="large")
        name_rows(axes, places, [name_of(name) for name in order], headings)
    marks = {
        name: Line2D([], [], color="black", marker=_MARKERS.get(name, "D"), linestyle="none")
        for name in ranked["embedding"].unique()
    }
    handles, words = panels[0].get_legend_handles_labels()
    known = marks | dict(zip(words, handles, strict=True))
    figure.suptitle("How well each row retrieves", fontsize="x-large", fontweight="bold")
    legend = figure.legend(list(known.values()), list(known), **_BELOW)
    legend.set_title(f"bars: {_bars_meaning(ranked)}", {"size": "large"})
    return figure


def _places(rows: pd.DataFrame, places: dict[str, float]) -> np.ndarray:
    """Return the height of each mark: the embeddings of a method are close together."""
    rank = rows.groupby("method").cumcount()
    count = rows.groupby("method")["embedding"].transform("size")
    return (rows["method"].map(places) + _APART * (rank - (count - 1) / 2)).to_numpy(float)


def _bars_meaning(ranked: pd.DataFrame) -> str:
    """Return what the bars are, in words."""
    seeds = sorted(ranked["seeds"].unique())
    several = f"±1 standard deviation over {seeds[-1] if seeds else 0} seeds or folds"
    alone = "95% interval over queries"
    if len(seeds) > 1:
        several = "±1 standard deviation over seeds or folds"
    if 1 not in seeds:
        return several
    return alone if len(seeds) == 1 else f"{several}; with one, {alone}"


@themed
def forest(table: pd.DataFrame, *, attribute: str = "overall") -> Figure:
    """Draw paired differences with their intervals, a line per pair, grouped by what they vary.

    A pair of a method and its variation is always drawn as variation minus method, so that the
    sign says what the variation does.

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
        (clear, _CLEAR, _CLEAR, "significant: interval excludes zero"),
        (~clear, _OPEN, "white", "not significant: interval includes zero"),
    ):
        part = rows[chosen]
        axes.hlines(places[chosen], part["ci_low"], part["ci_high"], color=colour, linewidth=2)
        for end in ("ci_low", "ci_high"):  # a mark may cover a short line, but not its caps
            axes.vlines(part[end], places[chosen] - _CAP, places[chosen] + _CAP, color=colour)
        style = {"markerfacecolor": fill, "markersize": 5, "linestyle": "none"}
        axes.plot(
            part["difference"], places[chosen], marker="o", color=colour, label=words, **style
        )
    axes.axvline(0.0, color="black", linewidth=1.2, zorder=1)
    pairs = zip(rows["method_a"].map(name_of), rows["method_b"].map(name_of), strict=True)
    name_rows(axes, places, [f"{first} minus {second}" for first, second in pairs], headings)
    if not len(rows):
        axes.text(0.5, 0.5, "no pairs to compare", ha="center", transform=axes.transAxes)
    title = f"Paired differences with 95% intervals (MAP, test split, {label(attribute)})"
    figure.suptitle(title, fontsize="x-large", fontweight="bold")
    axes.set_xlabel(_UNIT, fontsize="large", loc="right")
    axes.tick_params(labelsize="large")
    figure.legend(loc="outside lower right", ncols=2, fontsize="large")
    return figure


def _oriented(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn a method minus its variation into the variation minus the method."""
    turned = rows.rename(columns={"method_a": "method_b", "method_b": "method_a"}).assign(
        difference=-rows["difference"], ci_low=-rows["ci_high"], ci_high=-rows["ci_low"]
    )
    pairs = zip(rows["method_a"], rows["method_b"], strict=True)
    base_first = np.array([b.startswith(f"{a}/") for a, b in pairs], bool)
    return pd.concat([rows[~base_first], turned[base_first]]).loc[rows.index]


def group_of(row: str) -> str:
    """Return the heading of the group that a row of the matrix belongs to."""
    found = [
        (len(beginning), heading)
        for heading, beginnings in _GROUPS.items()
        for beginning in beginnings
        if row.startswith(beginning)
    ]
    return max(found)[1] if found else _METHODS


def lay_out(rows: Sequence[str]) -> tuple[list[float], dict[str, float]]:
    """Place rows below each other, group by group, in the given order within each group.

    Args:
        rows: names of rows; they may repeat.

    Returns:
        The place of each row, downwards from 0, and the places of the headings; there are no
        headings if there is only one group.
    """
    groups = [group_of(row) for row in rows]
    places, headings, below = [0.0] * len(rows), {}, 0.0
    for heading in _GROUPS:
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
    """Label the rows at the left of an axis that goes downwards, the headings in bold."""
    axes.set_yticks([*places, *headings.values()], [*names, *headings])
    for tick in axes.get_yticklabels()[len(names) :]:
        tick.set_fontweight("bold")
    axes.set_ylim(max([*places, *headings.values()], default=0.0) + 0.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    for tick in axes.yaxis.get_major_ticks()[len(names) :]:
        tick.gridline.set_alpha(0.0)
