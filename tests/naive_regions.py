"""Regions of interest and their crops, one pixel at a time: an oracle."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

Box = tuple[int, int, int, int]


def naive_map(
    attention: np.ndarray, map_size: int, extent: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Read a map at every pixel of its frame; `extent` is where its cells start and end there."""
    counts = attention.shape
    start, width = extent[0], extent[1] - extent[0]
    levels = np.zeros((map_size, map_size))
    for row in range(map_size):
        for column in range(map_size):
            y, x = (
                min(max(((p + 0.5) / map_size - start) / width * n - 0.5, 0.0), n - 1.0)
                for p, n in zip((row, column), counts, strict=True)
            )
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if i < counts[0] and j < counts[1]:
                        share = (1.0 - abs(y - i)) * (1.0 - abs(x - j))
                        levels[row, column] += share * float(attention[i, j])
    return levels


def naive_box(
    attention: np.ndarray,
    map_size: int,
    threshold: float,
    extent: tuple[float, float] = (0.0, 1.0),
    **rule: Any,
) -> Box | None:
    """Redo the steps one pixel at a time; None where rounding decides which pixels are kept."""
    kept = naive_kept(attention, map_size, threshold, extent, rule.get("rule"), rule.get("share"))
    return None if kept is None else naive_square(kept, rule.get("least", 0.0))


def naive_kept(
    attention: np.ndarray,
    map_size: int,
    threshold: float,
    extent: tuple[float, float],
    rule: str | None,
    share: float | None,
) -> np.ndarray | None:
    """Flag the pixels that a rule keeps; None where rounding decides."""
    first_kept = math.floor(255.0 * threshold) + 1
    if rule == "peak":
        attention = naive_peak(attention, first_kept)
    values = naive_map(attention, map_size, extent)
    span = values.max() - values.min()
    if span < 1e-9:
        return np.ones(values.shape, bool)
    levels = (values - values.min()) / span * 255.0
    if rule == "mass":
        between = levels[(levels > 1e-3) & (levels < 255.0 - 1e-3)]
        if np.abs(between - np.round(between)).min(initial=1.0) < 1e-3:
            return None
        levels = np.floor(levels + 1e-3)
        for level in range(255, -1, -1):
            held = values[levels >= level].sum() / values.sum()
            if abs(held - share) < 1e-5:
                return None
            if held > share:
                return levels >= level
    if np.abs(levels - first_kept).min() < 1e-3:
        return None
    return levels > first_kept - 1e-3


def naive_peak(attention: np.ndarray, first_kept: int) -> np.ndarray:
    """Walk from the highest cell to its neighbours; all cells that are not reached are lowered."""
    span = float(attention.max() - attention.min())
    if span == 0.0:
        return attention
    levels = np.floor(255 * ((attention - attention.min()) / np.float32(span)))
    ahead = [tuple(np.argwhere(attention == attention.max())[0])]
    reached: set[tuple[int, ...]] = set()
    while ahead:
        row, column = ahead.pop()
        inside = 0 <= row < attention.shape[0] and 0 <= column < attention.shape[1]
        if inside and (row, column) not in reached and levels[row, column] >= first_kept:
            reached.add((row, column))
            ahead += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    lowered = np.full_like(attention, attention.min())
    for place in reached:
        lowered[place] = attention[place]
    return lowered


def naive_square(kept: np.ndarray, least: float = 0.0) -> Box:
    """Return the square around kept pixels: half and centre of a side, as the release has them."""
    rows = [row for row in range(len(kept)) if kept[row].any()]
    columns = [column for column in range(len(kept)) if kept[:, column].any()]
    sizes = [max(places) - min(places) + 1 for places in (rows, columns)]
    side = max(*sizes, math.ceil(Fraction(str(least)) * len(kept)))  # without rounding
    half = side // 2
    starts = []
    for places, size in zip((rows, columns), sizes, strict=True):
        centre = min(places) + size // 2
        start = centre - half
        if start < 0:
            start = 0
        if start + side > len(kept):
            start = len(kept) - side
        starts.append(start)
    top, left = starts
    return top, left, top + side, left + side


def naive_crop(image: np.ndarray, box: Box, map_size: int, crop_size: int) -> np.ndarray:
    """Crop pixel by pixel: a mean whose weights fall linearly over a crop pixel's width."""
    size = len(image)
    top, left, bottom, _ = (edge * size / map_size for edge in box)
    step = (bottom - top) / crop_size
    reach = max(step, 1.0)

    def weights(start: float, number: int) -> dict[int, float]:
        centre = start + (number + 0.5) * step
        found = {k: 1 - abs(k + 0.5 - centre) / reach for k in range(size)}
        found = {k: weight for k, weight in found.items() if weight > 0}
        return {k: weight / sum(found.values()) for k, weight in found.items()}

    crop = np.zeros((crop_size, crop_size, 3))
    for i in range(crop_size):
        for j in range(crop_size):
            for y, down in weights(top, i).items():
                for x, across in weights(left, j).items():
                    crop[i, j] += down * across * image[y, x]
    return crop
