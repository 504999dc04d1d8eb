"""Pictures of a sheet: photographs, what the model attends to in them, and histograms."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from asen_apps.evidence.examination import View
from asen_study.figures.style import COLOURS, WIDTH, draw_names, themed, with_attention
from asen_tf.data import label
from asen_tf.data.fitting import fit_square, frame_of
from asen_tf.data.images import load_upright
from asen_tf.embedder import Attention, Embedder
from asen_tf.evaluation.localisation import attention_peak

BINS = 80
HIDDEN = 0.02  # share of the random pairs, the least similar ones, left out of the histograms
_DOTS = 200  # per inch: sharp in print
_PHOTOGRAPH, _DETAIL = 480, 280  # px, the longest side of a photograph, and the side of the others
_OPACITY = (0.15, 0.7)  # of the map over the image, where it is weakest and strongest


@dataclass(frozen=True)
class Picture:
    """An image as the bytes of its file, for a self-contained page.

    Attributes:
        data: PNG or JPEG bytes.
        alt: what it shows.
        kind: "png" or "jpeg".
    """

    data: bytes
    alt: str
    kind: str = "jpeg"

    @cached_property
    def source(self) -> str:
        """The image as a `data:` address."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class AttentionPictures:
    """What the model attends to in one image for one attribute.

    Attributes:
        map: the square that the model sees in grey, the attention map in colours, the region
            framed.
        region: the region, close up.
        box: left, top, right, bottom of the region in pixels of the upright image; it reaches
            beyond the image where the model sees padding.
    """

    map: Picture
    region: Picture
    box: tuple[float, float, float, float]


def photograph(path: Path, alt: str) -> Picture:
    """Return the whole upright image, reduced if it is larger than needed."""
    image = load_upright(path)
    image.thumbnail((_PHOTOGRAPH, _PHOTOGRAPH), Image.Resampling.LANCZOS)
    return Picture(_jpeg(image), alt)


def attend(embedder: Embedder, path: Path, attribute: str, who: str) -> AttentionPictures | None:
    """Return what the model attends to in an image; None for a model without attention.

    Args:
        embedder: the model.
        path: an image file.
        attribute: one that the model knows.
        who: what the image is, for the alternative texts.
    """
    try:
        attention = embedder.attend(path, attribute)
    except ValueError as error:
        if "has no attention" in str(error):
            return None
        raise
    region = _close_up(load_upright(path), attention.region, embedder.model.settings.fit)
    what, overlaid = f"{who}, {label(attribute)}", _overlaid(attention)
    return AttentionPictures(
        Picture(_jpeg(overlaid), f"{what}: attention map, {_where(attention)}"),
        Picture(_jpeg(region), f"{what}: the region that the map marks, close up"),
        attention.region,
    )


def _close_up(
    image: Image.Image, region: tuple[float, float, float, float], fit: str
) -> Image.Image:
    """Return a region of an upright image in full resolution, with the padding that it reaches."""
    if fit != "square":
        side = max(image.size)  # at which the image keeps its pixels
        left, top, _, _ = frame_of(image.size, side, fit)
        image = Image.fromarray(fit_square(image, side, fit))
        region = tuple(np.subtract(region, (left, top, left, top)))
    left, top, right, bottom = region
    box = (max(left, 0.0), max(top, 0.0), min(right, image.width), min(bottom, image.height))
    return image.resize((_DETAIL, _DETAIL), Image.Resampling.BICUBIC, box=box)


def _overlaid(attention: Attention) -> Image.Image:
    """Return the model's square in grey under the map in colours, with the region framed."""
    crop = Image.fromarray(attention.crop).convert("L")
    grey = crop.convert("RGB").resize((_DETAIL, _DETAIL))
    region = attention.frame.shares(attention.region)
    given = {"extent": attention.extent, "opacity": _OPACITY}
    laid = with_attention(np.asarray(grey), attention.map, region, **given)
    return Image.fromarray(laid)


def _where(attention: Attention) -> str:
    """Say where the map is strongest, for readers who cannot see it."""
    if np.ptp(attention.map) == 0:
        return "the same everywhere"
    right, down = attention_peak(attention.map, attention.extent)
    return f"strongest {100 * down:.0f}% down and {100 * right:.0f}% to the right"


def _jpeg(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=88, optimize=True)
    return written.getvalue()


def edges(view: View) -> np.ndarray:
    """Return the edges of equal bins from a view's least to its largest similarity."""
    found = [item.similarities[view.name].value for item in view.found]
    values = np.concatenate([view.random, view.nearest, found])
    low, high = values.min(), values.max()
    return np.linspace(min(low, high - 0.01), high, BINS + 1)


@themed
def draw(views: Sequence[View]) -> Figure:
    """Draw a panel per view: random pairs, nearest neighbours, and the found items by rank."""
    figure = Figure(figsize=(WIDTH, 1.75 * len(views) + 1.0), layout="constrained")
    title = "How similar the items found are, beside what is usual in this catalogue"
    figure.suptitle(title, fontweight="bold", fontsize="large")
    panels = figure.subplots(len(views), 1, squeeze=False)[:, 0]
    for axes, view in zip(panels, views, strict=True):
        bins = edges(view)
        for values, style in (
            (view.random, {"color": COLOURS["random"], "alpha": 0.45, "lw": 0}),
            (view.nearest, {"color": "black", "histtype": "step", "lw": 1.6}),
        ):
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, bins, weights=weights, **style)
        top = axes.get_ylim()[1] * 1.35
        marks = [found.similarities[view.name].value for found in view.found]
        axes.vlines(marks, 0, top * 0.8, color=COLOURS["wrong"], lw=1.1)
        left = min(np.quantile(view.random, HIDDEN), view.nearest.min(), *marks)
        right = bins[-1] + 0.02 * (bins[-1] - left)
        _ranks(axes, marks, top, (right - left) / 50)
        axes.set(ylim=(0, top), xlim=(left, right), ylabel="percent of each", xlabel="similarity")
        axes.set_title(label(view.name), fontsize="medium")
        axes.grid(visible=False, axis="x")
    names = [
        f"random pairs of the catalogue ({len(views[0].random):,})",
        f"its items' nearest neighbours ({len(views[0].nearest):,})",
        "items found, by rank",
    ]
    first = panels[0]
    handles = [first.patches[0], first.patches[-1], first.collections[0]]
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize="medium")
    return figure


def histograms(views: Sequence[View]) -> Picture:
    """Return `draw` as a PNG."""
    written = io.BytesIO()
    figure = draw(views)
    draw_names(figure)
    figure.savefig(written, format="png", dpi=_DOTS, metadata={"Software": None})
    names = ", ".join(label(view.name) for view in views)
    alt = (
        "Histograms of the similarity of random pairs of the catalogue and of its items to their "
        f"nearest neighbours, with the items found for the design marked, for {names}; the tables "
        "of this sheet give the same in numbers"
    )
    return Picture(written.getvalue(), alt, "png")


def _ranks(axes: Axes, marks: Sequence[float], top: float, gap: float) -> None:
    """Write the ranks over their marks, side by side if these are too close together."""
    places = np.array(marks)
    for _ in range(200):  # neighbours push each other apart; a few passes usually do
        lacking = np.maximum(gap - (places[:-1] - places[1:]), 0.0) / 2
        places[:-1] += lacking
        places[1:] -= lacking
    line = {"arrowstyle": "-", "color": COLOURS["wrong"], "lw": 0.6, "shrinkA": 5}
    style = {"ha": "center", "va": "center", "color": COLOURS["wrong"], "arrowprops": line}
    for rank, (mark, place) in enumerate(zip(marks, places, strict=True), start=1):
        axes.annotate(str(rank), (mark, top * 0.8), (place, top * 0.92), **style)
