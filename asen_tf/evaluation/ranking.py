"""Retrieval where an image may hold several values of an attribute: any shared one counts.

The metrics of many queries at once, from embeddings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from asen_tf.evaluation.metrics import check_k, random_average_precision

_BLOCK = 128  # queries ranked together


def normalise(embeddings: np.ndarray) -> np.ndarray:
    """Return embeddings scaled to unit length, so that a dot product is the cosine.

    Args:
        embeddings: (..., D) floats.

    Returns:
        The same shape and dtype; a zero vector stays zero, its cosine with anything is 0.
    """
    # Squares are taken in float64: they neither overflow nor vanish for any float32.
    norm = np.sqrt(np.einsum("...d,...d->...", embeddings, embeddings, dtype=np.float64))
    return embeddings / np.where(norm > 0, norm, 1.0).astype(embeddings.dtype)[..., None]


def retrieval_metrics(
    *,
    query_embeddings: np.ndarray,
    query_values: np.ndarray,
    candidate_embeddings: np.ndarray,
    candidate_values: np.ndarray,
    ks: Iterable[int] = (),
    block: int = _BLOCK,
) -> dict[str, np.ndarray]:
    """Rank all candidates of one attribute for each of its queries, by dot product.

    A candidate is relevant when it has the query's value. Candidates with equal scores keep
    their order: the earlier one ranks first. (Equal embeddings may differ in the last bit of
    their score, since a matrix product need not sum every column in the same order.)

    Work is done for `block` queries at a time on all cores; memory beside the arguments is about
    20 bytes times `block` times N per core. Scores are float32 unless an argument is wider.

    Args:
        query_embeddings: (Q, D), normalised when the cosine is wanted (see `normalise`).
        query_values: (Q,) value indices.
        candidate_embeddings: (N, D).
        candidate_values: (N,) value indices.
        ks: for which k to give recall@k and precision@k.
        block: queries ranked together, 1 or more.

    Returns:
        (Q,) float64 arrays by name: "average_precision", and "recall@k" and "precision@k" for
        each k, as defined in `asen_tf.evaluation.metrics`.

    Raises:
        ValueError: shapes that do not fit, `k` or `block` below 1, or scores that are not finite.
    """
    ks = [check_k(k) for k in ks]
    queries, candidates = np.asarray(query_embeddings), np.asarray(candidate_embeddings)
    query_values, candidate_values = np.asarray(query_values), np.asarray(candidate_values)
    _check_shapes(queries, query_values, "query")
    _check_shapes(candidates, candidate_values, "candidate")
    if queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            "query and candidate embeddings must have one dimension; "
            f"got {queries.shape[1]} and {candidates.shape[1]}"
        )
    if block < 1:
        raise ValueError(f"block must be 1 or more; got {block}")
    dtype = np.result_type(queries, candidates, np.float32)
    queries, candidates = queries.astype(dtype, copy=False), candidates.astype(dtype, copy=False)

    def measure(scores: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
        if not np.isfinite(scores).all():
            raise ValueError("embeddings must give finite scores; got NaN or infinity")
        relevant = values[:, None] == candidate_values
        return measure_ranks(*relevant_ranks(scores, relevant), len(scores), ks)

    blocks: list[dict[str, np.ndarray]] = []
    with ThreadPoolExecutor(cores()) as pool:  # NumPy sorts without the GIL
        for start in range(0, max(len(queries), 1), block * cores()):
            # One product for all threads: several at once would fight for the cores.
            part = slice(start, start + block * cores())
            scores, values = queries[part] @ candidates.T, query_values[part]
            rows = [slice(row, row + block) for row in range(0, max(len(scores), 1), block)]
            blocks += pool.map(measure, [scores[r] for r in rows], [values[r] for r in rows])
    return {name: np.concatenate([part[name] for part in blocks]) for name in blocks[0]}


def average_precisions(
    *,
    query_embeddings: np.ndarray,
    query_values: np.ndarray,
    candidate_embeddings: np.ndarray,
    candidate_values: np.ndarray,
    block: int = _BLOCK,
) -> np.ndarray:
    """Return the (Q,) float64 average precisions; arguments as for `retrieval_metrics`."""
    return retrieval_metrics(
        query_embeddings=query_embeddings,
        query_values=query_values,
        candidate_embeddings=candidate_embeddings,
        candidate_values=candidate_values,
        block=block,
    )["average_precision"]


def mean_average_precision(
    *,
    query_embeddings: np.ndarray,
    query_values: np.ndarray,
    candidate_embeddings: np.ndarray,
    candidate_values: np.ndarray,
    block: int = _BLOCK,
) -> float:
    """Return the MAP of one attribute: the mean of `average_precisions`; NaN without queries."""
    values = average_precisions(
        query_embeddings=query_embeddings,
        query_values=query_values,
        candidate_embeddings=candidate_embeddings,
        candidate_values=candidate_values,
        block=block,
    )
    return float(values.mean()) if len(values) else math.nan


def relevant_ranks(scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and 0-based rank of every relevant candidate, ordered by row, then rank.

    Args:
        scores: (Q, N) floats without NaN.
        relevant: (Q, N) bool.
    """
    if scores.dtype != np.float32:
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.nonzero(np.take_along_axis(relevant, order, axis=1))
    # One integer per candidate holds all that ranking needs, and sorting plain integers is three
    # times as fast as a stable argsort: from the high bits down, the score, the position that
    # breaks ties, and the relevance. As integers, the bits of IEEE floats are ordered like the
    # floats once the lower bits of negative ones are inverted; 0.0 - x also merges -0.0 and 0.0.
    bits = (0.0 - scores).view(np.int32)
    keys = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys <<= 32
    keys |= 2 * np.arange(scores.shape[1])
    keys |= relevant
    keys.sort(axis=1)
    return np.nonzero((keys & 1).astype(bool))


def measure_ranks(
    rows: np.ndarray, ranks: np.ndarray, queries: int, ks: list[int]
) -> dict[str, np.ndarray]:
    """Return the metrics of `queries` rows from what `relevant_ranks` gives."""
    relevant = np.bincount(rows, minlength=queries)
    nth = np.arange(1, len(rows) + 1) - (np.cumsum(relevant) - relevant)[rows]
    total = np.bincount(rows, weights=nth / (ranks + 1), minlength=queries)
    measured = {"average_precision": total / np.maximum(relevant, 1)}
    for k in ks:
        hits = np.bincount(rows[ranks < k], minlength=queries)
        measured[f"recall@{k}"] = (hits > 0).astype(np.float64)
        measured[f"precision@{k}"] = hits / k
    return measured


def _check_shapes(embeddings: np.ndarray, values: np.ndarray, role: str) -> None:
    if embeddings.ndim != 2 or values.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{role} embeddings must have shape (n, D) and {role} values shape (n,); "
            f"got {embeddings.shape} and {values.shape}"
        )


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_BLOCK_SEVERAL_VALUES = 128  # queries ranked together


def shared_value_precisions(
    *,
    query_embeddings: np.ndarray,
    query_images: np.ndarray,
    query_holds: np.ndarray,
    candidate_embeddings: np.ndarray,
    candidate_images: np.ndarray,
    candidate_holds: np.ndarray,
    block: int = _BLOCK_SEVERAL_VALUES,
) -> np.ndarray:
    """Return average precisions of one attribute; relevant is who shares any value of the query.

    The query's own image is no candidate of it.

    Args:
        query_embeddings: (Q, D) floats, normalised when the cosine is wanted.
        query_images: (Q,) image indices.
        query_holds: (Q, V) bool, which values an image holds.
        candidate_embeddings: (N, D).
        candidate_images: (N,) image indices, distinct.
        candidate_holds: (N, V) bool.
        block: queries ranked together, 1 or more.

    Returns:
        (Q,) float64 fractions; 0 for a query without a relevant candidate.

    Raises:
        ValueError: a candidate image occurs twice, or scores are not finite.
    """
    if len(np.unique(candidate_images)) < len(candidate_images):
        raise ValueError("candidate images must be distinct; got one of them twice")

    def precisions(start: int) -> np.ndarray:
        part = slice(start, start + block)
        scores = query_embeddings[part] @ candidate_embeddings.T
        if not np.isfinite(scores).all():
            raise ValueError("embeddings must give finite scores; got NaN or infinity")
        own = query_images[part, None] == candidate_images
        # Last and irrelevant is the same as absent: precision is taken at relevant ranks alone.
        scores[own] = -np.inf
        relevant = _shared(query_holds[part], candidate_holds) & ~own
        ranked = relevant_ranks(scores, relevant)
        return measure_ranks(*ranked, len(scores), [])["average_precision"]

    starts = range(0, len(query_images), block)
    if not starts:
        return np.zeros(0)
    with ThreadPoolExecutor(min(cores(), len(starts))) as pool:
        return np.concatenate(list(pool.map(precisions, starts)))


def random_shared_value_precisions(
    *,
    query_images: np.ndarray,
    query_holds: np.ndarray,
    candidate_images: np.ndarray,
    candidate_holds: np.ndarray,
) -> np.ndarray:
    """Return the (Q,) exact expectations for a random ranking; arguments as above."""
    expected = np.zeros(len(query_images))
    for row, (image, holds) in enumerate(zip(query_images, query_holds, strict=True)):
        others = candidate_images != image
        relevant = int((_shared(holds[None], candidate_holds)[0] & others).sum())
        expected[row] = random_average_precision(relevant, int(others.sum()))
    return expected


def _shared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (Q, N) whether rows of two (., V) memberships share a value."""
    return (left.astype(np.float32) @ right.astype(np.float32).T) > 0.0
