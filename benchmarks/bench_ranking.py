"""MAP at the size of FashionAI's test split against a loop over queries, and its growth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from asen_tf.evaluation import retrieval_metrics

ATTRIBUTES, QUERIES, CANDIDATES, DIMENSIONS, VALUES = 8, 450, 1800, 2048, 7


def space(queries: int, candidates: int, dimensions: int = DIMENSIONS) -> dict[str, np.ndarray]:
    """Return random unit embeddings and values of one attribute."""
    rng = np.random.default_rng(0)
    found = {}
    for role, count in (("query", queries), ("candidate", candidates)):
        vectors = rng.normal(size=(count, dimensions)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found |= {f"{role}_embeddings": vectors, f"{role}_values": rng.integers(VALUES, size=count)}
    return found


def average_precisions(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Measure as the evaluation does."""
    return retrieval_metrics(**parts)["average_precision"]


def loop(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Walk down each query's ranking, as the definition of average precision reads."""
    precisions = []
    for query, value in zip(parts["query_embeddings"], parts["query_values"], strict=True):
        scores = parts["candidate_embeddings"] @ query
        hits, total = 0, 0.0
        for rank, candidate in enumerate(np.argsort(-scores, kind="stable"), start=1):
            if parts["candidate_values"][candidate] == value:
                hits += 1
                total += hits / rank
        precisions.append(total / hits)
    return np.array(precisions)


def loop_in_numpy(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Do the same with one NumPy expression per query."""
    precisions = []
    for query, value in zip(parts["query_embeddings"], parts["query_values"], strict=True):
        order = np.argsort(-(parts["candidate_embeddings"] @ query), kind="stable")
        hits = (parts["candidate_values"] == value)[order]
        precisions.append((np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)).mean())
    return np.array(precisions)


def every(measure: Any, parts: dict[str, np.ndarray]) -> None:
    """Measure all attributes."""
    for _ in range(ATTRIBUTES):
        measure(parts)


def test_map_against_the_naive_loop(paired: Any, notes: Any) -> None:
    """The whole test split, eight attributes; ratio against walking down each ranking."""
    parts = space(QUERIES, CANDIDATES)
    np.testing.assert_allclose(average_precisions(parts), loop(parts), rtol=1e-3)
    ours, naive = paired(
        lambda: every(average_precisions, parts),
        lambda: every(loop, parts),
        rounds=3,
    )
    notes.add(
        "MAP at FashionAI's test size, against the naive loop",
        ours=f"{ours:.2f} s",
        against=f"loop over queries and ranks {naive:.2f} s",
        ratio=naive / ours,
        goal="5x",
        met=naive / ours >= 5,
    )


def test_map_against_one_numpy_expression_per_query(paired: Any, notes: Any) -> None:
    """The same against a loop over queries alone, which NumPy does the rest of."""
    parts = space(QUERIES, CANDIDATES)
    ours, naive = paired(
        lambda: every(average_precisions, parts),
        lambda: every(loop_in_numpy, parts),
        rounds=3,
    )
    notes.add(
        "MAP at FashionAI's test size, against NumPy query by query",
        ours=f"{ours:.2f} s",
        against=f"one NumPy expression per query {naive:.2f} s",
        ratio=naive / ours,
    )


def test_growth_of_map_with_the_number_of_candidates(paired: Any, notes: Any) -> None:
    """Queries stay at 256; the exponent between 4,000 and 64,000 candidates."""
    small, large = (space(256, count, 256) for count in (4_000, 64_000))
    more, less = paired(
        lambda: average_precisions(large), lambda: average_precisions(small), rounds=3
    )
    notes.add(
        "Growth of MAP with N: exponent from 4,000 to 64,000 candidates",
        ours=f"{more:.2f} s at 64,000",
        against=f"{less:.3f} s at 4,000",
        ratio=math.log(more / less) / math.log(16),
    )
