"""The definitions: metrics of one ranked list.

`relevance` is the list itself, best candidate first: (N,), true where the candidate has the
query's value. `asen_tf.ranking.retrieval` computes the same numbers for many queries at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def average_precision(relevance: ArrayLike) -> float:
    """Return the average precision (AP) of a whole ranked list.

    AP = (1/R) * sum over the relevant ranks k of precision@k, where R is the number of relevant
    candidates in the list and precision@k the share of relevant ones among the first k. Without
    any relevant candidate AP is 0. It is the measure of Dong et al., IEEE TIP 2021.

    Example:
        `average_precision([1, 0, 1, 0])` is (1/1 + 2/3) / 2 = 5/6.

    Args:
        relevance: (N,) booleans in ranked order; N may be 0.

    Raises:
        ValueError: `relevance` has more than one axis.
    """
    ranks = 1 + np.flatnonzero(_ranked_list(relevance))
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else 0.0


def precision_at_k(relevance: ArrayLike, k: int) -> float:
    """Return the share of relevant candidates among the first k.

    The divisor is k even when the list is shorter: an absent candidate is not a relevant one.

    Example:
        `precision_at_k([1, 0, 1, 0], 3)` is 2/3.

    Args:
        relevance: (N,) booleans in ranked order.
        k: how many of the first candidates count, 1 or more.

    Raises:
        ValueError: `k` is below 1, or `relevance` has more than one axis.
    """
    return float(np.count_nonzero(_ranked_list(relevance)[: check_k(k)]) / k)


def recall_at_k(relevance: ArrayLike, k: int) -> float:
    """Return 1 when at least one of the first k candidates is relevant, else 0.

    This is the recall@k of the metric-learning literature (Oh Song et al., CVPR 2016, and
    the papers since): its mean over queries is the share of queries with a hit.
    It is not the share of the relevant candidates that were found.

    Example:
        `recall_at_k([0, 0, 1, 1], 2)` is 0 and `recall_at_k([0, 0, 1, 1], 3)` is 1.

    Args:
        relevance: (N,) booleans in ranked order.
        k: how many of the first candidates count, 1 or more.

    Raises:
        ValueError: `k` is below 1, or `relevance` has more than one axis.
    """
    return float(_ranked_list(relevance)[: check_k(k)].any())


def check_k(k: int) -> int:
    """Return `k`, or raise ValueError when it is below 1."""
    if k < 1:
        raise ValueError(f"k must be 1 or more; got {k}")
    return k


def _ranked_list(relevance: ArrayLike) -> np.ndarray:
    array = np.asarray(relevance, bool)
    if array.ndim != 1:
        raise ValueError(f"relevance must have shape (N,); got {array.shape}")
    return array
