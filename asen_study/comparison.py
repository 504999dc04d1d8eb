"""Two methods on the same queries: how far apart they are, and whether that is significant.

`paired_differences` draws queries and seeds anew (Efron and Tibshirani, 1993). Both are treated
as samples: other queries might have been asked, and other seeds used for training. A difference is
significant when its interval excludes zero. `fold_differences` is for folds, whose queries differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from asen_tf.evaluation.intervals import checked


@dataclass(frozen=True)
class Difference:
    """How much better one method is than another for one attribute.

    Attributes:
        attribute: its name, or `overall` or `macro`.
        difference: mean of the first minus mean of the second, a fraction.
        low: lower end of the interval; NaN where there is none.
        high: upper end.
    """

    attribute: str
    difference: float
    low: float
    high: float


def paired_differences(
    first: Mapping[str, ArrayLike],
    second: Mapping[str, ArrayLike],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Difference]:
    """Compare two methods, query by query and seed by seed.

    Each resample draws as many seeds as there are, with replacement, and as many queries. The draw
    is the same for both methods, and the queries are the same for all seeds drawn. With one seed,
    only the queries vary: the interval then says nothing about other seeds.

    Args:
        first: `(S, Q_a)` average precisions of S seeds by attribute, fractions.
        second: the same for the other method: same attributes, seeds and queries, in this order.
        resamples: bootstrap samples.
        confidence: of the percentile interval, between 0 and 1.
        seed: the same seed gives the same intervals.

    Returns:
        One difference per attribute; then `overall`, where queries are drawn from all attributes
        together, so that each query weighs the same; then `macro`, the unweighted mean of the
        attributes' differences, where queries are drawn within each attribute. The ends of an
        interval are NaN if there is only one seed and one query.

    Raises:
        ValueError: attributes or shapes that differ, values that are not finite, or an argument
            out of range.

    References:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; seeds and queries are
        drawn independently of each other, as for crossed factors.
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
    outside = 50.0 * (1.0 - confidence)

    def difference(name: str, value: float, samples: np.ndarray, known: bool) -> Difference:
        low, high = (
            np.percentile(samples, [outside, 100.0 - outside]) if known else (math.nan, math.nan)
        )
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


def fold_differences(
    first: Mapping[str, Sequence[ArrayLike]],
    second: Mapping[str, Sequence[ArrayLike]],
    *,
    resamples: int = 2000,
) -> list[Difference]:
    """Compare two methods fold by fold, each fold with queries and a training of its own.

    Every number is the mean over folds of the fold's own. Each resample draws as many folds as
    there are, with replacement, and then, for each attribute, as many queries of the fold that was
    drawn: a fold that is drawn twice has other queries each time.

    Args:
        first: for each attribute, S arrays `(Q_as,)` of average precisions, fractions.
        second: the same for the other method: same attributes, folds and queries, in this order.
        resamples: bootstrap samples, the same ones every time.

    Returns:
        One `Difference` per attribute, with its 95% interval, then `overall` (queries weigh equally
        within a fold) and `macro` (attributes weigh equally). An attribute without queries in some
        fold is left out.

    Raises:
        ValueError: attributes, folds or queries differ, or values are not finite.
    """
    if list(first) != list(second) or len({len(part) for part in first.values()}) != 1:
        raise ValueError("both methods need the same attributes, at least one, and the same folds")
    gaps = {
        name: [
            checked(left) - checked(right)
            for left, right in zip(first[name], second[name], strict=True)
        ]
        for name in first
    }
    gaps = {name: parts for name, parts in gaps.items() if all(len(part) for part in parts)}
    if not gaps:
        raise ValueError("no attribute has queries in every fold")
    rng = np.random.default_rng(0)
    folds = len(next(iter(gaps.values())))
    drawn = rng.integers(folds, size=(resamples, folds))
    means = np.stack([[part.mean() for part in parts] for parts in gaps.values()])  # (A, S)
    counts = np.stack([[len(part) for part in parts] for parts in gaps.values()])
    samples = np.empty((len(gaps), resamples, folds))
    for attribute, parts in enumerate(gaps.values()):
        for fold, gap in enumerate(parts):
            at = drawn == fold
            samples[attribute][at] = _weights(rng, int(at.sum()), len(gap)) @ gap

    def difference(name: str, value: float, resampled: np.ndarray) -> Difference:
        low, high = np.percentile(resampled.mean(axis=1), [2.5, 97.5])
        return Difference(name, float(value), float(low), float(high))

    shares = counts / counts.sum(axis=0)
    pooled = (shares[:, drawn] * samples).sum(axis=0)
    return [
        *(difference(name, means[a].mean(), samples[a]) for a, name in enumerate(gaps)),
        difference("overall", (shares * means).sum(axis=0).mean(), pooled),
        difference("macro", means.mean(), samples.mean(axis=0)),
    ]


def _resampled(rng: np.random.Generator, seed_weights: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return the mean gap of each resample, `(resamples,)`."""
    query_weights = _weights(rng, len(seed_weights), gap.shape[1])
    return np.einsum("rs,rs->r", seed_weights, query_weights @ gap.T)


def _weights(rng: np.random.Generator, resamples: int, count: int) -> np.ndarray:
    """Return how often each of `count` items is drawn, as shares: `(resamples, count)`."""
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
