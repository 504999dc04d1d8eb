"""True boxes of the parts, in the frame that models see."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageOps

from asen_tf.data.records import Split

Box = tuple[float, float, float, float]  # left, top, right, bottom


def boxes_in_square(
    split: Split, regions: Mapping[tuple[int, int], Box]
) -> dict[tuple[int, int], Box]:
    """Map true boxes from image pixels to shares of the centre square.

    Args:
        split: names the image files.
        regions: boxes by (image, attribute) in pixels of the upright image, half-open.

    Returns:
        Boxes as shares in [0, 1] of the side of the square that `load_image` cuts; boxes that lie
        outside the square altogether are left out.
    """
    sizes: dict[int, tuple[int, int]] = {}
    inside = {}
    for (index, attribute), (left, top, right, bottom) in regions.items():
        if index not in sizes:
            with Image.open(split.path(index)) as image:
                sizes[index] = ImageOps.exif_transpose(image).size
        width, height = sizes[index]
        side = min(width, height)
        x, y = (width - side) // 2, (height - side) // 2
        box = tuple(
            min(max((edge - start) / side, 0.0), 1.0)
            for edge, start in ((left, x), (top, y), (right, x), (bottom, y))
        )
        if box[0] < box[2] and box[1] < box[3]:
            inside[index, attribute] = box
    return inside


def true_squares(
    split: Split, regions: Mapping[tuple[int, int], Box], *, attributes: int, size: int
) -> np.ndarray:
    """Return the square around the true part of every (image, attribute), for the local branch.

    As a region of interest, a box grows to a square of its longer side about its centre, which is
    then shifted inside the frame. Where no box is known the square is the whole frame.

    Args:
        split: names the image files.
        regions: boxes by (image, attribute) in pixels of the upright image.
        attributes: `A`.
        size: px, side of the frame.

    Returns:
        `(n, A, 4)` int32: top, left, bottom, right in pixels of the frame; half-open.
    """
    squares = np.zeros((len(split.files), attributes, 4), np.int32)
    squares[..., 2:] = size
    for key, box in boxes_in_square(split, regions).items():
        left, top, right, bottom = (edge * size for edge in box)
        left, top = math.floor(left), math.floor(top)
        right, bottom = math.ceil(right), math.ceil(bottom)
        side = max(right - left, bottom - top)
        top = min(max(top - (side - (bottom - top)) // 2, 0), size - side)
        left = min(max(left - (side - (right - left)) // 2, 0), size - side)
        squares[key] = top, left, top + side, left + side
    return squares
