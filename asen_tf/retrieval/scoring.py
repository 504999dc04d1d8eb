"""Scores and orders that are the same on every run: the definition all backends answer to."""

from __future__ import annotations

import numpy as np

_BLOCK = 4096  # rows whose products are in memory at once


def exact_scores(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return inner products in float64, so that equal vectors have equal scores to the last bit.

    A matrix product would not promise that: it may sum columns in another order from row to row.

    Args:
        vectors: `(n, D)` float32.
        query: `(D,)` float32.

    Returns:
        `(n,)` float64.
    """
    scores = np.empty(len(vectors))
    for first in range(0, len(vectors), _BLOCK):
        block = slice(first, first + _BLOCK)
        # Products of float32 are exact in float64; each row is then summed in one fixed order.
        products = np.multiply(vectors[block], query, dtype=np.float64)
        scores[block] = np.ascontiguousarray(products).sum(axis=1)
    return scores


def best_first(scores: np.ndarray, ids: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the k highest scores, the lower id first where scores are equal.

    Args:
        scores: `(n,)` floats.
        ids: `(n,)` distinct integers.
        k: how many; all where there are fewer.

    Returns:
        `(min(k, n),)` places in `scores`.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= threshold)  # k or more: all that tie at the cut
    else:
        places = np.arange(len(scores))
    return places[np.lexsort((ids[places], -scores[places]))][:k]
