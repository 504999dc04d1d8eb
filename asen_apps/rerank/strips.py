"""Strips of a list before and after it is re-sorted: random queries, no best and no worst ones."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_apps.rerank.measures import Shortlists, measure, reorder
from asen_apps.rerank.runs import Reranking
from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_tf.data import label

_MARKS = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}

_LINE = 16  # letters of a small font above a picture


@dataclass(frozen=True)
class Strip:
    """The first candidates of a list.

    Attributes:
        images: `(n, g, g, 3)` uint8, best first.
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
class RerankingExample:
    """A query with its list before and after.

    Attributes:
        image: `(g, g, 3)` uint8, the query.
        value: the name of its value, or of its values.
        before: the initial list.
        after: the list re-sorted.
    """

    image: np.ndarray
    value: str
    before: Strip
    after: Strip


def reranking_examples(
    reranking: Reranking,
    attribute: str,
    *,
    top: int,
    weight: float,
    count: int = 2,
    shown: int = 8,
    seed: int = 0,
) -> list[RerankingExample]:
    """Return random queries of an attribute, the same ones for the same seed.

    Args:
        reranking: the lists, and the images in them.
        attribute: its name.
        top: how many are re-sorted.
        weight: of the blend.
        count: how many queries, or all where there are fewer.
        shown: candidates shown of each list.
        seed: of the choice.
    """
    lists = reranking.lists[attribute]
    queries = reranking.queries[attribute]
    orders = [reorder(lists, top=top, weight=part) for part in (0.0, weight)]
    examples = []
    for row in np.random.default_rng(seed).permutation(len(lists))[:count].tolist():
        strips = [_strip(reranking, attribute, lists, order, row, shown) for order in orders]
        image = reranking.images.views[queries.images[row : row + 1]][0]
        examples.append(
            RerankingExample(image, _value(reranking, attribute, queries.holds[row]), *strips)
        )
    return examples


@themed
def reranking_strips(examples: Sequence[RerankingExample], attribute: str) -> Figure:
    """Draw queries, each with two rows: its list before and after, framed as right or wrong.

    Args:
        examples: of one attribute.
        attribute: its name.
    """
    columns = 1 + max(len(strip.values) for each in examples for strip in _both(each))
    side = WIDTH / columns
    height = 2 * len(examples) * (side + 0.42) + 0.4
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(2 * len(examples), columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for example, rows in zip(examples, panels.reshape(len(examples), 2, columns), strict=True):
        rows[0, 0].imshow(example.image)
        rows[0, 0].set_title(f"query\n{_wrapped(example.value)}", fontsize="x-small", loc="center")
        _frame(rows[0, 0], "black", "-")
        rows[1, 0].text(0.5, 0.5, _summary(example), ha="center", va="center", fontsize="small")
        for cells, strip, name in zip(rows, _both(example), ("before", "after"), strict=True):
            _draw(cells[1:], strip, name)
    figure.suptitle(f"Re-ranked by {label(attribute)}", fontweight="bold", fontsize="medium")
    return figure


def _draw(cells: np.ndarray, strip: Strip, name: str) -> None:
    parts = zip(cells, strip.images, strip.values, strip.right, strip.places, strict=False)
    for rank, (axes, image, value, right, place) in enumerate(parts, start=1):
        verdict = "right" if right else "wrong"
        moved = f", was {place}" if place != rank else ""
        axes.imshow(image)
        title = f"{rank} {_MARKS[verdict]}{moved}\n{_wrapped(value)}"
        style = {"fontsize": "x-small", "fontweight": "normal", "loc": "center"}
        axes.set_title(title, color=COLOURS[verdict], **style)
        _frame(axes, COLOURS[verdict], "-" if right else "--")
        if rank == 1:
            axes.set_ylabel(name, fontweight="bold")


def _summary(example: RerankingExample) -> str:
    before, after = _both(example)
    return (
        f"right among {len(before.values)}\n"
        f"{sum(before.right)} before, {sum(after.right)} after\n\n"
        f"overall similarity\n{before.similarity:.2f} before\n{after.similarity:.2f} after"
    )


def _both(example: RerankingExample) -> tuple[Strip, Strip]:
    return example.before, example.after


def _strip(
    reranking: Reranking,
    attribute: str,
    lists: Shortlists,
    order: np.ndarray,
    row: int,
    shown: int,
) -> Strip:
    candidates = reranking.candidates[attribute]
    first = [place for place in order[row].tolist() if lists.listed[row, place]][:shown]
    rows = lists.places[row, first]
    measured = measure(lists, order, [shown])
    return Strip(
        images=reranking.images.views[candidates.images[rows]],
        values=tuple(_value(reranking, attribute, holds) for holds in candidates.holds[rows]),
        right=tuple(lists.relevant[row, first].tolist()),
        places=tuple(place + 1 for place in first),
        similarity=float(measured[f"similarity@{shown}"][row]),
    )


def _value(reranking: Reranking, attribute: str, holds: np.ndarray) -> str:
    names = reranking.names.get(attribute)
    values = np.flatnonzero(holds).tolist()
    words = [names[value] if names else f"value {value}" for value in values]
    return ", ".join(words[:2]) + (" and more" if len(words) > 2 else "")


def _wrapped(value: str) -> str:
    """Break a long name into lines as wide as a picture."""
    return textwrap.fill(value, _LINE)


def _frame(axes: Axes, colour: str, style: str) -> None:
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=2.5, linestyle=style)
