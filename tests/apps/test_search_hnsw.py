"""The graph: nearly all of the best, exact scores, never fewer than asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known_vectors import KnownEmbedder, exact_score, paths, random_vectors, unit

from asen_apps.search import AttributeIndex
from asen_apps.search import vectors as choosing
from asen_apps.search.faiss_backend import DEAD_SHARE, DIRECT, FaissBackend
from asen_apps.search.vectors import HNSW_FROM, new_backend

COUNT, DIMENSION = 6000, 24
IDS = np.arange(COUNT) * 3
assert COUNT > DIRECT  # below, no graph is needed


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, DIMENSION))
    return unit(centres[rng.integers(60, size=COUNT)] + 0.4 * rng.normal(size=(COUNT, DIMENSION)))


def graph(vectors: np.ndarray, dtype: str = "float32") -> FaissBackend:
    backend = FaissBackend(DIMENSION, kind="hnsw", dtype=dtype)
    backend.add(IDS, vectors)
    return backend


@pytest.fixture(scope="module")
def exact(vectors: np.ndarray) -> FaissBackend:
    backend = FaissBackend(DIMENSION)
    backend.add(IDS, vectors)
    return backend


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_recall_is_high_and_scores_are_exact(vectors, exact, dtype: str) -> None:
    backend = graph(vectors, dtype)
    queries = random_vectors(50, DIMENSION, seed=3)
    queries[:25] = vectors[:25]
    scores, ids = backend.search(queries, 10)
    best = exact.search(queries, 10)[1]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids, best, strict=True)])
    assert recall > 0.95
    for query, row_scores, row_ids in zip(queries[:5], scores, ids, strict=False):
        stored = backend.vectors(row_ids)
        expected = [exact_score(vector, query) for vector in stored]
        np.testing.assert_allclose(row_scores, expected, atol=1e-14)
        assert np.all(np.diff(row_scores) <= 0)


def test_the_same_vectors_give_the_same_files(vectors, tmp_path: Path) -> None:
    for name in ("a", "b"):
        graph(vectors).save(tmp_path, name)
    assert (tmp_path / "a.faiss").read_bytes() == (tmp_path / "b.faiss").read_bytes()


def test_filters_and_removal_hold_and_hits_are_complete(vectors, exact) -> None:
    backend = graph(vectors)
    rng = np.random.default_rng(1)
    query = vectors[:1]
    for share in (0.9, 0.7, 0.01):
        allowed = IDS[rng.random(COUNT) < share]
        ids = backend.search(query, 30, allowed)[1][0]
        assert set(ids.tolist()) <= set(allowed.tolist()) and len(set(ids.tolist())) == 30
        best = exact.search(query, 30, allowed)[1][0]
        assert len(set(ids.tolist()) & set(best.tolist())) >= 27
    assert np.count_nonzero(backend.search(query, COUNT + 1)[1] >= 0) == COUNT
    near = backend.search(query, 10)[1][0]
    backend.remove(near)
    assert not set(backend.search(query, 50)[1][0].tolist()) & set(near.tolist())
    assert len(backend) == COUNT - 10 and backend._index.ntotal == COUNT  # they sleep in the graph
    backend.add(near[:1], vectors[:1])
    assert backend.search(query, 1)[1].tolist() == [[near[0]]]


def test_many_removals_build_the_graph_anew(vectors) -> None:
    backend = graph(vectors)
    gone = IDS[: int(DEAD_SHARE * COUNT) + 1]
    backend.remove(gone)
    assert backend._index.ntotal == len(backend) == COUNT - len(gone)
    kept = IDS[len(gone) :]
    assert np.array_equal(backend.vectors(kept), vectors[len(gone) :])


def test_auto_takes_the_graph_from_the_stated_size_on(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = {"attribute": "a", "dimension": 8, "dtype": "float32"}
    assert new_backend("auto", count=HNSW_FROM - 1, **choice).kind == "exact"
    assert new_backend("auto", count=HNSW_FROM, **choice).kind == "hnsw"
    assert new_backend("exact", count=HNSW_FROM, **choice).kind == "exact"
    monkeypatch.setattr(choosing, "HNSW_FROM", 30)
    vectors = random_vectors(40, 8)
    index = AttributeIndex.build(KnownEmbedder(a=vectors), paths(29))
    index.prepare(["a"])
    assert index.store.backends["a"].kind == "exact"
    index.add(paths(40)[29:])
    assert index.store.backends["a"].kind == "hnsw"
    assert np.array_equal(index.vectors("a"), vectors)
