"""How concentrated an attention map is."""

from __future__ import annotations

import numpy as np


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
