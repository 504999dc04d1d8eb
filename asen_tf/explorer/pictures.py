"""Pictures of the page: thumbnails, attention maps and regions, as text for `<img src>`."""

from __future__ import annotations

import base64
import io

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

_QUALITY = 82  # of JPEG
_HEAT = matplotlib.colormaps["inferno"]
_STRENGTH = 0.75  # opacity of the map where it is highest
_FRAME = ("#000000", "#F0E442")  # below and above: seen on light and on dark pictures

Box = tuple[float, float, float, float]  # left, top, right, bottom; shares of the side


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


def with_attention(image: np.ndarray, attention: np.ndarray, region: Box | None) -> np.ndarray:
    """Lay a map over a picture, brighter where the model looks, and frame its region.

    A flat map has no place to show and leaves the picture as it is.

    Args:
        image: `(S, S, 3)` uint8.
        attention: `(h, w)`, non-negative, of the whole picture.
        region: the square that the local branch sees, or None.

    Returns:
        `(S, S, 3)` uint8.
    """
    side = len(image)
    heat = np.asarray(attention, np.float32)
    span = float(heat.max() - heat.min())
    heat = (heat - heat.min()) / span if span > 1e-9 else np.zeros_like(heat)
    large = Image.fromarray(heat).resize((side, side), Image.Resampling.BICUBIC)
    weight = np.clip(np.asarray(large), 0.0, 1.0)
    colours = _HEAT(weight)[..., :3] * 255.0
    opacity = _STRENGTH * weight[..., None]
    mixed = image * (1.0 - opacity) + colours * opacity
    drawn = Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    if region is not None:
        frame = tuple(round(edge * (side - 1)) for edge in region)
        thick = max(side // 80, 1)
        pen = ImageDraw.Draw(drawn)
        pen.rectangle(frame, outline=_FRAME[0], width=2 * thick)
        pen.rectangle(frame, outline=_FRAME[1], width=thick)
    return np.asarray(drawn)


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
