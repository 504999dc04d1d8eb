"""Pictures of the page: thumbnails, attention maps and regions, as text for `<img src>`."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from asen_study.figures.overlays import Box

_QUALITY = 82  # of JPEG


def data_uri(image: np.ndarray, side: int) -> str:
    """Return a picture as `data:image/jpeg;base64,...`.

    Args:
        image: `(S, S, 3)` uint8.
        side: px, to which it is resized.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    if picture.width != side:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def cut(image: np.ndarray, region: Box) -> np.ndarray:
    """Return the part of a `(S, S, 3)` picture inside a region, at least one pixel of it."""
    side = len(image)
    left, top, right, bottom = (round(edge * side) for edge in region)
    left, top = min(max(left, 0), side - 1), min(max(top, 0), side - 1)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def words(region: Box, attention: np.ndarray) -> str:
    """Describe a region and the highest cell of a map, for those who do not see them."""
    row, column = np.unravel_index(int(np.argmax(attention)), attention.shape)
    vertical = _third((row + 0.5) / attention.shape[0], ("top", "middle", "bottom"))
    across = _third((column + 0.5) / attention.shape[1], ("left", "centre", "right"))
    share = 100 * (region[2] - region[0]) * (region[3] - region[1])
    return f"brightest at the {vertical} {across}; the region covers {share:.0f}% of the picture"


def _third(share: float, names: tuple[str, str, str]) -> str:
    return names[min(int(3 * share), 2)]
