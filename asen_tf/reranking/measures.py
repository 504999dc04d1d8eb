"""What a re-sorted list is worth: arrays in, numbers out, with both ends of what is possible.

The candidates of a query never change. Only the first K of its list, here `top`, are put into
another order; everything behind them stays where it is. So precision@k for k above K cannot change.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from asen_tf.ranking.metrics import check_k
from asen_tf.reranking.shortlists import Shortlists

Measures = dict[str, np.ndarray]  # "precision@k", "similarity@k", "kept@k" -> (Q,) float64


def reorder(lists: Shortlists, *, top: int, weight: float) -> np.ndarray:
    """Re-sort the first `top` of each list by a blend of both cosines.

    The blend is `(1 - t) cos_general + t cos_specific` with t = `weight`: 0 leaves the list as it
    is, 1 forgets the general similarity within the first `top`. Equal blends keep their order.

    Example:
        General cosines 0.9, 0.8, 0.7 and specific ones 0.1, 0.6, 0.5: with t = 1 the order is
        1, 2, 0; with t = 0.2 (0.74, 0.76, 0.66) it is 1, 0, 2.

    Args:
        lists: Q lists of M candidates.
        top: K, 1 or more.
        weight: t, from 0 to 1.

    Returns:
        `(Q, M)` int64: which place of the initial list stands at each place now.

    Raises:
        ValueError: an argument out of range.
    """
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"the blend's weight must lie between 0 and 1; got {weight}")
    blend = (1.0 - weight) * lists.general + weight * lists.specific
    return _sorted_head(lists, blend, top)


def by_label(lists: Shortlists, *, top: int) -> np.ndarray:
    """Re-sort the first `top` of each list by the labels: the upper bound of any re-sorting.

    All relevant ones come first, in the order of the initial list; so does the rest. Arguments
    and result are those of `reorder`.
    """
    return _sorted_head(lists, lists.relevant.astype(np.float64), top)


def measure(lists: Shortlists, order: np.ndarray, ks: Iterable[int]) -> Measures:
    """Measure re-sorted lists.

    Args:
        lists: Q lists of M candidates.
        order: `(Q, M)` places of the initial list, as `reorder` returns them.
        ks: each 1 or more; for k above M nothing is known but what the M first hold, so M has to
            be at least the largest k, or all candidates.

    Returns:
        `(Q,)` float64 by name, for each k: "precision@k", the share of relevant ones among the
        first k (the divisor is k, even where there are fewer candidates); "similarity@k", their
        mean general cosine; "kept@k", the share of the initial first k that are still among them.
        Without any candidate these are 0, 0 and 1.

    Raises:
        ValueError: `k` below 1.
    """
    listed, relevant = (_along(array, order) for array in (lists.listed, lists.relevant))
    general = np.where(listed, _along(lists.general.astype(np.float64), order), 0.0)
    found: Measures = {}
    for k in map(check_k, ks):
        count = np.minimum(k, lists.lengths)
        stayed = listed[:, :k] & (order[:, :k] < k)
        kept = stayed.sum(axis=1) / np.maximum(count, 1)
        found[f"precision@{k}"] = relevant[:, :k].sum(axis=1) / k
        # Summed in one order whatever the list's: the same images have the same sum to the bit.
        total = np.sort(general[:, :k], axis=1).sum(axis=1)
        found[f"similarity@{k}"] = total / np.maximum(count, 1)
        found[f"kept@{k}"] = np.where(count > 0, kept, 1.0)
    return found


def expected_at_random(lists: Shortlists, *, top: int, ks: Iterable[int]) -> Measures:
    """Return the exact expectation of `measure` when the first `top` are in random order.

    With R relevant ones among the first K = min(top, length), every place holds a relevant one with
    probability R / K: for k <= K, E[precision@k] = R / K, E[similarity@k] is the mean over all K,
    and a given candidate stays among the first k with probability k / K. For k > K nothing changes.

    Example:
        Lists of relevance 0 1 1 0 with top = 4: precision@1 is 0 before, and 1/2 in expectation.

    Args:
        lists: Q lists.
        top: K, 1 or more.
        ks: each 1 or more.
    """
    ks = list(ks)
    found = measure(lists, _unchanged(lists), ks)
    size = np.minimum(_check_top(top), lists.lengths)
    head = measure(lists, _unchanged(lists), [top])
    share = head[f"precision@{top}"] * top / np.maximum(size, 1)
    for k in ks:
        drawn = k <= size
        for name, value in (
            ("precision", share),
            ("similarity", head[f"similarity@{top}"]),
            ("kept", k / np.maximum(size, 1)),
        ):
            found[f"{name}@{k}"] = np.where(drawn, value, found[f"{name}@{k}"])
    return found


def _sorted_head(lists: Shortlists, scores: np.ndarray, top: int) -> np.ndarray:
    order = _unchanged(lists)
    head = np.where(lists.listed, -scores, np.inf)[:, : _check_top(top)]
    order[:, :top] = np.argsort(head, axis=1, kind="stable")
    return order


def _unchanged(lists: Shortlists) -> np.ndarray:
    return np.tile(np.arange(lists.places.shape[1]), (len(lists), 1))


def _along(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(array, order, axis=1)


def _check_top(top: int) -> int:
    if top < 1:
        raise ValueError(f"at least the first candidate must be re-sorted: top >= 1; got {top}")
    return top
