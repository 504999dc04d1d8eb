"""Retrieval where an image may hold several values of an attribute: any shared one counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from asen_tf.ranking.chance import random_average_precision
from asen_tf.ranking.retrieval import cores, measure_ranks, relevant_ranks

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
