"""The metrics: of one ranked list, averaged over queries, and what a random ranking scores.

`relevance` is one ranked list, best candidate first: (N,), true where the candidate is relevant.
`asen_tf.evaluation.ranking` computes the same numbers for many queries at once.

`values` are the results of single queries, (Q,) by attribute name: average precision, recall@k and
so on. Attributes without queries are ignored. What a random ranking scores is exact, so it needs no
simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from asen_tf.data.records import Split


def average_precision(relevance: ArrayLike) -> float:
    """Return the average precision (AP) of a whole ranked list.

    AP = (1/R) * sum over the relevant ranks k of precision@k, where R is the number of relevant
    candidates in the list and precision@k the share of relevant ones among the first k. Without
    any relevant candidate, AP is 0. It is the metric of Dong et al., IEEE TIP 2021.

    Example:
        `average_precision([1, 0, 1, 0])` is (1/1 + 2/3) / 2 = 5/6.

    Args:
        relevance: (N,) booleans in ranked order; N may be 0.

    Raises:
        ValueError: `relevance` has more than one axis.
    """
    relevant = np.asarray(relevance, bool)
    if relevant.ndim != 1:
        raise ValueError(f"relevance must have shape (N,); got {relevant.shape}")
    ranks = 1 + np.flatnonzero(relevant)
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else 0.0


def check_k(k: int) -> int:
    """Return `k`, or raise ValueError when it is below 1."""
    if k < 1:
        raise ValueError(f"k must be 1 or more; got {k}")
    return k


def overall(values: Mapping[str, np.ndarray]) -> float:
    """Return the mean over all queries: attributes are weighted by their number of queries.

    Example:
        Two queries at 1.0 in one attribute and one at 0.4 in another: 2.4 / 3 = 0.8.
    """
    arrays = [np.asarray(array, np.float64) for array in values.values() if len(array)]
    return float(np.concatenate(arrays).mean()) if arrays else math.nan


def macro(values: Mapping[str, np.ndarray]) -> float:
    """Return the unweighted mean of the attributes' means.

    Example:
        Two queries at 1.0 in one attribute and one at 0.4 in another: (1.0 + 0.4) / 2 = 0.7.
    """
    means = [np.mean(array, dtype=np.float64) for array in values.values() if len(array)]
    return float(np.mean(means)) if means else math.nan


def summarise(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean of each attribute, then `overall` and `macro`; NaN without queries."""
    means = {
        name: float(np.mean(array, dtype=np.float64)) if len(array) else math.nan
        for name, array in values.items()
    }
    return {**means, "overall": overall(values), "macro": macro(values)}


@lru_cache(maxsize=1024)
def random_average_precision(relevant: int, candidates: int) -> float:
    """Return the expected average precision when the candidates are in random order.

    E[AP] = (H_N + (R - 1) / (N - 1) * (N - H_N)) / N, with R relevant ones of N candidates and the
    harmonic number H_N = 1 + 1/2 + ... + 1/N. It follows from E[AP] = (1/N) * sum over k of the
    expected precision@k given that rank k is relevant, which is (1 + (k-1)(R-1)/(N-1)) / k.

    Example:
        One relevant of two: its rank is 1 or 2, so (1 + 1/2) / 2 = 0.75.

    Args:
        relevant: R, from 0 to N; with R = 0 the result is 0.
        candidates: N.

    Raises:
        ValueError: R is negative or above N.
    """
    if not 0 <= relevant <= candidates:
        raise ValueError(
            "the relevant candidates must be some of the candidates; "
            f"got {relevant} relevant of {candidates}"
        )
    if relevant == 0:
        return 0.0
    if relevant == candidates:
        return 1.0
    harmonic = math.fsum(1 / k for k in range(1, candidates + 1))
    follow = (relevant - 1) / (candidates - 1)
    return (harmonic + follow * (candidates - harmonic)) / candidates


def random_average_precisions(
    *, query_values: np.ndarray, candidate_values: np.ndarray
) -> np.ndarray:
    """Return the expected average precision of each query of one attribute.

    Args:
        query_values: (Q,) integer value indices.
        candidate_values: (N,) likewise.

    Returns:
        (Q,) float64; 0 for a query without a relevant candidate.
    """
    values, inverse = np.unique(np.asarray(query_values), return_inverse=True)
    candidate_values = np.asarray(candidate_values)
    relevant = [int(np.count_nonzero(candidate_values == value)) for value in values]
    expected = [random_average_precision(count, len(candidate_values)) for count in relevant]
    return np.array(expected, np.float64)[inverse]


def random_split_precisions(split: Split) -> dict[str, np.ndarray]:
    """Return the expected average precision of each query of a split, (Q,) by attribute."""
    return {
        name: random_average_precisions(
            query_values=queries[:, 2], candidate_values=candidates[:, 2]
        )
        for name, queries, candidates in queries_and_candidates(split)
    }


def random_maps(split: Split) -> dict[str, float]:
    """Return the exact expected MAP of each attribute, and `overall` and `macro`, as fractions.

    Args:
        split: valid or test, with queries and candidates.

    Returns:
        By attribute name; NaN for an attribute without queries.
    """
    return summarise(random_split_precisions(split))


def random_shared_value_precisions(
    *,
    query_images: np.ndarray,
    query_holds: np.ndarray,
    candidate_images: np.ndarray,
    candidate_holds: np.ndarray,
) -> np.ndarray:
    """Return the (Q,) exact expectations of `asen_tf.evaluation.shared_value_precisions`.

    Args:
        query_images: (Q,) image indices.
        query_holds: (Q, V) bool, which values an image holds.
        candidate_images: (N,) image indices, distinct; a query's own image is not a candidate.
        candidate_holds: (N, V) bool.
    """
    expected = np.zeros(len(query_images))
    for row, (image, holds) in enumerate(zip(query_images, query_holds, strict=True)):
        others = candidate_images != image
        relevant = int((shares_value(holds[None], candidate_holds)[0] & others).sum())
        expected[row] = random_average_precision(relevant, int(others.sum()))
    return expected


def shares_value(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (Q, N) bool, whether images share a value, from (Q, V) and (N, V) bool."""
    return (left.astype(np.float32) @ right.astype(np.float32).T) > 0.0


def queries_and_candidates(split: Split) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each attribute's name, queries and candidates: rows of image, attribute and value."""
    for index, name in enumerate(split.attributes.names):
        queries, candidates = (
            rows[rows[:, 1] == index] for rows in (split.queries, split.candidates)
        )
        yield name, queries, candidates
