"""The exact ranking, and the metrics of many queries at once.

Whatever is ranked exactly follows one rule, that of `ranked`: the highest score first, and
candidates with equal scores in their original order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from asen_tf.evaluation.metrics import check_k, shares_value

_BLOCK = 128  # queries ranked together

# Rows of queries -> which candidates are relevant to each, (q, N) bool, and which are not
# ranked for it at all; None where all are.
_Relevance = Callable[[slice], tuple[np.ndarray, np.ndarray | None]]


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


def ranked(
    scores: np.ndarray, *, top: int | None = None, among: np.ndarray | None = None
) -> np.ndarray:
    """Return the places of the candidates, best first.

    Example:
        `ranked([0.2, 0.9, 0.2])` is 1, 0, 2: of the equal ones the earlier comes first.

    Args:
        scores: (..., N) floats without NaN, for one query or for many.
        top: how many places to return; all of them when None.
        among: (..., N) bool, which candidates to rank; the others come last. All when None.

    Returns:
        (..., min(top, N)) int64, indices into the last axis of `scores`.
    """
    falling = -np.asarray(scores)
    if among is not None:
        falling = np.where(among, falling, np.inf)
    return np.argsort(falling, axis=-1, kind="stable")[..., :top]


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

    Each thread ranks `block` queries at a time, on all cores; memory beyond the arguments is about
    20 bytes times `block` times N per core. Scores are float32 unless an argument is wider. The
    result does not depend on the number of cores.

    Args:
        query_embeddings: (Q, D), normalised if the cosine is wanted (see `normalise`).
        query_values: (Q,) value indices.
        candidate_embeddings: (N, D).
        candidate_values: (N,) value indices.
        ks: the k of recall@k and precision@k.
        block: queries ranked together, 1 or more.

    Returns:
        (Q,) float64 arrays by name: "average_precision", and for each k "precision@k", the share
        of relevant candidates among the first k (a missing one is not relevant), and "recall@k", 1
        when one of the first k is relevant, else 0. That is the recall@k of metric learning (Oh
        Song et al., CVPR 2016), not the share of the relevant candidates that were found.

    Raises:
        ValueError: shapes that do not match, `k` or `block` below 1, or scores that are not finite.
    """
    query_values, candidate_values = np.asarray(query_values), np.asarray(candidate_values)

    def relevance(rows: slice) -> tuple[np.ndarray, None]:
        return query_values[rows, None] == candidate_values, None

    queries, candidates = np.asarray(query_embeddings), np.asarray(candidate_embeddings)
    _check_shapes(queries, query_values, "query")
    _check_shapes(candidates, candidate_values, "candidate")
    return _measure(queries, candidates, relevance, [check_k(k) for k in ks], block)


def shared_value_precisions(
    *,
    query_embeddings: np.ndarray,
    query_images: np.ndarray,
    query_holds: np.ndarray,
    candidate_embeddings: np.ndarray,
    candidate_images: np.ndarray,
    candidate_holds: np.ndarray,
    block: int = _BLOCK,
) -> np.ndarray:
    """Return average precisions of one attribute whose images may hold several of its values.

    A candidate is relevant when it shares any value with the query. The query's own image is not
    a candidate.

    Args:
        query_embeddings: (Q, D) floats, normalised if the cosine is wanted.
        query_images: (Q,) image indices.
        query_holds: (Q, V) bool, which values an image holds.
        candidate_embeddings: (N, D).
        candidate_images: (N,) image indices, distinct.
        candidate_holds: (N, V) bool.
        block: queries ranked together, 1 or more.

    Returns:
        (Q,) float64 fractions; 0 for a query without a relevant candidate.

    Raises:
        ValueError: a candidate image occurs twice, `block` is below 1, or scores are not finite.
    """
    if len(np.unique(candidate_images)) < len(candidate_images):
        raise ValueError("candidate images must be distinct; got one of them twice")

    def relevance(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        own = query_images[rows, None] == candidate_images
        return shares_value(query_holds[rows], candidate_holds) & ~own, own

    found = _measure(query_embeddings, candidate_embeddings, relevance, [], block)
    return found["average_precision"]


def _measure(
    queries: np.ndarray, candidates: np.ndarray, relevance: _Relevance, ks: list[int], block: int
) -> dict[str, np.ndarray]:
    """Rank the candidates for each query, block by block on all cores, and measure the lists."""
    if queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            "query and candidate embeddings must have the same dimension; "
            f"got {queries.shape[1]} and {candidates.shape[1]}"
        )
    if block < 1:
        raise ValueError(f"block must be 1 or more; got {block}")
    dtype = np.result_type(queries, candidates, np.float32)
    queries, candidates = queries.astype(dtype, copy=False), candidates.astype(dtype, copy=False)

    def measure(start: int) -> dict[str, np.ndarray]:
        scores = queries[start : start + block] @ candidates.T
        if not np.isfinite(scores).all():
            raise ValueError("embeddings must give finite scores; got NaN or infinity")
        relevant, left_out = relevance(slice(start, start + len(scores)))
        if left_out is not None:
            # Last and irrelevant is as good as absent: only relevant ranks count.
            scores[left_out] = -np.inf
        return measure_ranks(*relevant_ranks(scores, relevant), len(scores), ks)

    starts = range(0, max(len(queries), 1), block)
    # How a product is divided decides in which order it is summed, hence its last bit, hence which
    # of two candidates that are nearly alike ranks first. So the blocks are the same on any number
    # of cores, and each is one thread's. NumPy multiplies and sorts without the GIL.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_cores()) as pool:
        blocks = list(pool.map(measure, starts))
    return {name: np.concatenate([part[name] for part in blocks]) for name in blocks[0]}


def relevant_ranks(scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and 0-based rank of every relevant candidate, ordered by row, then rank.

    The order is that of `ranked`. Example: scores 0.2, 0.9, 0.5 of which the first and the last
    are relevant rank 2, 0, 1, so the result is rows 0, 0 and ranks 1, 2.

    Args:
        scores: (Q, N) floats without NaN.
        relevant: (Q, N) bool.
    """
    if scores.dtype != np.float32:
        return np.nonzero(np.take_along_axis(relevant, ranked(scores), axis=1))
    # Metrics need only know at which ranks the relevant candidates stand, not which ones they are.
    # So each candidate becomes one 64-bit integer, and sorting plain integers is three times as
    # fast as a stable argsort. From the highest bit down, the integer holds
    #   32 bits: the negated score, so that the best sorts first;
    #   31 bits: the candidate's place, so that of equal scores the earlier sorts first;
    #    1 bit:  whether it is relevant, which the sort carries along.
    # A float32 sorts like its own bits read as an integer if it is positive; among negative ones
    # the order is reversed, which inverting all bits but the sign puts right. (`bits >> 31` is all
    # ones for a negative number, else zero.) `0.0 - x`, unlike `-x`, never gives -0.0, whose bits
    # differ from those of 0.0 although the two are equal.
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
    """Return the metrics of `queries` rows from the result of `relevant_ranks`."""
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


def usable_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1
