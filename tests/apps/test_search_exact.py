"""Exact search is a plain ranking of all vectors, to the last place, including ties and cuts."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_vectors import (
    KnownEmbedder,
    brute_force,
    exact_score,
    paths,
    random_vectors,
    tied_vectors,
    unit,
)

from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search.faiss_backend import DIRECT, FaissBackend

COUNT = 5000  # more than DIRECT, so that FAISS proposes
assert COUNT > DIRECT


def filled(vectors: np.ndarray, ids: np.ndarray | None = None, **choice: str) -> FaissBackend:
    backend = FaissBackend(vectors.shape[1], **choice)
    backend.add(np.arange(len(vectors)) if ids is None else ids, vectors)
    return backend


def check(backend: FaissBackend, vectors: np.ndarray, ids: np.ndarray, query, k, allowed=None):
    scores, found = backend.search(query[None], k, allowed)
    expected = [exact_score(vector, query) for vector in vectors]
    chosen = None if allowed is None else set(allowed.tolist())
    best = brute_force(expected, ids.tolist(), k, chosen)
    assert found[0].tolist() == best + [-1] * (k - len(best))
    by_id = dict(zip(ids.tolist(), expected, strict=True))
    np.testing.assert_allclose(scores[0][: len(best)], [by_id[i] for i in best], atol=1e-14)
    assert np.all(scores[0][len(best) :] == -np.inf)


@pytest.mark.parametrize("dimension", [3, 48])
@pytest.mark.parametrize("k", [1, 10, 100, COUNT, COUNT + 5])
def test_random_vectors_with_repeats_rank_as_a_plain_loop_says(dimension: int, k: int) -> None:
    vectors = random_vectors(COUNT, dimension)
    vectors[4000:] = vectors[:1000]  # every one of these ties with another
    ids = np.random.default_rng(1).permutation(3 * COUNT)[:COUNT]
    backend = filled(vectors, ids)
    for query in (vectors[17], random_vectors(1, dimension, seed=2)[0]):
        check(backend, vectors, ids, query, k)


@pytest.mark.parametrize("k", [1, 7, 40, 500])
def test_many_ties_at_the_cut_go_to_the_lower_id(k: int) -> None:
    vectors = tied_vectors(COUNT)
    ids = np.random.default_rng(1).permutation(COUNT)
    backend = filled(vectors, ids)
    scores = backend.search(vectors[:1], k)[0][0]
    everything = backend.search(vectors[:1], COUNT)[0][0]
    assert k < 3 or np.count_nonzero(everything == scores[-1]) > 1  # the cut is inside a tie
    for query in vectors[:3]:
        check(backend, vectors, ids, query, k)


def test_all_vectors_the_same_are_listed_by_id() -> None:
    vectors = np.repeat(random_vectors(1, 40), COUNT, axis=0)
    ids = np.random.default_rng(3).permutation(COUNT)
    assert filled(vectors, ids).search(vectors[:1], 20)[1].tolist() == [list(range(20))]


def test_rounding_of_float32_does_not_change_the_order() -> None:
    # Scores differ by some 1e-8, and a sum in float32 is off by more than that.
    rng = np.random.default_rng(0)
    base = random_vectors(1, 64)[0].astype(np.float64)
    vectors = unit(base + 1e-7 * rng.normal(size=(COUNT, 64)))
    query = random_vectors(1, 64, seed=5)[0]
    rough = np.argsort(-(vectors @ query), kind="stable")[:10].tolist()
    ids = np.arange(COUNT)
    backend = filled(vectors)
    check(backend, vectors, ids, query, 10)
    assert backend.search(query[None], 10)[1][0].tolist() != rough  # float32 alone is wrong here


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.95])
def test_only_allowed_ids_are_found(share: float) -> None:
    vectors, ids = tied_vectors(COUNT), np.arange(COUNT) * 2
    allowed = ids[np.random.default_rng(0).random(COUNT) < share]
    backend = filled(vectors, ids)
    check(backend, vectors, ids, vectors[5], 20, np.append(allowed, 99_999))  # one is unknown


def test_many_queries_at_once_are_as_many_searches() -> None:
    vectors, queries = random_vectors(COUNT, 24), random_vectors(50, 24, seed=1)
    backend = filled(vectors)
    scores, ids = backend.search(queries, 5)
    for row, query in enumerate(queries):  # FAISS takes another path for a single query
        alone = backend.search(query[None], 5)
        assert np.array_equal(alone[1][0], ids[row]) and np.array_equal(alone[0][0], scores[row])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_sequence_of_changes_leaves_what_a_dict_would_hold(data: st.DataObject) -> None:
    pool = tied_vectors(40, dimension=5)
    backend, model = FaissBackend(5), {}
    for _ in range(data.draw(st.integers(1, 6))):
        new = data.draw(st.lists(st.integers(0, 30), unique=True))
        new = [item for item in new if item not in model]
        backend.add(np.array(new, np.int64), pool[new])
        model |= {item: pool[item] for item in new}
        if model:
            gone = data.draw(st.lists(st.sampled_from(sorted(model)), unique=True))
            backend.remove(np.array(gone, np.int64))
            for item in gone:
                del model[item]
        assert len(backend) == len(model) and backend.ids.tolist() == sorted(model)
        for item, vector in model.items():
            assert np.array_equal(backend.vectors(np.array([item]))[0], vector)
        k = data.draw(st.integers(1, 12))
        vectors = np.array(list(model.values()), np.float32).reshape(len(model), 5)
        check(backend, vectors, np.array(list(model), np.int64), pool[35], k)


def test_float16_takes_half_and_is_off_by_no_more_than_stated() -> None:
    dimension = 256
    vectors, query = random_vectors(COUNT, dimension), random_vectors(1, dimension, seed=1)
    single, half = filled(vectors), filled(vectors, dtype="float16")
    stored = half.vectors(np.arange(COUNT))
    assert np.array_equal(stored, stored.astype(np.float16))
    rounding = np.maximum(np.abs(vectors) * 2.0**-11, 2.0**-25)  # half of the last digit
    assert np.all(np.abs(stored.astype(np.float64) - vectors) <= rounding)
    bound = 2.0**-11 + 2.0**-25 * np.sqrt(dimension)
    assert bound < 0.0005
    scores, ids = (backend.search(query, COUNT)[at][0] for at, backend in ((0, half), (1, half)))
    exact = dict(zip(*(a[0].tolist() for a in single.search(query, COUNT)[::-1]), strict=True))
    errors = np.abs(scores - [exact[item] for item in ids.tolist()])
    assert 1e-5 < errors.max() <= bound
    check(half, stored, np.arange(COUNT), query[0], 30)  # and exact for what is stored


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        ([1], [[1.0, 0, 0]], r"must have shape \(n, 2\); got \(1, 3\)"),
        ([1], [[0.5, 0]], "must have length 1; row 0 has 0.5"),
        ([1], [[np.nan, 0]], "must have length 1; row 0 has nan"),
        ([1, 1], [[1.0, 0], [0, 1]], "distinct; got 1 more than once"),
        ([1, 2], [[1.0, 0]], "one id per vector; got 2 ids, 1 vectors"),
        ([-1], [[1.0, 0]], r"from 0 to 2\^63-1; got -1"),
        ([0.5], [[1.0, 0]], "row of integers"),
        ([7], [[1.0, 0]], "id 7 is in the index already"),
    ],
)
def test_unfit_vectors_are_refused_and_nothing_is_added(ids, vectors, message: str) -> None:
    backend = filled(np.array([[0.0, 1.0]], np.float32), np.array([7]))
    with pytest.raises(SearchIndexError, match=message):
        backend.add(np.array(ids), np.array(vectors))
    assert backend.ids.tolist() == [7]


def test_what_is_not_there_cannot_be_removed_or_read() -> None:
    backend = filled(random_vectors(5, 4))
    for ask in (backend.remove, backend.vectors):
        with pytest.raises(SearchIndexError, match="id 9 is not in the index"):
            ask(np.array([1, 9]))
    assert len(backend) == 5
    for k in (0, -1, 2.0, True):
        with pytest.raises(SearchIndexError, match="k, the number of hits"):
            backend.search(random_vectors(1, 4), k)
    with pytest.raises(SearchIndexError, match="one of exact, hnsw"):
        FaissBackend(4, kind="ivf")


@pytest.mark.parametrize("backend", ["exact", "auto"])
def test_a_large_index_is_filled_block_by_block(backend: str) -> None:
    count, dimension = 40_000, 64
    known = random_vectors(997, dimension)
    names = ("sleeve", "neckline")
    embedder = KnownEmbedder(**dict.fromkeys(names, known))

    def batches(paths, names, embedding=None, skip=None):
        for first in range(0, len(paths), 8):
            rows = np.arange(first, min(first + 8, len(paths))) % 997
            vectors = np.stack([known[rows]] * len(names), axis=1)
            vectors[rows == 5] = np.nan  # as a model does that went wrong
            yield list(range(first, first + len(rows))), vectors

    embedder.batches = batches
    index = AttributeIndex.build(embedder, paths(count), backend=backend)
    tracemalloc.start()
    try:
        index.prepare(progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 2**20  # all vectors: 20 MiB, outside the backends, whose memory is their own
    kept = np.arange(count)[np.arange(count) % 997 != 5]
    assert index.ids.tolist() == kept.tolist()
    for name in names:
        np.testing.assert_array_equal(index.vectors(name), known[kept % 997])
