"""The numbers of the tables as pictures: counts, scores, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from asen_study.figures.style import COLOURS, METHODS, WIDTH, colours_of, name_of, themed
from asen_study.matrix import CONTROLS, TRIED
from asen_tf.data import Split, label
from asen_tf.evaluation.ranking import normalise, ranked
from asen_tf.evaluation.retrieval import PairEmbeddings

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
_WRITTEN = 12  # values of an attribute whose names fit side by side
_BARS = 6  # methods in a figure of bars
_GAP = 0.4  # rows, above a heading

_MARKERS = {"global": "s", "local": "^", "fused": "o"}
_SCORES = {"overall": "over all queries", "macro": "mean of the attributes"}
_BELOW = {"loc": "outside lower center", "ncols": 5, "fontsize": "large"}
_APART = 0.26  # rows, between the embeddings of one row
_MAIN = ("asen_pp", "fused")  # what the variations are compared with
_CLEAR, _OPEN = "black", "#767676"
_CAP = 0.17  # rows, half the height
_UNIT = "percentage points, with 95% interval;\nright of zero, the first one is better"


# === By attribute ===


@themed
def value_counts(report: Mapping[str, Any], *, split: str = "train") -> Figure:
    """Draw how many labels each value of each attribute has.

    Args:
        report: of `data_prep.check.check`.
        split: "train" counts labels, "valid" and "test" candidates.
    """
    counted = report["splits"][split]["values"]
    counts = counted["labels" if split == "train" else "candidates"]
    names = report["value_names"] or {}
    longest = max(map(len, counts.values()))
    shares = np.full((len(counts), longest), np.nan)
    texts = np.full(shares.shape, "", dtype=object)
    for row, (attribute, numbers) in enumerate(counts.items()):
        words = names.get(attribute) or map(str, range(len(numbers)))
        shares[row, : len(numbers)] = 100 * np.array(numbers) / max(sum(numbers), 1)
        texts[row, : len(numbers)] = [
            f"{word.replace(' ', chr(10))}\n{number}"
            for word, number in zip(words, numbers, strict=True)
        ]
    figure = Figure(figsize=(WIDTH, 0.72 * len(counts) + 0.8), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(
        shares,
        ax=axes,
        annot=texts if longest <= _WRITTEN else False,
        fmt="",
        annot_kws={"fontsize": 8},
        cmap="Blues",
        vmin=0,
        linewidths=0.5,
        yticklabels=[label(name) for name in counts],
        cbar_kws={"label": "percent of the attribute's labels"},
    )
    title = f"How many images have each value ({split} split)"
    axes.set(title=title, xlabel="value, by index")
    axes.tick_params(axis="y", rotation=0)
    return figure


@themed
def map_scores(summary: pd.DataFrame) -> Figure:
    """Draw MAP per attribute and embedding, with intervals; random as a mark.

    Bars of more than six methods would be too thin: these are drawn by `method_scores`.

    Args:
        summary: of `asen_study.tables.summarise`: `series`, `method`, `embedding`, `attribute`,
            `map`, `low`, `high`; percent.
    """
    ranked = summary[summary["method"] != "random"]
    random = summary[summary["method"] == "random"]
    if ranked["method"].nunique() > _BARS:
        return method_scores(summary)
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    _draw_bars(axes, ranked, palette=_palette(ranked), value="map")
    places = range(random["attribute"].nunique())
    axes.hlines(
        random["map"],
        [place - 0.45 for place in places],
        [place + 0.45 for place in places],
        color=COLOURS["random"],
        linestyle="--",
        label="random (exact)",
    )
    title = "How well each attribute is retrieved (test split), with 95% intervals"
    if (ranked["seeds"] > 1).any():
        title = "How well each attribute is retrieved (test split), over seeds or folds"
    axes.set(title=title, xlabel="", ylabel="MAP, percent", ylim=(0, 100))
    _finish(axes, ranked["attribute"].unique())
    return figure


@themed
def confusions(
    asked: tuple[str, str],
    *,
    embedded: PairEmbeddings,
    split: Split,
    names: Mapping[str, Sequence[str]] | None,
    first: int = 5,
) -> Figure:
    """Draw which values the first candidates of each query have, a row per value of the query.

    Args:
        asked: an attribute, and the embedding that ranks: of `asen_study.tables.weakest`, say.
        embedded: embeddings of the split's labelled pairs.
        split: queries and candidates.
        names: names of the values by attribute, where they are known.
        first: how many candidates of each query count; all if there are fewer.
    """
    attribute, embedding = asked
    index = split.attributes.names.index(attribute)
    size = split.attributes.sizes[index]
    parts = (rows[rows[:, 1] == index] for rows in (split.queries, split.candidates))
    (asked, query), (held, candidate) = (
        (rows[:, 2], normalise(embedded.arrays[embedding][embedded.rows(rows)])) for rows in parts
    )
    found = held[ranked(query @ candidate.T, top=first)]
    counts = np.zeros((size, size))
    np.add.at(counts, (asked[:, None], found), 1.0)
    shares = 100.0 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    words = list((names or {}).get(attribute, range(size)))
    wide, tall = min(0.55 * size + 3.0, 2 * WIDTH), min(0.45 * size + 1.6, 2 * WIDTH)
    figure = Figure(figsize=(wide, tall), layout="constrained")
    axes = figure.subplots()
    shown = {
        "cmap": "Blues",
        "vmin": 0,
        "vmax": 100,
        "annot": size <= 25,
        "fmt": ".0f",
        "cbar": False,
    }
    sns.heatmap(shares, ax=axes, xticklabels=words, yticklabels=words, **shown)
    axes.set(title=f"{label(attribute)}: values of the first {first} candidates, percent")
    axes.set(xlabel="candidate", ylabel="query")
    return figure


@themed
def localisation_scores(table: pd.DataFrame) -> Figure:
    """Draw how well attention and region match the true boxes, with the centre baseline.

    Args:
        table: `localisation.csv`: `method`, `seed`, `attribute`, `pointing`, `iou`,
            `centre_pointing`, `centre_iou`; percent. Seeds are averaged.
    """
    keys = ["method", "attribute"]
    means = table.drop(columns="seed").groupby(keys, sort=False, as_index=False).mean()
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, column, title, unit in zip(
        panels,
        ("pointing", "iou"),
        ("Attention peaks inside the part", "The region overlaps the part"),
        ("images, percent", "intersection over union, percent"),
        strict=True,
    ):
        bars = means.assign(series=means["method"].map(name_of), embedding="")
        _draw_bars(axes, bars, palette=_palette(bars), value=column)
        centre = means.groupby("attribute", sort=False)[f"centre_{column}"].mean()
        places = np.arange(len(centre))
        axes.hlines(
            centre,
            places - 0.45,
            places + 0.45,
            color=COLOURS["centre"],
            linestyle="--",
            label="frame's centre",
        )
        axes.set(title=title, xlabel="", ylabel=unit, ylim=(0, 100))
        _finish(axes, centre.index)
    panels[0].get_legend().remove()  # one is enough
    return figure


def _draw_bars(axes: Axes, table: pd.DataFrame, *, palette: dict[str, Any], value: str) -> None:
    """Draw grouped bars; with columns `low` and `high`, their intervals."""
    whole = {"errorbar": None, "saturation": 1.0}  # seaborn would pale the colours
    sns.barplot(table, x="attribute", y=value, hue="series", palette=palette, ax=axes, **whole)
    if "low" not in table:
        return
    for bars, series in zip(list(axes.containers), palette, strict=True):
        rows = table[table["series"] == series]
        middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        reach = np.abs(np.stack([rows[value] - rows["low"], rows["high"] - rows[value]]))
        axes.errorbar(middles, rows[value], reach, fmt="none", ecolor="black", elinewidth=1)


def _palette(table: pd.DataFrame) -> dict[str, Any]:
    """Colour each series: by its embedding where there is one method, else by its method."""
    series = table.drop_duplicates("series")
    # The last embedding of a method is the one that is retrieved with: it has the method's colour.
    rows = pd.concat([part[::-1] for _, part in series.groupby("method", sort=False)])
    colours = colours_of(rows["method"] + ":" + rows["embedding"])
    alone = series["method"].nunique() == 1 and len(series) > 1
    return {
        row.series: COLOURS[row.embedding] if alone else colours[f"{row.method}:{row.embedding}"]
        for row in series.itertuples()
    }


def _finish(axes: Axes, attributes: Sequence[str]) -> None:
    axes.set_xticks(range(len(attributes)), [label(name) for name in attributes])
    axes.tick_params(axis="x", rotation=35)
    for tick in axes.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


# === By method, grouped by what they vary ===


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
    axes.set_xlabel(_UNIT, fontsize="large")
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
