"""Embedding spaces in two dimensions, by t-SNE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from asen_study.figures.style import WIDTH, themed
from asen_tf.data import Split, label
from asen_tf.evaluation import normalise
from asen_tf.evaluation.retrieval import PairEmbeddings

_MOST = 1500  # points in one plot; more would only hide each other
_FEWEST = 5  # images; fewer have no meaningful neighbourhoods
_NAMED = 10  # values in a legend; more than that are coloured along a scale
_COLUMNS = 3

# Colours for readers with any kind of colour vision; markers tell the same groups apart.
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
_PALETTE += ("#56B4E9", "#000000", "#999999", "#8C510A", "#332288")
_MARKERS = "osD^vXPp<>"


@themed
def attribute_spaces(
    embedded: PairEmbeddings,
    split: Split,
    names: Mapping[str, Sequence[str]] | None,
    *,
    embedding: str,
    of: str = "",
    seed: int = 0,
) -> Figure:
    """Draw each attribute's space: a point per labelled image, coloured by its value.

    Args:
        embedded: embeddings of the split's labelled pairs.
        split: the labels; an attribute without labels has no panel.
        names: names of the values by attribute, where they are known.
        embedding: which embedding to draw.
        of: whose embeddings they are, for the title: method and seed of the run.
        seed: for the choice of points and for t-SNE.

    Raises:
        KeyError: there is no such embedding.
    """
    attributes = [
        (index, name)
        for index, name in enumerate(split.attributes.names)
        if len(split.labels_of(index))
    ]
    rows = -(-len(attributes) // _COLUMNS)
    figure = Figure(figsize=(WIDTH, 3.7 * rows + 0.3), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, hspace=0.02, wspace=0.02)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(attributes) :]:
        axes.set_axis_off()
    for axes, (index, attribute) in zip(panels, attributes, strict=False):
        labels = split.labels_of(index)
        labels = labels[_sample(len(labels), seed)]
        points = project(embedded.arrays[embedding][embedded.rows(labels)], seed=seed)
        words = (names or {}).get(attribute)
        _scatter(axes, points, labels[:, 2], words, of="value, by index", size=13)
        axes.set_title(label(attribute))
        legend = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.01), "ncols": 2}
        _name_groups(axes, **legend, fontsize="small", columnspacing=0.8)
    title = f"{_whose(of)} {embedding} embeddings of each attribute (t-SNE)"
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure


@themed
def all_spaces(
    embedded: PairEmbeddings, split: Split, *, embedding: str, of: str = "", seed: int = 0
) -> Figure:
    """Draw the spaces of all attributes together: a point per image and attribute.

    Args:
        embedded: embeddings of the split's labelled pairs.
        split: names the attributes.
        embedding: which embedding to draw.
        of: whose embeddings they are, for the title: method and seed of the run.
        seed: for the choice of points and for t-SNE.

    Raises:
        KeyError: there is no such embedding.
    """
    chosen = _sample(len(embedded.pairs), seed)
    points = project(embedded.arrays[embedding][chosen], seed=seed)
    figure = Figure(figsize=(0.85 * WIDTH, 5.6), layout="constrained")
    axes = figure.subplots()
    words = [label(name) for name in split.attributes.names]
    _scatter(axes, points, embedded.pairs[chosen, 1], words, of="attribute, by index", size=16)
    axes.set_title(f"{_whose(of)} {embedding} embeddings of all attributes (t-SNE)")
    _name_groups(axes, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.4)
    return figure


def project(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Lay vectors out in two dimensions by t-SNE on their cosines.

    Args:
        vectors: `(n, D)` float.
        seed: the same seed gives the same layout on the same machine.

    Returns:
        `(n, 2)` float; zeros for fewer than five vectors.

    References:
        van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008.
    """
    if len(vectors) < _FEWEST:
        return np.zeros((len(vectors), 2))
    # The squared distance of unit vectors is 2 - 2 cosine: it ranks neighbours as retrieval does.
    unit = normalise(vectors.astype(np.float64))
    # Principal components are a good start; vectors that are all equal have none.
    start = "pca" if np.ptp(unit, axis=0).max() > 1e-6 else "random"
    layout = TSNE(
        perplexity=min(30.0, (len(unit) - 1) / 3), init=start, random_state=seed, n_jobs=1
    )
    with threadpool_limits(1):  # several threads would sum in any order
        return layout.fit_transform(unit)


def _whose(of: str) -> str:
    """Return the beginning of a title."""
    return f"{of}: the" if of else "The"


def _sample(count: int, seed: int) -> np.ndarray:
    """Return which of `count` points are drawn, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST])


def _scatter(
    axes: Axes,
    points: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str] | None,
    *,
    of: str,
    size: float,
) -> None:
    """Draw points coloured by group: with a name each, or along a scale if there are many."""
    axes.set(xticks=[], yticks=[])  # distances across t-SNE plots mean nothing
    axes.spines[:].set(visible=True, color="#BFBFBF")
    if len(points) < _FEWEST:
        axes.text(0.5, 0.5, "too few images", ha="center", transform=axes.transAxes)
        return
    values = np.unique(groups)
    if len(values) > _NAMED:
        edges = np.arange(values[0], values[-1] + 2) - 0.5
        colours = sns.color_palette("viridis", as_cmap=True)
        norm = BoundaryNorm(edges, colours.N)
        drawn = axes.scatter(*points.T, c=groups, s=size, cmap=colours, norm=norm, linewidths=0)
        scale = axes.inset_axes((0.0, -0.06, 1.0, 0.03))  # where other panels have their legend
        ticks = MaxNLocator(6, integer=True)
        axes.figure.colorbar(drawn, cax=scale, label=of, orientation="horizontal", ticks=ticks)
        scale.minorticks_off()
        return
    for place, value in enumerate(values):
        axes.scatter(
            *points[groups == value].T,
            s=size,
            color=_PALETTE[place],
            marker=_MARKERS[place],
            edgecolors="white",
            linewidths=0.25,
            # A label that begins with an underscore would be left out of the legend.
            label=re.sub("^_", " _", names[int(value)] if names else f"value {value}"),
        )


def _name_groups(axes: Axes, **place) -> None:
    """Put a legend outside the points if the groups have names."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(**place, handletextpad=0.1, borderpad=0, labelspacing=0.3)
