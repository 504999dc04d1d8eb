"""Images, what the attention makes of them, and what is found for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from asen_tf.annotations import label
from asen_tf.figures.gallery import AttentionExample, RetrievalExample
from asen_tf.figures.style import COLOURS, WIDTH, themed
from asen_tf.overlays import Box

_OUTLINE = [effects.withStroke(linewidth=3.0, foreground="black")]
_TRUTH = {"edgecolor": COLOURS["truth"], "linestyle": "--"}
_REGION = {"edgecolor": COLOURS["region"], "linestyle": "-"}


@themed
def attention_maps(
    examples: Mapping[str, Sequence[AttentionExample]], *, crop: int = 112
) -> Figure:
    """Draw attention maps with true boxes and regions, each beside the region zoomed.

    Args:
        examples: by attribute, the same number for each: a row per attribute.
        crop: px, side of the zoomed region: the local branch's input size.
    """
    columns = max(len(row) for row in examples.values())
    side = WIDTH / (2 * columns)
    figure = Figure(figsize=(WIDTH, len(examples) * (side + 0.22) + 0.5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(examples), 2 * columns, squeeze=False)
    for (attribute, row), cells in zip(examples.items(), panels, strict=True):
        for axes in cells:
            axes.set_axis_off()
        for example, axes, zoom in zip(row, cells[::2], cells[1::2], strict=False):
            _attention(axes, example)
            zoom.imshow(_zoomed(example, crop))
            zoom.set_title(example.value, fontweight="normal", loc="center", fontsize="small")
        cells[0].set_title(label(attribute), fontsize="small")
    handles = [Rectangle((0, 0), 1, 1, fill=False, lw=2, **style) for style in (_TRUTH, _REGION)]
    figure.legend(
        handles,
        ["true box of the part", "region of interest, zoomed to the right"],
        loc="outside lower center",
        ncols=2,
        facecolor="#808080",
        frameon=True,
    )
    return figure


@themed
def retrieval_strips(examples: Sequence[RetrievalExample], attribute: str) -> Figure:
    """Draw queries, each with its best-ranked candidates framed as right or wrong.

    Args:
        examples: of one attribute: a row per query.
        attribute: the attribute's name.
    """
    columns = max(len(example.images) for example in examples)
    side = WIDTH / columns
    figure = Figure(figsize=(WIDTH, len(examples) * (side + 0.25) + 0.35), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(examples), columns, squeeze=False)
    for example, cells in zip(examples, panels, strict=True):
        for axes in cells[len(example.images) :]:
            axes.set_axis_off()
        shown = zip(cells, example.images, example.values, strict=False)
        for rank, (axes, image, value) in enumerate(shown):
            axes.imshow(image)
            axes.set(xticks=[], yticks=[])
            if rank == 0:
                title = f"{value}\nquery, AP {100 * example.precision:.0f} %"
                axes.set_title(title, fontsize="small", loc="center")
                _frame(axes, "black")
                continue
            verdict = "right" if value == example.values[0] else "wrong"
            mark = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}[verdict]
            axes.set_title(
                f"{rank} {mark}\n{value}",
                fontsize="x-small",
                fontweight="normal",
                loc="center",
                color=COLOURS[verdict],
            )
            _frame(axes, COLOURS[verdict], "-" if verdict == "right" else "--")
    figure.suptitle(f"Retrieval by {label(attribute)}", fontweight="bold", fontsize="medium")
    return figure


def _attention(axes: Axes, example: AttentionExample) -> None:
    """Draw a map over its image in grey, with both boxes."""
    size = len(example.image)
    axes.imshow(np.asarray(Image.fromarray(example.image).convert("L")), cmap="gray")
    low, high = example.attention.min(), example.attention.max()
    heat = (example.attention - low) / max(high - low, 1e-12)
    axes.imshow(
        heat,
        cmap="inferno",
        alpha=0.55,
        extent=(0, size, size, 0),
        interpolation="bilinear",
    )
    if example.truth is not None:
        _box(axes, example.truth, size, _TRUTH)
    _box(axes, example.region, size, _REGION)


def _box(axes: Axes, box: Box, size: int, style: Mapping[str, str]) -> None:
    left, top, right, bottom = (edge * size for edge in box)
    corner, extent = (left, top), (right - left, bottom - top)
    axes.add_patch(Rectangle(corner, *extent, fill=False, lw=1.5, path_effects=_OUTLINE, **style))


def _zoomed(example: AttentionExample, crop: int) -> np.ndarray:
    """Return the region as the local branch's input shows it: cut from the source image."""
    box = tuple(edge * len(example.image) for edge in example.region)
    return np.asarray(Image.fromarray(example.image).resize((crop, crop), Image.BILINEAR, box=box))


def _frame(axes: Axes, colour: str, style: str = "-") -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=2.5, linestyle=style)
