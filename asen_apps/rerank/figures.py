"""Figures of re-ranking: gain against cost, and strips of lists before and after."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_apps.rerank.measures import measure, reorder
from asen_apps.rerank.runs import Reranking
from asen_apps.rerank.tables import chosen
from asen_study.figures.style import COLOURS, METHODS, WIDTH, colours_of, themed
from asen_tf.data import label

# The initial list is of a network that takes no attribute, as the triplet network; ASEN++ re-sorts.
_BEFORE, _AFTER = METHODS["triplet"], METHODS["asen_pp"]
_CLEAR, _OPEN = "black", "#767676"  # as in the figures of differences
_STYLES = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"))
_BELOW = {"loc": "outside lower center"}
_MARKS = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}
_LINE = 16  # letters of a small font above a picture


# === Gain and cost ===


@themed
def precision(table: pd.DataFrame, *, top: int, weight: float) -> Figure:
    """Draw precision@k before and after, between random and best order; a panel per k.

    Args:
        table: of `asen_apps.rerank.result_table`.
        top: how many were re-sorted.
        weight: of the blend.
    """
    ks = list(table["k"].unique())
    names = list(table["attribute"].unique())
    figure = Figure(figsize=(WIDTH, 0.34 * len(names) + 1.3), layout="constrained")
    panels = figure.subplots(1, len(ks), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))
    for axes, k in zip(panels, ks, strict=True):
        rows = chosen(table, top=top, weight=weight, k=k)
        before, after = rows["precision_before"], rows["precision_after"]
        axes.hlines(places, before, after, color="#B0B0B0", linewidth=2.5, zorder=1)
        random, oracle = rows["precision_random"], rows["precision_oracle"]
        ring = {"markerfacecolor": "none", "markersize": 8, "markeredgewidth": 1.6}
        bar = {"linestyle": "none", "markeredgewidth": 1.6}
        grey = {"color": METHODS["random"], "markersize": 9}
        axes.plot(random, places, "|", label="random order (exact)", **grey, **bar)
        axes.plot(oracle, places, "x", color="black", markersize=5, label="best order", **bar)
        axes.plot(after, places, "o", color=_AFTER, markersize=6, label="after")
        axes.plot(before, places, "o", color=_BEFORE, label="before", **ring)
        axes.set(title=f"precision@{k}", xlabel="percent", xlim=(-5, 105))
        _rows(axes, names)
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles[::-1], words[::-1], **_BELOW, ncols=4)
    return figure


@themed
def changes(table: pd.DataFrame, *, top: int, weight: float, k: int) -> Figure:
    """Draw gain in precision@k and loss of overall similarity with their intervals.

    Args:
        table: of `asen_apps.rerank.result_table`.
        top: how many were re-sorted.
        weight: of the blend.
        k: of precision@k.
    """
    rows = chosen(table, top=top, weight=weight, k=k)
    figure = Figure(figsize=(WIDTH, 0.3 * len(rows) + 1.4), layout="constrained")
    gain, loss = figure.subplots(1, 2, sharey=True)
    _intervals(gain, rows, "gain")
    _intervals(loss, rows, "loss")
    random = rows["similarity_before"] - rows["similarity_random"]
    style = {"markersize": 9, "markeredgewidth": 1.6, "linestyle": "none"}
    places = np.arange(len(rows))
    grey = METHODS["random"]
    loss.plot(random, places, "|", color=grey, label="loss by a random order", **style)
    gain.set(title=f"Gain in precision@{k}", xlabel="percentage points, with 95 % interval")
    title = f"Loss of overall similarity, first {k}"
    loss.set(title=title, xlabel="mean cosine, with 95 % interval")
    for axes in (gain, loss):
        axes.axvline(0.0, color="black", linewidth=1.2, zorder=1)
        _rows(axes, list(rows["attribute"]))
    handles, words = loss.get_legend_handles_labels()
    figure.legend(handles, words, **_BELOW, ncols=3)
    return figure


@themed
def blend(table: pd.DataFrame, *, top: int) -> Figure:
    """Draw what the weight of the blend does to both: overall, a line per k.

    Args:
        table: of `asen_apps.rerank.result_table`, at several weights.
        top: how many were re-sorted.
    """
    rows = table[table["top"] == top]
    return _sweep(rows, "weight", "weight t of the attribute; 0 is the initial list")


@themed
def depth(table: pd.DataFrame, *, weight: float) -> Figure:
    """Draw what the number of re-sorted candidates does to both: overall, a line per k.

    Args:
        table: of `asen_apps.rerank.result_table`, at several `top`.
        weight: of the blend.
    """
    rows = table[table["weight"] == weight]
    figure = _sweep(rows, "top", "K, how many are re-sorted")
    sizes = sorted(rows["top"].unique())
    for axes in figure.axes:
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    return figure


def _sweep(table: pd.DataFrame, setting: str, words: str) -> Figure:
    """Draw gain and loss over all queries against a setting, with intervals as bands."""
    rows = table[table["attribute"] == "overall"].sort_values(setting, kind="stable")
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)
    gain, loss = figure.subplots(1, 2)
    colours = colours_of(f"asen_pp/{k}" for k in rows["k"].unique())  # shades of one method's
    for place, (k, colour) in enumerate(zip(rows["k"].unique(), colours.values(), strict=True)):
        part = rows[rows["k"] == k]
        marker, line = _STYLES[place % len(_STYLES)]
        for axes, name in ((gain, "gain"), (loss, "loss")):
            style = {"marker": marker, "ls": line, "ms": 4, "lw": 1.6, "color": colour}
            axes.plot(part[setting], part[name], label=f"k = {k}", **style)
            ends = part[f"{name}_low"], part[f"{name}_high"]
            axes.fill_between(part[setting], *ends, color=colour, alpha=0.12, linewidth=0)
    gain.set(title="Gain in precision@k, all queries", xlabel=words, ylabel="percentage points")
    loss.set(title="Loss of overall similarity, all queries", xlabel=words, ylabel="mean cosine")
    for axes in (gain, loss):
        axes.axhline(0.0, color="black", linewidth=1.2, zorder=1)
    handles, names = gain.get_legend_handles_labels()
    figure.legend(handles, names, **_BELOW, ncols=len(names))
    return figure


def _intervals(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """Draw means with intervals; filled dots if the interval excludes zero."""
    places = np.arange(len(rows))
    low, high = rows[f"{name}_low"], rows[f"{name}_high"]
    clear = ((low > 0) | (high < 0)).to_numpy(bool)
    for part, colour, fill, words in (
        (clear, _CLEAR, _CLEAR, "interval excludes zero"),
        (~clear, _OPEN, "white", "interval includes zero"),
    ):
        axes.hlines(places[part], low[part], high[part], color=colour, linewidth=2)
        style = {"markerfacecolor": fill, "markersize": 6, "linestyle": "none", "label": words}
        axes.plot(rows[name][part], places[part], marker="o", color=colour, **style)


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(np.arange(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first attribute on top
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.7)
    axes.tick_params(axis="y", length=0)


# === Strips ===


@dataclass(frozen=True)
class Strip:
    """The first candidates of a list.

    Attributes:
        images: `(n, S, S, 3)` uint8, source images, best first.
        values: n names of the images' values.
        right: n, whether an image shares a value with the query.
        places: n places in the initial list, from 1.
        similarity: mean general cosine of the n.
    """

    images: np.ndarray
    values: tuple[str, ...]
    right: tuple[bool, ...]
    places: tuple[int, ...]
    similarity: float


@dataclass(frozen=True)
class Example:
    """A query with its list before and after.

    Attributes:
        image: `(S, S, 3)` uint8, the query.
        value: the name of its value, or of its values.
        before: the initial list.
        after: the re-sorted list.
    """

    image: np.ndarray
    value: str
    before: Strip
    after: Strip

    @property
    def both(self) -> tuple[Strip, Strip]:
        """The list before and after."""
        return self.before, self.after


def examples(
    reranking: Reranking,
    attribute: str,
    *,
    top: int,
    weight: float,
    count: int = 2,
    shown: int = 8,
    seed: int = 0,
) -> list[Example]:
    """Return random queries of an attribute, the same ones for the same seed.

    Args:
        reranking: the lists, and the images in them.
        attribute: its name.
        top: how many are re-sorted.
        weight: of the blend.
        count: how many queries, or all if there are fewer.
        shown: candidates shown of each list.
        seed: of the choice.
    """
    lists, queries = reranking.lists[attribute], reranking.queries[attribute]
    orders = [reorder(lists, top=top, weight=part) for part in (0.0, weight)]
    drawn = []
    for row in np.random.default_rng(seed).permutation(len(lists))[:count].tolist():
        image = reranking.images.sources[queries.images[row : row + 1]][0]
        value = _value(reranking, attribute, queries.holds[row])
        both = [_strip(reranking, attribute, order, row, shown) for order in orders]
        drawn.append(Example(image, value, *both))
    return drawn


@themed
def strips(examples: Sequence[Example], attribute: str) -> Figure:
    """Draw queries, each with two rows: its list before and after, framed as right or wrong.

    Args:
        examples: of one attribute.
        attribute: its name.
    """
    columns = 1 + max(len(strip.values) for each in examples for strip in each.both)
    side = WIDTH / columns
    height = 2 * len(examples) * (side + 0.42) + 0.4
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(2 * len(examples), columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for example, rows in zip(examples, panels.reshape(len(examples), 2, columns), strict=True):
        rows[0, 0].imshow(example.image)
        query = f"query\n{textwrap.fill(example.value, _LINE)}"
        rows[0, 0].set_title(query, fontsize="x-small", loc="center")
        _frame(rows[0, 0], "black", "-")
        rows[1, 0].text(0.5, 0.5, _summary(example), ha="center", va="center", fontsize="small")
        for cells, strip, name in zip(rows, example.both, ("before", "after"), strict=True):
            _draw(cells[1:], strip, name)
    figure.suptitle(f"Re-ranked by {label(attribute)}", fontweight="bold", fontsize="medium")
    return figure


def _draw(cells: np.ndarray, strip: Strip, name: str) -> None:
    parts = zip(cells, strip.images, strip.values, strip.right, strip.places, strict=False)
    for rank, (axes, image, value, right, place) in enumerate(parts, start=1):
        verdict = "right" if right else "wrong"
        moved = f", was {place}" if place != rank else ""
        axes.imshow(image)
        title = f"{rank} {_MARKS[verdict]}{moved}\n{textwrap.fill(value, _LINE)}"
        style = {"fontsize": "x-small", "fontweight": "normal", "loc": "center"}
        axes.set_title(title, color=COLOURS[verdict], **style)
        _frame(axes, COLOURS[verdict], "-" if right else "--")
        if rank == 1:
            axes.set_ylabel(name, fontweight="bold")


def _summary(example: Example) -> str:
    before, after = example.both
    return (
        f"right among {len(before.values)}\n"
        f"{sum(before.right)} before, {sum(after.right)} after\n\n"
        f"overall similarity\n{before.similarity:.2f} before\n{after.similarity:.2f} after"
    )


def _strip(reranking: Reranking, attribute: str, order: np.ndarray, row: int, shown: int) -> Strip:
    lists, candidates = reranking.lists[attribute], reranking.candidates[attribute]
    first = [place for place in order[row].tolist() if lists.listed[row, place]][:shown]
    rows = lists.places[row, first]
    return Strip(
        images=reranking.images.sources[candidates.images[rows]],
        values=tuple(_value(reranking, attribute, holds) for holds in candidates.holds[rows]),
        right=tuple(lists.relevant[row, first].tolist()),
        places=tuple(place + 1 for place in first),
        similarity=float(measure(lists, order, [shown])[f"similarity@{shown}"][row]),
    )


def _value(reranking: Reranking, attribute: str, holds: np.ndarray) -> str:
    names = reranking.names.get(attribute)
    values = np.flatnonzero(holds).tolist()
    words = [names[value] if names else f"value {value}" for value in values]
    return ", ".join(words[:2]) + (" and more" if len(words) > 2 else "")


def _frame(axes: Axes, colour: str, style: str) -> None:
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=2.5, linestyle=style)
