"""The distributions that similarities are compared with, drawn with the found items marked."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_tf.annotations import label
from asen_tf.evidence.pictures import Picture
from asen_tf.evidence.records import View
from asen_tf.figures.style import COLOURS, WIDTH, themed

BINS = 80
HIDDEN = 0.02  # share of the random pairs, the least similar ones, that the panels leave out
_DOTS = 200  # per inch: sharp in print


def edges(view: View) -> np.ndarray:
    """Return the edges of equal bins from a view's least to its largest similarity."""
    found = [item.similarities[view.name].value for item in view.found]
    values = np.concatenate([view.random, view.nearest, found])
    low, high = values.min(), values.max()
    return np.linspace(min(low, high - 0.01), high, BINS + 1)


@themed
def draw(views: Sequence[View]) -> Figure:
    """Draw a panel per view: random pairs, nearest neighbours, and the found items by rank."""
    figure = Figure(figsize=(WIDTH, 1.75 * len(views) + 0.7), layout="constrained")
    panels = figure.subplots(len(views), 1, squeeze=False)[:, 0]
    for axes, view in zip(panels, views, strict=True):
        bins = edges(view)
        for values, style in (
            (view.random, {"color": COLOURS["random"], "alpha": 0.45, "lw": 0}),
            (view.nearest, {"color": COLOURS["global"], "histtype": "step", "lw": 1.6}),
        ):
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, bins, weights=weights, **style)
        top = axes.get_ylim()[1] * 1.35
        marks = [found.similarities[view.name].value for found in view.found]
        axes.vlines(marks, 0, top * 0.8, color=COLOURS["wrong"], lw=1.1)
        left = min(np.quantile(view.random, HIDDEN), view.nearest.min(), *marks)
        right = bins[-1] + 0.02 * (bins[-1] - left)
        _ranks(axes, marks, top, (right - left) / 50)
        axes.set(ylim=(0, top), xlim=(left, right), ylabel="percent of each")
        axes.set_title(label(view.name), fontsize="medium")
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("similarity")
    names = [
        f"random pairs of the catalogue ({len(views[0].random):,})",
        f"its items' nearest neighbours ({len(views[0].nearest):,})",
        "items found, by rank",
    ]
    grey, blue = panels[0].patches[0], panels[0].patches[-1]
    handles = [grey, blue, panels[0].collections[0]]
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize="medium")
    return figure


def picture(views: Sequence[View]) -> Picture:
    """Return `draw` as a PNG."""
    written = io.BytesIO()
    draw(views).savefig(written, format="png", dpi=_DOTS, metadata={"Software": None})
    names = ", ".join(label(view.name) for view in views)
    alt = (
        "Histograms of the similarity of random pairs of the catalogue and of its items to their "
        f"nearest neighbours, with the items found for the design marked, for {names}; the tables "
        "of this sheet give the same in numbers"
    )
    return Picture(written.getvalue(), alt, "png")


def _ranks(axes: Axes, marks: Sequence[float], top: float, gap: float) -> None:
    """Write the ranks over their marks, side by side where these are too near to each other."""
    places = np.array(marks)
    for _ in range(200):  # neighbours push each other apart; few passes would do
        lacking = np.maximum(gap - (places[:-1] - places[1:]), 0.0) / 2
        places[:-1] += lacking
        places[1:] -= lacking
    for rank, (mark, place) in enumerate(zip(marks, places, strict=True), start=1):
        axes.annotate(
            str(rank),
            (mark, top * 0.8),
            (place, top * 0.92),
            ha="center",
            va="center",
            color=COLOURS["wrong"],
            arrowprops={"arrowstyle": "-", "color": COLOURS["wrong"], "lw": 0.6, "shrinkA": 5},
        )
