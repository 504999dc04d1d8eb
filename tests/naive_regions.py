"""Regions of interest and their crops, one pixel at a time: an oracle."""

from __future__ import annotations

import math

import numpy as np

Box = tuple[int, int, int, int]


def naive_box(attention: np.ndarray, map_size: int, threshold: float) -> Box | None:
    """Redo the steps one pixel at a time; None where rounding decides which pixels are kept."""
    height, width = attention.shape
    levels = np.zeros((map_size, map_size))
    for row in range(map_size):
        for column in range(map_size):
            y = min(max((row + 0.5) * height / map_size - 0.5, 0.0), height - 1.0)
            x = min(max((column + 0.5) * width / map_size - 0.5, 0.0), width - 1.0)
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if i < height and j < width:
                        share = (1.0 - abs(y - i)) * (1.0 - abs(x - j))
                        levels[row, column] += share * float(attention[i, j])
    span = levels.max() - levels.min()
    if span < 1e-9:
        return 0, 0, map_size, map_size
    levels = (levels - levels.min()) / span * 255.0
    first_kept = math.floor(255.0 * threshold) + 1
    if np.abs(levels - first_kept).min() < 1e-3:
        return None
    kept = np.argwhere(levels > first_kept - 1e-3).tolist()
    top, bottom = min(p[0] for p in kept), max(p[0] for p in kept) + 1
    left, right = min(p[1] for p in kept), max(p[1] for p in kept) + 1
    side = max(bottom - top, right - left)
    top -= (side - (bottom - top)) // 2
    left -= (side - (right - left)) // 2
    while top < 0 or left < 0 or top + side > map_size or left + side > map_size:
        top += (top < 0) - (top + side > map_size)
        left += (left < 0) - (left + side > map_size)
    return top, left, top + side, left + side


def naive_crop(image: np.ndarray, box: Box, map_size: int, crop_size: int) -> np.ndarray:
    """Crop one pixel and one sample at a time."""
    size = len(image)

    def sample(y: float, x: float) -> np.ndarray:
        y, x = (min(max(position, 0.0), size - 1.0) for position in (y, x))
        top, left = math.floor(y), math.floor(x)
        bottom, right = min(top + 1, size - 1), min(left + 1, size - 1)
        upper = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
        lower = image[bottom, left] * (1 - x + left) + image[bottom, right] * (x - left)
        return upper * (1 - y + top) + lower * (y - top)

    scale = size / map_size
    top, left, bottom, _ = (edge * scale for edge in box)
    step = (bottom - top) / crop_size
    crop = np.zeros((crop_size, crop_size, 3))
    for i in range(crop_size):
        for j in range(crop_size):
            for dy in (0.25, 0.75):
                for dx in (0.25, 0.75):
                    position = top + (i + dy) * step - 0.5, left + (j + dx) * step - 0.5
                    crop[i, j] += sample(*position) / 4
    return crop
