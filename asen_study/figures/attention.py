"""What methods attend to in an image, and what their local branches see of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from asen_study.figures.gallery import AttentionExample
from asen_study.figures.style import COLOURS, WIDTH, colours_of, enlarged, themed, wrapped
from asen_study.matrix import name_of
from asen_tf.data import label
from asen_tf.data.fitting import Box
from asen_tf.evaluation.localisation import attention_peak

_OUTLINE = [effects.withStroke(linewidth=3.0, foreground="black")]
_EDGE = {"fill": False, "lw": 1.5, "path_effects": _OUTLINE}
_TRUTH = {"edgecolor": COLOURS["truth"], "linestyle": "--", **_EDGE}
_REGION = {"edgecolor": COLOURS["region"], "linestyle": "-", **_EDGE}
_PEAK = {"marker": "X", "color": "white", "markeredgecolor": "black", "markersize": 9}
_HEAT = {"cmap": "inferno", "alpha": 0.6}
_LARGEST = 1.75  # inches, side of an image beside others


@themed
def attention_maps(examples: Mapping[str, Sequence[AttentionExample]]) -> Figure:
    """Draw attention maps with true boxes and regions, each next to its enlarged region.

    Args:
        examples: by attribute, the same number for each: a row per attribute.
    """
    columns = max(len(row) for row in examples.values())
    side = WIDTH / (2 * columns)
    values = [example.value for row in examples.values() for example in row]
    lines = max(wrapped(words, side).count("\n") for words in (*values, *map(label, examples))) + 1
    height = len(examples) * (side + 0.06 + 0.15 * lines) + 0.75
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(examples), 2 * columns, squeeze=False)
    figure.suptitle(
        "Where the model looks for each attribute, and what its local branch then sees",
        fontweight="bold",
        fontsize="medium",
    )
    for (attribute, row), cells in zip(examples.items(), panels, strict=True):
        for axes in cells:
            axes.set_axis_off()
        for example, axes, zoom in zip(row, cells[::2], cells[1::2], strict=False):
            _attention(axes, example)
            _box(axes, example.truth, len(example.image), _TRUTH)
            _box(axes, example.region, len(example.image), _REGION)
            zoom.imshow(_zoomed(example.image, example.region))
            style = {"fontweight": "normal", "loc": "center", "fontsize": "small"}
            zoom.set_title(wrapped(example.value, side), **style)
        cells[0].set_title(wrapped(label(attribute), side), fontsize="small")
    boxes = {"region of interest, enlarged on the right": _REGION}
    if any(example.truth is not None for row in examples.values() for example in row):
        boxes = {"true box of the part": _TRUTH, **boxes}
    figure.legend(
        [Rectangle((0, 0), 1, 1, **style) for style in boxes.values()],
        list(boxes),
        loc="outside lower center",
        ncols=2,
        facecolor="#808080",
        frameon=True,
    )
    return figure


@themed
def attention_side_by_side(seen: Mapping[str, Mapping[str, AttentionExample]]) -> Figure:
    """Draw the attention maps of several methods over the same images.

    A row per attribute: the image with the true box of the part, then each method's map over it.
    A cross marks the map's highest cell, the one that the pointing score uses. Colours run from
    each map's own lowest to its highest value, so they compare places within a map, not methods.

    Args:
        seen: by method, then by attribute; the same image of an attribute for every method. If a
            method lacks an attribute, its place stays empty.

    Raises:
        ValueError: the methods show different images of an attribute.
    """

    def draw(axes: Axes, example: AttentionExample) -> None:
        _attention(axes, example)
        _peak(axes, example)
        _box(axes, example.truth, len(example.image), _TRUTH)

    figure, panels = _side_by_side(seen, draw)
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
    title = "Where each method looks for each attribute, in the same images"
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    handles = [Line2D([], [], linestyle="none", **_PEAK)]
    meanings = ["maximum of the attention"]
    if any(example.truth for examples in seen.values() for example in examples.values()):
        handles.append(Rectangle((0, 0), 1, 1, **_TRUTH))
        meanings.append("true box of the part")
    figure.legend(handles, meanings, loc="outside lower center", ncols=2, handleheight=1.3)
    return figure


@themed
def local_views(seen: Mapping[str, Mapping[str, AttentionExample]]) -> Figure:
    """Draw what the local branches of several methods see of the same images, pixel by pixel.

    A row per attribute: the image with the true box of the part and all regions, the true part,
    then each method's region.

    Args:
        seen: as for `attention_side_by_side`; every example with its true box.
    """
    finest = max(one.local_size for examples in seen.values() for one in examples.values())
    parts = {
        name: replace(one, region=_square(one.truth), local_size=finest)
        for name, one in [*seen.values()][0].items()
    }
    colours = colours_of(seen)
    styles = {name_of(row): {**_REGION, "edgecolor": colours[row]} for row in seen}

    def draw(axes: Axes, example: AttentionExample) -> None:
        axes.imshow(_zoomed(example.image, example.region, example.local_size))

    figure, panels = _side_by_side({"true part": parts, **seen}, draw)
    for axes, name in zip(panels[:, 0], parts, strict=True):
        for style, examples in zip(styles.values(), seen.values(), strict=True):
            if name in examples:
                _box(axes, examples[name].region, len(examples[name].image), style)
    frames = {"true box of the part": _TRUTH, **styles}
    patches = [Rectangle((0, 0), 1, 1, **style) for style in frames.values()]
    figure.legend(patches, [*frames], loc="outside lower center", ncols=3, handleheight=1.3)
    sizes = {next(iter(of.values())).local_size: None for of in seen.values()}
    title = f"What each local branch sees, {' and '.join(map(str, sizes))} px wide"
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure


def _side_by_side(
    seen: Mapping[str, Mapping[str, AttentionExample]],
    draw: Callable[[Axes, AttentionExample], None],
) -> tuple[Figure, np.ndarray]:
    """Lay out a row per attribute: the image, then a drawing of each method's example."""
    attributes = list(dict.fromkeys(name for examples in seen.values() for name in examples))
    side = min(_LARGEST, (WIDTH - 0.5) / (1 + len(seen)))
    size = (0.5 + (1 + len(seen)) * side, len(attributes) * (side + 0.04) + 1.3)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(attributes), 1 + len(seen), squeeze=False)
    for attribute, cells in zip(attributes, panels, strict=True):
        by_method = [examples.get(attribute) for examples in seen.values()]
        first = next(example for example in by_method if example is not None)
        cells[0].imshow(first.image)
        words = f"{wrapped(label(attribute), side)}:\n{wrapped(first.value, side)}"
        cells[0].set_ylabel(words, fontsize="small")
        _box(cells[0], first.truth, len(first.image), _TRUTH)
        for axes, example in zip(cells[1:], by_method, strict=True):
            if example is None:
                axes.set_axis_off()
                continue
            if not np.array_equal(example.image, first.image):
                raise ValueError(
                    f"methods side by side must show the same image; got different ones for "
                    f"{attribute!r}; compare runs of one dataset and one fit"
                )
            draw(axes, example)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, name in zip(panels[0], ("image", *seen), strict=True):
        axes.set_title(wrapped(name_of(name), side), fontsize="small", loc="center")
    return figure, panels


def _attention(axes: Axes, example: AttentionExample) -> None:
    """Draw a map, from its lowest to its highest value, over its image in grey."""
    size = len(example.image)
    grey = np.asarray(Image.fromarray(example.image).convert("L"))
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
    axes.imshow(enlarged(example.attention, size, example.extent), **_HEAT)


def _peak(axes: Axes, example: AttentionExample) -> None:
    if np.ptp(example.attention) > 0:  # a flat map has no peak
        peak = attention_peak(example.attention, example.extent)
        x, y = (len(example.image) * share for share in peak)
        axes.plot(x, y, linestyle="none", **_PEAK)


def _box(axes: Axes, box: Box | None, size: int, style: Mapping[str, Any]) -> None:
    if box is not None:
        left, top, right, bottom = (edge * size for edge in box)
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))


def _square(box: Box) -> Box:
    """Return the square around a box, with the box's longer side."""
    left, top, right, bottom = box
    x, y, half = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2
    return x - half, y - half, x + half, y + half


def _zoomed(image: np.ndarray, region: Box, side: int | None = None) -> np.ndarray:
    """Return a region of an image, filtered to a side in pixels; by default that of the image."""
    whole = Image.fromarray(image)
    left, top, right, bottom = (edge * whole.width for edge in region)
    cut = whole.crop(tuple(map(round, (left, top, right, bottom))))  # black beyond the image
    how = Image.Resampling.BICUBIC if side is None else Image.Resampling.BILINEAR
    return np.asarray(cut.resize((side or whole.width,) * 2, how))
