"""How fast a whole test evaluation is at the size of FashionAI's test split (marked slow)."""

from __future__ import annotations

import time

import numpy as np
import pytest

from asen_tf.evaluation import retrieval_metrics

ATTRIBUTES, QUERIES, CANDIDATES, DIMENSIONS, VALUES = 8, 450, 1800, 2048, 7


def loop(queries: np.ndarray, candidates: np.ndarray, relevant: np.ndarray) -> float:
    """Rank and count query by query."""
    precisions = []
    for query, wanted in zip(queries, relevant, strict=True):
        order = np.argsort(-(candidates @ query), kind="stable")
        hits = wanted[order]
        precisions.append((np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)).mean())
    return float(np.mean(precisions))


@pytest.mark.slow
def test_the_fashionai_test_split_is_evaluated_in_a_second() -> None:
    rng = np.random.default_rng(0)
    spaces = []
    for _ in range(ATTRIBUTES):
        queries = rng.normal(size=(QUERIES, DIMENSIONS)).astype(np.float32)
        candidates = rng.normal(size=(CANDIDATES, DIMENSIONS)).astype(np.float32)
        values = rng.integers(VALUES, size=QUERIES), rng.integers(VALUES, size=CANDIDATES)
        spaces.append((queries, candidates, *values))

    def vectorised() -> list[float]:
        return [
            retrieval_metrics(
                query_embeddings=queries,
                query_values=query_values,
                candidate_embeddings=candidates,
                candidate_values=candidate_values,
            )["average_precision"].mean()
            for queries, candidates, query_values, candidate_values in spaces
        ]

    vectorised()  # the first call wakes the threads of the matrix library
    started = time.perf_counter()
    found = vectorised()
    seconds = time.perf_counter() - started

    started = time.perf_counter()
    expected = []
    for queries, candidates, query_values, candidate_values in spaces:
        queries, candidates = (
            x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, candidates)
        )
        relevant = query_values[:, None] == candidate_values[None]
        expected.append(loop(queries, candidates, relevant))
    naive = time.perf_counter() - started

    print(
        f"\nevaluation {seconds:.2f} s; query by query {naive:.2f} s; {naive / seconds:.1f} times"
    )
    # Products of another shape round otherwise, and near ties of random vectors change places.
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert seconds < min(1.5, 0.8 * naive)  # 1 s is the aim; half a second for a noisy machine
