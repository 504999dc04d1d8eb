"""How an upright image becomes the square that the models work on.

A *fit* is one of `asen_tf.config.FITS`:

- "square": the centre square is cut out, as the release does;
- "whole_edge": all of the image, its shorter side padded by repeating the edge;
- "whole_mean": all of the image, its shorter side padded with the image's mean colour.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from asen_tf.config import FITS

Box = tuple[float, float, float, float]  # left, top, right, bottom; half-open


class Frame(NamedTuple):
    """Which rectangle of the upright image becomes the square; outside the image is padding.

    Attributes:
        left, top: its corner in pixels of the image; negative where there is padding.
        width, height: its sides in pixels of the image. They may differ by the rounding of the
            image's shorter side.
    """

    left: float
    top: float
    width: float
    height: float

    def shares(self, box: Box) -> Box:
        """Return a box of the image's pixels as shares of the square's side."""
        left, top, right, bottom = box
        return (
            (left - self.left) / self.width,
            (top - self.top) / self.height,
            (right - self.left) / self.width,
            (bottom - self.top) / self.height,
        )

    def pixels(self, shares: Box) -> Box:
        """Return a box of shares of the square's side in pixels of the image."""
        left, top, right, bottom = shares
        return (
            self.left + left * self.width,
            self.top + top * self.height,
            self.left + right * self.width,
            self.top + bottom * self.height,
        )


def frame_of(size: tuple[int, int], side: int, fit: str) -> Frame:
    """Return which rectangle of an image `fit_square` shows.

    Example:
        In 8 px, an image of 100 x 200 px becomes 4 x 8 px between margins of 2 px, each 50 px of
        the image: the frame is (-50, 0, 200, 200), and (0, 50, 100, 100) for fit "square".

    Args:
        size: width and height of the upright image in pixels.
        side: px, side of the square.
        fit: one of `FITS`.

    Raises:
        ValueError: unknown fit.
    """
    check_fit(fit)
    width, height = size
    if fit == "square":
        cut = min(size)
        return Frame((width - cut) // 2, (height - cut) // 2, cut, cut)
    across, down = _scaled(size, side)
    step_x, step_y = width / across, height / down  # pixels of the image per pixel of the square
    margin_x, margin_y = (side - across) // 2, (side - down) // 2
    return Frame(-margin_x * step_x, -margin_y * step_y, side * step_x, side * step_y)


def fit_square(image: Image.Image, side: int, fit: str) -> np.ndarray:
    """Fit an upright RGB image into a square, scaled bilinearly with antialiasing.

    A padded image's longer side becomes `side`, the other one is rounded and at least 1 px. Where
    the margins differ, the one at the left or at the top is the smaller.

    Args:
        image: of any size.
        side: px.
        fit: one of `FITS`.

    Returns:
        `(side, side, 3)` uint8.

    Raises:
        ValueError: unknown fit.
    """
    check_fit(fit)
    if fit == "square":
        left, top, width, height = frame_of(image.size, side, fit)
        box = (left, top, left + width, top + height)
        return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))
    size = _scaled(image.size, side)
    pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    missing = [side - length for length in pixels.shape[:2]]
    margins = [(lacking // 2, lacking - lacking // 2) for lacking in missing]
    if fit == "whole_edge":
        return np.pad(pixels, [*margins, (0, 0)], mode="edge")
    (top, _), (left, _) = margins
    square = np.empty((side, side, 3), np.uint8)
    square[:] = pixels.mean(axis=(0, 1)).round()
    square[top : top + size[1], left : left + size[0]] = pixels
    return square


def check_fit(fit: str) -> None:
    """Raise ValueError for an unknown fit."""
    if fit not in FITS:
        raise ValueError(f"fit must be one of {', '.join(FITS)}; got {fit!r}")


def name_suffix(fit: str) -> str:
    """Return the suffix of a fit's file names; "" for "square", once the only fit."""
    return "" if fit == "square" else f"-{fit}"


def _scaled(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height of a whole image that is scaled to fit a square."""
    longer = max(size)
    width, height = (max(1, round(length * side / longer)) for length in size)
    return width, height
