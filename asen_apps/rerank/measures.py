"""Lists of candidates, re-sorted and measured: arrays in, numbers out.

The candidates of a query never change. Only the first K of its list, here `top`, are put into
another order; everything behind them stays where it is. So precision@k for k above K cannot change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from asen_tf.evaluation import ranked
from asen_tf.evaluation.metrics import check_k

_BLOCK = 64  # queries ranked together


@dataclass(frozen=True)
class LabelledImages:
    """Images labelled for one attribute, as queries or as candidates.

    Attributes:
        images: `(n,)` int, image indices, distinct.
        holds: `(n, V)` bool, which of the attribute's values an image holds.
        general: `(n, D)` float, embeddings that ignore attributes, of unit length.
        specific: `(n, E)` float, embeddings for the attribute, of unit length.
    """

    images: np.ndarray
    holds: np.ndarray
    general: np.ndarray
    specific: np.ndarray

    def __post_init__(self) -> None:
        """Check the shapes once, so that all users can rely on them."""
        shapes = {name: np.shape(getattr(self, name)) for name in self.__dataclass_fields__}
        count = len(self.images)
        fits = shapes.pop("images") == (count,)
        if not fits or any(len(shape) != 2 or shape[0] != count for shape in shapes.values()):
            raise ValueError(
                "there must be images of shape (n,), and holds, general and specific of shape "
                f"(n, width); got {np.shape(self.images)} and {shapes}"
            )
        if len(np.unique(self.images)) < count:
            raise ValueError("images must be distinct; got one of them twice")


@dataclass(frozen=True)
class Shortlists:
    """The first M of each query's list by general similarity, best first.

    Attributes:
        places: `(Q, M)` int64, rows of the candidates.
        listed: `(Q, M)` bool; False behind the end of a list that is shorter than M, because the
            query's own image is not a candidate for it. The other arrays mean nothing there.
        relevant: `(Q, M)` bool, whether a candidate shares a value with the query.
        general: `(Q, M)` float, cosine by the general embedding, falling.
        specific: `(Q, M)` float, cosine by the attribute's embedding.
        anywhere: `(Q,)` float64, mean general cosine over all candidates of the query.
        candidates: how many candidates there are.
    """

    places: np.ndarray
    listed: np.ndarray
    relevant: np.ndarray
    general: np.ndarray
    specific: np.ndarray
    anywhere: np.ndarray
    candidates: int

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.places)

    @property
    def lengths(self) -> np.ndarray:
        """`(Q,)`, how many candidates each list holds."""
        return self.listed.sum(axis=1)


def shortlist(
    queries: LabelledImages, candidates: LabelledImages, *, depth: int, block: int = _BLOCK
) -> Shortlists:
    """Rank all candidates of one attribute by the general embedding and keep the first ones.

    A candidate is relevant when it shares any of the query's values; the query's own image is not
    a candidate for it. Candidates with equal cosines keep their order.

    Args:
        queries: Q images.
        candidates: N images.
        depth: how many of each list to keep, 1 or more; M is this, or N if that is less.
        block: queries ranked together; memory beside the arguments is about
            `block * (12 N + 4 M E)` bytes.

    Raises:
        ValueError: widths that differ between queries and candidates, `depth` or `block` below 1,
            or cosines that are not finite.
    """
    for name in ("holds", "general", "specific"):
        wide, other = (getattr(images, name).shape[1] for images in (queries, candidates))
        if wide != other:
            raise ValueError(
                f"{name} of queries and candidates must have one width; got {wide} and {other}"
            )
    if depth < 1 or block < 1:
        raise ValueError(f"depth and block must be 1 or more; got {depth} and {block}")

    def first(start: int) -> tuple[np.ndarray, ...]:
        part = slice(start, start + block)
        scores = queries.general[part] @ candidates.general.T
        others = queries.images[part, None] != candidates.images
        total = scores.sum(axis=1, where=others, dtype=np.float64)
        anywhere = total / np.maximum(others.sum(axis=1), 1)
        places = ranked(scores, among=others, top=depth)
        listed = np.take_along_axis(others, places, axis=1)
        general = np.take_along_axis(scores, places, axis=1)
        specific = np.einsum("qe,qme->qm", queries.specific[part], candidates.specific[places])
        if not (np.isfinite(scores).all() and np.isfinite(specific).all()):
            raise ValueError("embeddings must give finite cosines; got NaN or infinity")
        shared = (queries.holds[part, None] & candidates.holds[places]).any(axis=2)
        return places, listed, shared & listed, general, specific, anywhere

    blocks = [first(start) for start in range(0, max(len(queries.images), 1), block)]
    arrays = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    return Shortlists(*arrays, candidates=len(candidates.images))


Measures = dict[str, np.ndarray]  # "precision@k", "similarity@k", "kept@k" -> (Q,) float64


def reorder(lists: Shortlists, *, top: int, weight: float) -> np.ndarray:
    """Re-sort the first `top` of each list by a blend of both cosines.

    The blend is `(1 - t) cos_general + t cos_specific` with t = `weight`: 0 leaves the list as it
    is, 1 ignores the general similarity within the first `top`. Equal blends keep their order.

    Example:
        General cosines 0.9, 0.8, 0.7 and specific ones 0.1, 0.6, 0.5: with t = 1 the order is
        1, 2, 0; with t = 0.2 (0.74, 0.76, 0.66) it is 1, 0, 2.

    Args:
        lists: Q lists of M candidates.
        top: K, 1 or more.
        weight: t, from 0 to 1.

    Returns:
        `(Q, M)` int64: for each place, which place of the initial list is there now.

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
        ks: each 1 or more; M must be at least the largest k, or all candidates.

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
    size = np.minimum(top, lists.lengths)
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
    if top < 1:
        raise ValueError(f"top, the number of re-sorted candidates, must be >= 1; got {top}")
    order = _unchanged(lists)
    order[:, :top] = ranked(scores[:, :top], among=lists.listed[:, :top])
    return order


def _unchanged(lists: Shortlists) -> np.ndarray:
    return np.tile(np.arange(lists.places.shape[1]), (len(lists), 1))


def _along(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(array, order, axis=1)
