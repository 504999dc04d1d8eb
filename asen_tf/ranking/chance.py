"""What a random ranking scores: exact, so that no simulation is needed for the first row."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np


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


def random_map(*, query_values: np.ndarray, candidate_values: np.ndarray) -> float:
    """Return the expected MAP of one attribute under random ranking; NaN without queries.

    Args:
        query_values: (Q,) integer value indices.
        candidate_values: (N,) likewise.
    """
    expected = random_average_precisions(
        query_values=query_values, candidate_values=candidate_values
    )
    return float(expected.mean()) if len(expected) else math.nan
