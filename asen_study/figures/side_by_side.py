"""What several methods look at in the same images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from asen_study.figures.gallery import AttentionExample
from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_study.matrix import LABELS
from asen_tf.data import label
from asen_tf.evaluation.localisation import attention_peak

_OUTLINE = [effects.withStroke(linewidth=3.0, foreground="black")]
_TRUTH = {"edgecolor": COLOURS["truth"], "linestyle": "--", "lw": 1.5, "fill": False}
_PEAK = {"marker": "X", "color": "white", "markeredgecolor": "black", "markersize": 9}
_LARGEST = 1.75  # inches, side of an image
_LETTERS = 12.5  # of a title, per inch
_HEAT = {"cmap": "inferno", "alpha": 0.6}


@themed
def attention_side_by_side(seen: Mapping[str, Mapping[str, AttentionExample]]) -> Figure:
    """Draw the attention maps of several methods over the same images.

    A row per attribute: the image with the true box of the part, then each method's map over it.
    A cross marks the map's highest cell, which the score of pointing looks at. Colours go from
    each map's lowest to its highest value, so that they compare places and not methods.

    Args:
        seen: by method, then by attribute; the same image of an attribute for every method. Where
            a method lacks an attribute, its place stays empty.

    Raises:
        ValueError: the methods show different images of an attribute.
    """
    attributes = list(dict.fromkeys(name for examples in seen.values() for name in examples))
    side = min(_LARGEST, (WIDTH - 0.5) / (1 + len(seen)))
    size = (0.5 + (1 + len(seen)) * side, len(attributes) * (side + 0.04) + 1.3)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(attributes), 1 + len(seen), squeeze=False)
    truths = False
    for attribute, cells in zip(attributes, panels, strict=True):
        by_method = [examples.get(attribute) for examples in seen.values()]
        first = next(example for example in by_method if example is not None)
        truths |= first.truth is not None
        cells[0].imshow(first.image)
        cells[0].set_ylabel(f"{label(attribute)}:\n{first.value}", fontsize="small")
        _truth(cells[0], first)
        for axes, example in zip(cells[1:], by_method, strict=True):
            if example is None:
                axes.set_axis_off()
                continue
            if not np.array_equal(example.image, first.image):
                raise ValueError(
                    f"methods beside each other must show the same image; got others for "
                    f"{attribute!r}; choose the examples with one seed"
                )
            _attention(axes, example)
            _truth(axes, example)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, name in zip(panels[0], ("image", *seen), strict=True):
        words = textwrap.fill(LABELS.get(name, name), round(_LETTERS * side))
        axes.set_title(words, fontsize="small", loc="center")
    scale = figure.colorbar(
        ScalarMappable(cmap=_HEAT["cmap"]),
        ax=panels,
        location="bottom",
        shrink=0.4,
        aspect=30,
        pad=0.01,
        ticks=[0.0, 1.0],
    )
    scale.ax.set_xticklabels(["lowest", "highest"])
    scale.set_label("attention, within each map")
    handles = [Line2D([], [], linestyle="none", **_PEAK)]
    meanings = ["maximum of the attention"]
    if truths:
        handles.append(Rectangle((0, 0), 1, 1, path_effects=_OUTLINE, **_TRUTH))
        meanings.append("true box of the part")
    figure.legend(handles, meanings, loc="outside lower center", ncols=2, handleheight=1.3)
    return figure


def _attention(axes: Axes, example: AttentionExample) -> None:
    """Draw a map, from its lowest to its highest value, over its image in dark grey."""
    size = len(example.image)
    dimmed = np.asarray(Image.fromarray(example.image).convert("L"))
    axes.imshow(dimmed, cmap="gray", vmin=0, vmax=255)
    axes.imshow(
        example.attention,
        **_HEAT,
        extent=(0, size, size, 0),
        interpolation="bilinear",
    )
    if np.ptp(example.attention) > 0:  # a flat map looks nowhere
        x, y = attention_peak(example.attention)
        axes.plot(x * size, y * size, linestyle="none", **_PEAK)


def _truth(axes: Axes, example: AttentionExample) -> None:
    if example.truth is not None:
        left, top, right, bottom = (edge * len(example.image) for edge in example.truth)
        axes.add_patch(
            Rectangle((left, top), right - left, bottom - top, path_effects=_OUTLINE, **_TRUTH)
        )
