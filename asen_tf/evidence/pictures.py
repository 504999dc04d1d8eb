"""Pictures of a sheet: photographs, where the model looks in them, and the regions from near."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from asen_tf.annotations import label
from asen_tf.data.images import eight_bits, rgb, upright
from asen_tf.embedder import Attention, Embedder
from asen_tf.overlays import with_attention

PHOTOGRAPH, DETAIL = 480, 280  # px, the longest side of a photograph, and the side of the others
_OPACITY = (0.15, 0.7)  # of the map over the image, where it is weakest and strongest


@dataclass(frozen=True)
class Picture:
    """An image in the bytes of its file, for a page that stands alone.

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
class Seen:
    """What one attribute makes of one image.

    Attributes:
        attention: the centre square in grey, the attention map in colours, the region framed.
        region: the region, from near.
        box: left, top, right, bottom of the region in pixels of the upright image.
    """

    attention: Picture
    region: Picture
    box: tuple[float, float, float, float]


def photograph(path: Path, alt: str) -> Picture:
    """Return the whole upright image, made smaller where it is larger than needed."""
    image = _upright(path)
    image.thumbnail((PHOTOGRAPH, PHOTOGRAPH), Image.Resampling.LANCZOS)
    return Picture(_jpeg(image), alt)


def look(embedder: Embedder, path: Path, attribute: str, who: str) -> Seen | None:
    """Return where the model looks in an image; None for a model without attention.

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
    image = _upright(path)
    left, top, right, bottom = attention.region
    box = (max(left, 0.0), max(top, 0.0), min(right, image.width), min(bottom, image.height))
    region = image.resize((DETAIL, DETAIL), Image.Resampling.BICUBIC, box=box)
    what = f"{who}, {label(attribute)}"
    return Seen(
        Picture(
            _jpeg(_overlaid(attention, image.size)), f"{what}: attention map, {_where(attention)}"
        ),
        Picture(_jpeg(region), f"{what}: the region that the map marks, from near"),
        attention.region,
    )


def _overlaid(attention: Attention, size: tuple[int, int]) -> Image.Image:
    """Return the centre square in grey under the map in colours, with the region framed."""
    square = (DETAIL, DETAIL)
    grey = Image.fromarray(attention.crop).convert("L").convert("RGB").resize(square)
    side = min(size)
    x, y = (size[0] - side) // 2, (size[1] - side) // 2
    region = tuple(np.subtract(attention.region, (x, y, x, y)) / side)
    return Image.fromarray(
        with_attention(np.asarray(grey), attention.map, region, opacity=_OPACITY)
    )


def _where(attention: Attention) -> str:
    """Say where the map is strongest, for those who cannot see it."""
    if np.ptp(attention.map) == 0:
        return "the same everywhere"
    row, column = np.unravel_index(attention.map.argmax(), attention.map.shape)
    height, width = attention.map.shape
    down, right = (row + 0.5) / height, (column + 0.5) / width
    return f"strongest {100 * down:.0f}% down and {100 * right:.0f}% to the right"


def _upright(path: Path) -> Image.Image:
    """Return an image in the colours that the model is given, all of it."""
    with Image.open(path) as opened:
        return rgb(eight_bits(upright(opened)))


def _jpeg(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=88, optimize=True)
    return written.getvalue()
