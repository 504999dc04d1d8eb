"""Confidence intervals: bootstrap (Efron and Tibshirani, 1993) for means, Wilson's for shares.

Of one method: `bootstrap_interval` and `macro_interval`, over queries. The queries of the test
split are treated as a sample of all queries one might ask. The interval says how far the metric may
move with another sample; it says nothing about another training seed. SciPy is only loaded at the
first call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

_BATCH = 128  # resamples held in memory together
_Z = 1.959963984540054  # quantile of the normal distribution for 95%


def bootstrap_interval(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = 2000, seed: int
) -> tuple[float, float]:
    """Return the interval (low, high) of the mean over queries.

    Args:
        values: (Q,) the metric of each query, such as average precisions.
        confidence: the nominal coverage, between 0 and 1.
        resamples: bootstrap samples.
        seed: the same seed gives the same interval.

    Returns:
        Equal ends when all values are equal; (NaN, NaN) for fewer than two queries, which give
        no interval.

    Raises:
        ValueError: values of another shape or not finite, or an argument out of range.
    """
    return macro_interval([values], confidence=confidence, resamples=resamples, seed=seed)


def macro_interval(
    samples: Iterable[ArrayLike], *, confidence: float = 0.95, resamples: int = 2000, seed: int
) -> tuple[float, float]:
    """Return the interval of the unweighted mean of the attributes' means.

    Queries are resampled within each attribute, so that every attribute keeps its number.

    Args:
        samples: one (Q_a,) array per attribute; empty ones are ignored.
        confidence: as for `bootstrap_interval`, like the other arguments.
        resamples: bootstrap samples.
        seed: the same seed gives the same interval.

    Returns:
        (low, high). An attribute with one query counts as known exactly; if none has two, both
        ends are NaN.

    Raises:
        ValueError: values of another shape or not finite, or an argument out of range.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(
            "confidence must lie between 0 and 1, and resamples be 1 or more; got "
            f"{confidence} and {resamples}"
        )
    strata = [array for array in map(checked, samples) if len(array)]
    if all(len(array) < 2 for array in strata):
        return math.nan, math.nan
    if all(np.ptp(array) == 0 for array in strata):
        value = float(np.mean([array[0] for array in strata]))
        return value, value
    # SciPy needs two observations per sample; the same value twice has the same bootstrap.
    data = tuple(np.repeat(array, 2) if len(array) == 1 else array for array in strata)
    from scipy import stats  # half a second to load, and only needed here

    interval = stats.bootstrap(
        data,
        _mean_of_means,
        n_resamples=resamples,
        batch=_BATCH,
        vectorized=True,
        axis=-1,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _mean_of_means(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(np.stack([sample.mean(axis=axis) for sample in samples]), axis=0)


def checked(values: ArrayLike) -> np.ndarray:
    """Return values as `(Q,)` float64; ValueError unless they are finite and of that shape."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"values must be finite, of shape (Q,); got shape {array.shape}")
    return array


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95% score interval (low, high) of a share: `right` of `count`; NaN if that is 0.

    Example:
        For 1 of 2, the centre is 1/2 and the half width 0.4053: 0.0945 to 0.9055.

    Raises:
        ValueError: more than all are right, or fewer than none.

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not 0 <= right <= count:
        raise ValueError(f"right must lie between 0 and count; got {right} of {count}")
    if not count:
        return math.nan, math.nan
    share, weight = right / count, _Z**2 / count
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return centre - half, centre + half
