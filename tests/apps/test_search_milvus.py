"""Vectors in a real Milvus Lite: the same answers as a plain ranking; bad settings are reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from known_vectors import brute_force, exact_score, random_vectors, tied_vectors
from milvus_indexes import server

from asen_apps.search import SearchIndexError

pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
from asen_apps.search.milvus_backend import MilvusBackend

COUNT, DIMENSION = 5000, 12
VECTORS = {
    "random": random_vectors(COUNT, DIMENSION),
    "tied": tied_vectors(COUNT, DIMENSION),
    "same": np.repeat(random_vectors(1, DIMENSION), COUNT, axis=0),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("milvus") / "vectors.db")


@pytest.fixture(scope="module", params=VECTORS)
def filled(request, database: str) -> tuple[MilvusBackend, np.ndarray, np.ndarray]:
    vectors = VECTORS[request.param]
    ids = np.random.default_rng(1).permutation(3 * COUNT)[:COUNT]
    backend = MilvusBackend.create(database, attribute="neck line!", dimension=DIMENSION)
    backend.add(ids, vectors)
    return backend, ids, vectors


@pytest.mark.parametrize("k", [1, 10, 300, COUNT + 3])
def test_five_thousand_vectors_rank_as_a_plain_loop_says(filled, k: int) -> None:
    backend, ids, vectors = filled
    queries = np.stack([vectors[17], random_vectors(1, DIMENSION, seed=2)[0]])
    scores, found = backend.search(queries, k)
    for query, row, ranked in zip(queries, scores, found, strict=True):
        expected = [exact_score(vector, query) for vector in vectors]
        best = brute_force(expected, ids.tolist(), k)
        assert ranked.tolist() == best + [-1] * (k - len(best))
        by_id = dict(zip(ids.tolist(), expected, strict=True))
        np.testing.assert_allclose(row[: len(best)], [by_id[i] for i in best], atol=1e-14)


@pytest.mark.parametrize("share", [2, 100])
def test_only_the_allowed_are_found(filled, share: int) -> None:
    backend, ids, vectors = filled
    allowed = np.append(ids[::share], 10**6)  # one that is not there counts for nothing
    _, found = backend.search(vectors[:1], 20, allowed)
    expected = [exact_score(vector, vectors[0]) for vector in vectors]
    assert found[0].tolist() == brute_force(expected, ids.tolist(), 20, set(ids[::share].tolist()))
    assert (backend.search(vectors[:1], 2, np.zeros(0, np.int64))[1] == -1).all()


def test_what_is_added_is_in_its_files_and_waits_in_no_log(tmp_path: Path) -> None:
    """Milvus Lite copies what waits in its log at every search, which made it 30 times as slow."""
    backend = MilvusBackend.create(str(tmp_path / "v.db"), attribute="a", dimension=5)
    backend.add(np.arange(30), random_vectors(30, 5))
    backend.add(np.arange(30, 40), random_vectors(10, 5, seed=2))
    folder = tmp_path / "v.db"
    assert not list(folder.rglob("wal/*"))
    assert len(list(folder.rglob("data/*.parquet"))) == 2  # one for each call


def test_vectors_come_back_to_the_last_bit_and_can_go(database: str) -> None:
    vectors = random_vectors(30, 5)
    backend = MilvusBackend.create(database, attribute="a", dimension=5)
    backend.add(np.arange(30), vectors)
    chosen = np.array([7, 3, 21])
    assert np.array_equal(backend.vectors(chosen), vectors[chosen])
    backend.remove(np.array([3]))
    assert len(backend) == 29 and backend.search(vectors[3:4], 30)[1][0].tolist().count(3) == 0
    for refused in (backend.remove, backend.vectors):
        with pytest.raises(SearchIndexError, match="id 3 is not in the index"):
            refused(np.array([3]))
    with pytest.raises(SearchIndexError):
        backend.add(np.array([4]), vectors[4:5])  # it is there already
    backend.drop()
    with pytest.raises(SearchIndexError, match="Milvus refused"):
        backend.add(np.array([1]), vectors[:1])


@pytest.mark.parametrize(
    "change", [{"address": 3}, {"collection": "x; y"}, {"dimension": True}, {"collection": None}]
)
def test_unusable_settings_are_refused(tmp_path: Path, database: str, change: dict) -> None:
    settings = {"address": database, "collection": "a_b", "dimension": 3, **change}
    with pytest.raises(SearchIndexError, match="unusable Milvus settings"):
        MilvusBackend.load(tmp_path, "000", json.loads(json.dumps(settings)), mapped=True)


def test_a_removal_that_is_refused_halfway_removes_nothing(tmp_path: Path) -> None:
    vectors, ids = random_vectors(2500, 4), np.arange(2500)
    with server(tmp_path / "server") as (address, log):
        backend = MilvusBackend.create(address, attribute="a", dimension=4)
        backend.add(ids, vectors)
        log.deletes = 1  # 2,400 ids go in three requests: the second is refused
        with pytest.raises(SearchIndexError, match="Milvus refused delete .*not now"):
            backend.remove(ids[:2400])
        assert log.deletes == -1 and len(backend) == 2500
        assert np.array_equal(backend.vectors(ids), vectors)
        assert np.array_equal(backend.collection.open(), ids)
        backend.remove(ids[:2400])
        assert np.array_equal(backend.collection.open(), ids[2400:])


def test_a_missing_database_and_a_silent_server_are_told(tmp_path: Path) -> None:
    settings = {"address": str(tmp_path / "no.db"), "collection": "a_b", "dimension": 3}
    with pytest.raises(SearchIndexError, match="no such Milvus Lite database"):
        MilvusBackend.load(tmp_path / "index" / "v0001", "000", settings, mapped=True)
    with pytest.raises(SearchIndexError, match="no Milvus answers there"):
        MilvusBackend.create("http://127.0.0.1:9", attribute="a", dimension=3)
