"""Attention maps: do they point at the part that an attribute is about, and how narrowly?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asen_tf.data.fitting import Box


def attention_peak(
    attention: np.ndarray, extent: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """Return the centre of the map's highest cell as `(x, y)` shares of the frame.

    Args:
        attention: `(h, w)`. Of equal cells, the first in reading order counts.
        extent: where the map starts and ends on the frame; see `asen_tf.backbones.map_extent`.

    Example:
        The lower right cell of a 2 x 2 map has its centre at (0.75, 0.75).
    """
    row, column = np.unravel_index(int(np.argmax(attention)), attention.shape)
    start, width = extent[0], extent[1] - extent[0]
    height, across = attention.shape
    return start + width * (column + 0.5) / across, start + width * (row + 0.5) / height


def contains(box: Box, point: tuple[float, float]) -> bool:
    """Return whether a point `(x, y)` lies in a box."""
    left, top, right, bottom = box
    return left <= point[0] < right and top <= point[1] < bottom


def intersection_over_union(first: Box, second: Box) -> float:
    """Return the area of the overlap over the area of the union.

    Example:
        Unit squares that overlap by half: 0.5 / 1.5 = 1/3.
    """
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    overlap = max(width, 0.0) * max(height, 0.0)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second))
    return overlap / (areas - overlap) if areas > overlap else 0.0


def pointing_and_overlap(
    *,
    pairs: np.ndarray,
    attention: np.ndarray,
    boxes: np.ndarray,
    map_size: int,
    regions: Mapping[tuple[int, int], Box],
    attributes: tuple[str, ...],
    extent: tuple[float, float] = (0.0, 1.0),
) -> dict[str, np.ndarray]:
    """Measure attention maps and regions of interest against the true boxes of the parts.

    Only pairs with a true box count; an invisible part has none. "Pointing" says whether the
    attention's maximum lies inside the true box (the pointing game of Zhang et al., "Top-down
    Neural Attention by Excitation Backprop", arXiv 1608.00507, without a tolerance), "overlap" is
    the intersection over union of the square region of interest with the box. The baseline sees
    neither attribute nor image: it points at the centre of the frame, and its region is a centred
    square of the same size as the region it is compared with, so that the two differ in position
    only.

    Args:
        pairs: `(P, 2)` image and attribute index.
        attention: `(P, h, w)`.
        boxes: `(P, 4)` regions of interest: top, left, bottom, right in pixels of `map_size`.
        map_size: px, side of the global input.
        regions: true boxes by (image, attribute), as shares of the frame.
        attributes: names, in index order.
        extent: of the maps, as for `attention_peak`.

    Returns:
        `(n, 4)` float64 by name of each attribute with a true box, then `overall`, of all pairs:
        pointing, 0 or 1; overlap, 0 to 1; then both of the baseline. Empty without any box.
    """
    scores: dict[int, list[tuple[float, ...]]] = {}
    for (image, attribute), heat, square in zip(pairs, attention, boxes, strict=True):
        truth = regions.get((int(image), int(attribute)))
        if truth is None:
            continue
        top, left, bottom, right = (float(edge) / map_size for edge in square)
        half = (bottom - top) / 2
        centred = (0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half)
        scores.setdefault(int(attribute), []).append(
            (
                contains(truth, attention_peak(heat, extent)),
                intersection_over_union(truth, (left, top, right, bottom)),
                contains(truth, (0.5, 0.5)),
                intersection_over_union(truth, centred),
            )
        )
    named = {attributes[index]: scores[index] for index in sorted(scores)}
    if named:
        named["overall"] = [score for part in scores.values() for score in part]
    return {name: np.array(part, np.float64) for name, part in named.items()}


def attention_entropy(attention: np.ndarray) -> np.ndarray:
    """Return each map's entropy as a share of the largest possible, that of a flat map.

    `-sum(a log a) / log(h w)`: 1 for a flat map, 0 for a single cell; two equal cells of a 2 x 2
    map give log 2 / log 4 = 0.5.

    Args:
        attention: `(P, h, w)`, non-negative, each map with sum 1.

    Returns:
        `(P,)` float64.
    """
    flat = np.asarray(attention, np.float64).reshape(len(attention), -1)
    logarithm = np.log(flat, where=flat > 0.0, out=np.zeros_like(flat))
    return -(flat * logarithm).sum(axis=1) / max(np.log(flat.shape[1]), 1e-12)


def region_side(boxes: np.ndarray, map_size: int) -> np.ndarray:
    """Return each square region's side as a share of the frame's.

    Args:
        boxes: `(P, 4)`: top, left, bottom, right in pixels of the frame.
        map_size: px, side of the frame.

    Returns:
        `(P,)` float64.
    """
    boxes = np.asarray(boxes, np.float64)
    return (boxes[:, 2] - boxes[:, 0]) / map_size
