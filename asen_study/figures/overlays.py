"""Pixels: an attention map over the picture that it belongs to."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from asen_tf.data.fitting import Box

REGION = "#F0E442"  # yellow, the colour of the frame
_HEAT = matplotlib.colormaps["inferno"]
_FLAT = 1e-9  # a map with a smaller span counts as flat
_THIN = 70  # the frame's width is the picture's side divided by this


def with_attention(
    image: np.ndarray,
    attention: np.ndarray,
    region: Box | None,
    *,
    extent: tuple[float, float] = (0.0, 1.0),
    opacity: tuple[float, float] = (0.0, 0.75),
) -> np.ndarray:
    """Lay a map over a picture, brighter where the attention is higher, and frame its region.

    The map is stretched from its lowest to its highest value. A flat map shows no place: it is
    drawn as its lowest value everywhere.

    Example:
        With the default opacity a flat map leaves the picture as it is.

    Args:
        image: `(S, S, 3)` uint8.
        attention: `(h, w)`, non-negative, of the whole picture.
        extent: where the map starts and ends on it, as `asen_tf.backbones.map_extent` says.
        region: what the local branch sees, in shares of the picture's side, or None.
        opacity: of the map, where it is lowest and where it is highest.

    Returns:
        `(S, S, 3)` uint8.
    """
    heat = np.asarray(attention, np.float32)
    span = float(heat.max() - heat.min())
    heat = (heat - heat.min()) / span if span > _FLAT else np.zeros_like(heat)
    large = enlarged(heat, len(image), extent, Image.Resampling.BICUBIC)
    weight = np.clip(large, 0.0, 1.0)
    colours = _HEAT(weight)[..., :3] * 255.0
    share = (opacity[0] + (opacity[1] - opacity[0]) * weight)[..., None]
    mixed = image * (1.0 - share) + colours * share
    drawn = Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    if region is not None:
        _frame(drawn, region)
    return np.asarray(drawn)


def enlarged(
    attention: np.ndarray,
    side: int,
    extent: tuple[float, float],
    resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """Return a map as a picture of `side` x `side` pixels, `(side, side)` float32.

    Where the map starts after the picture or ends before it, it goes on as it is at its edge.
    """
    heat = np.asarray(attention, np.float32)
    shares = (np.array([0.0, 1.0]) - extent[0]) / (extent[1] - extent[0])  # of the map's sides
    (top, bottom), (left, right) = (shares * cells for cells in heat.shape)
    more = [
        (max(math.ceil(-first), 0), max(math.ceil(last - cells), 0))
        for first, last, cells in ((top, bottom, heat.shape[0]), (left, right, heat.shape[1]))
    ]
    box = (left + more[1][0], top + more[0][0], right + more[1][0], bottom + more[0][0])
    padded = Image.fromarray(np.pad(heat, more, mode="edge"))
    return np.asarray(padded.resize((side, side), resampling, box=box))


def _frame(picture: Image.Image, region: Box) -> None:
    """Draw a region's edges in yellow between black ones: visible on light and dark pictures."""
    last, thick = picture.width - 1, max(picture.width // _THIN, 1)
    left, top, right, bottom = (min(max(round(edge * last), 0), last) for edge in region)
    pen = ImageDraw.Draw(picture)
    for inset, colour, width in ((0, "black", thick + 2), (1, REGION, thick)):
        x, y = min(left + inset, last), min(top + inset, last)
        edges = (x, y, max(right - inset, x), max(bottom - inset, y))
        pen.rectangle(edges, outline=colour, width=width)
