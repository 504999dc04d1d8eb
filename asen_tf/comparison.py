"""Two methods over the same queries: a paired bootstrap over queries and seeds.

Queries and seeds are both seen as samples: other queries might have been asked, and other seeds
trained with. A difference is real when its interval leaves out zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Difference:
    """How much better a method is than another for one attribute.

    Attributes:
        attribute: its name, or `overall` or `macro`.
        difference: mean of the first minus mean of the second, a fraction.
        low: lower end of the interval; NaN where nothing can be said.
        high: upper end.
    """

    attribute: str
    difference: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0.0 or self.high < 0.0


def paired_differences(
    first: Mapping[str, ArrayLike],
    second: Mapping[str, ArrayLike],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Difference]:
    """Compare two methods, query by query and seed by seed.

    Each resample draws as many seeds as there are, with replacement, and as many queries; what is
    drawn is the same for both methods, and the queries are the same for all seeds drawn. Of one
    seed only the queries are drawn: the interval then says nothing of other seeds.

    Args:
        first: `(S, Q_a)` average precisions of S seeds by attribute, fractions.
        second: the same of the other method: same attributes, seeds and queries, in this order.
        resamples: bootstrap samples.
        confidence: of the percentile interval, between 0 and 1.
        seed: the same seed gives the same intervals.

    Returns:
        One difference per attribute; then `overall`, where queries are drawn from all attributes
        together, so that each query weighs the same; then `macro`, the unweighted mean of the
        attributes', where they are drawn within each. An interval has NaN ends where there is
        only one seed and one query.

    Raises:
        ValueError: other attributes, shapes or numbers than these, or an argument out of range.

    References:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; both samples are drawn
        independently of each other, as for crossed factors.
    """
    if resamples < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(
            "resamples must be 1 or more and confidence lie between 0 and 1; "
            f"got {resamples} and {confidence}"
        )
    gaps = _gaps(first, second)
    rng = np.random.default_rng(seed)
    seeds = len(next(iter(gaps.values())))
    seed_weights = _weights(rng, resamples, seeds)
    tail = 50.0 * (1.0 - confidence)

    def difference(name: str, value: float, samples: np.ndarray, known: bool) -> Difference:
        low, high = np.percentile(samples, [tail, 100.0 - tail]) if known else (math.nan, math.nan)
        return Difference(name, float(value), float(low), float(high))

    drawn = {name: _resampled(rng, seed_weights, gap) for name, gap in gaps.items()}
    found = [difference(name, gap.mean(), drawn[name], gap.size > 1) for name, gap in gaps.items()]
    pooled = np.concatenate(list(gaps.values()), axis=1)
    samples = _resampled(rng, seed_weights, pooled)
    found.append(difference("overall", pooled.mean(), samples, pooled.size > 1))
    middle = np.mean([gap.mean() for gap in gaps.values()])
    samples = np.mean(list(drawn.values()), axis=0)
    found.append(difference("macro", middle, samples, any(gap.size > 1 for gap in gaps.values())))
    return found


def _resampled(rng: np.random.Generator, seed_weights: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return the mean gap of each resample, `(resamples,)`."""
    query_weights = _weights(rng, len(seed_weights), gap.shape[1])
    return np.einsum("rs,rs->r", seed_weights, query_weights @ gap.T)


def _weights(rng: np.random.Generator, resamples: int, count: int) -> np.ndarray:
    """Return how often each of `count` things is drawn, as shares: `(resamples, count)`."""
    return rng.multinomial(count, np.full(count, 1.0 / count), size=resamples) / count


def _gaps(first: Mapping[str, ArrayLike], second: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """Return first minus second by attribute, checked."""
    if not first or list(first) != list(second):
        raise ValueError(
            f"both methods need the same attributes, at least one; got {list(first)} and "
            f"{list(second)}"
        )
    gaps = {}
    for name in first:
        left, right = (np.asarray(part[name], np.float64) for part in (first, second))
        if left.ndim != 2 or left.shape != right.shape or not left.size:
            raise ValueError(
                f"{name}: both methods need values of shape (seeds, queries), the same for both; "
                f"got {left.shape} and {right.shape}"
            )
        gaps[name] = left - right
        if not np.isfinite(gaps[name]).all():
            raise ValueError(f"{name}: values must be finite")
    if len({len(gap) for gap in gaps.values()}) > 1:
        raise ValueError("all attributes need values of the same seeds")
    return gaps
