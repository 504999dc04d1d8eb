"""An index in Milvus: saved and opened elsewhere, in step with what Milvus holds, trusted or not.

A Milvus cluster cannot be run here. The server is Milvus Lite's, asked over the network by the same
client as a cluster is; what only a cluster has - replicas that lag behind, and the consistency that
makes reads wait for them - is asked for, and the asking is tested, not its effect.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from known_vectors import paths
from milvus_indexes import COUNT, EMBEDDER, built, collections, ranked, server

from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search.backend import TRUSTED

pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
HERE = Path(__file__).parents[1]


def test_an_index_in_milvus_answers_as_one_in_this_process(tmp_path: Path) -> None:
    index, here = built(str(tmp_path / "vectors.db")), built("exact")
    assert ranked(index) == ranked(here) and len(ranked(index)) == 12
    for each in (index, here):
        each.remove([0, 4])
        each.add(paths(9)[8:], [{"brand": "a"}])
    assert ranked(index) == ranked(here)
    index.save(tmp_path / "index")
    assert ranked(AttributeIndex.load(tmp_path / "index", EMBEDDER)) == ranked(here)


IMPORTS = "import sys; from milvus_indexes import *; database, folder = sys.argv[1:]\n"
MAKE = "index = built(database); print(ranked(index)); index.save(folder)"
OPEN = "print(ranked(AttributeIndex.load(folder, EMBEDDER)))"


def test_a_saved_index_is_opened_by_other_processes(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}
    for script in (MAKE, OPEN, OPEN):  # one after the other: a file of Milvus Lite serves one
        command = [sys.executable, "-c", IMPORTS + script, tmp_path / "v.db", tmp_path / "index"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{ranked(built('exact'))}\n" and "released" not in done.stderr


def test_a_server_on_the_network_is_asked_for_what_was_just_written(tmp_path, monkeypatch) -> None:
    """See the module: this is no cluster."""
    with server(tmp_path / "server") as (address, log):
        index = built(address)
        index.prepare()
        index.remove([3])
        index.save(tmp_path / "index")
        with pytest.raises(
            SearchIndexError, match=f"a saved file may not choose an address.*{TRUSTED}"
        ):
            AttributeIndex.load(tmp_path / "index", EMBEDDER)
        monkeypatch.setenv(TRUSTED, address)
        loaded = AttributeIndex.load(tmp_path / "index", EMBEDDER)
        here = built("exact")
        here.remove([3])
        assert ranked(loaded) == ranked(here)
        from pymilvus.grpc_gen import common_pb2

        assert log.created == [common_pb2.Strong] * 2  # pymilvus' own default is Bounded
        assert log.defaults and all(log.defaults)  # reads take the level of the collection


def drop_one(index: AttributeIndex) -> None:
    index.remove([8])


def add_one(index: AttributeIndex) -> None:
    index.add(paths(9)[8:])


def exchange_one(index: AttributeIndex) -> None:
    index.remove([0])
    assert index.add(paths(6)[5:]).tolist() == [COUNT]


@pytest.mark.parametrize("change", [drop_one, add_one, exchange_one])
def test_a_change_that_was_not_saved_is_noticed(tmp_path: Path, change) -> None:
    index = built(str(tmp_path / "vectors.db"))
    index.prepare()
    index.save(tmp_path / "index")
    change(AttributeIndex.load(tmp_path / "index", EMBEDDER))
    message = f"not those of the {COUNT} items, or was it changed and not saved.*build the index"
    with pytest.raises(SearchIndexError, match=message):
        AttributeIndex.load(tmp_path / "index", EMBEDDER)
    built(str(tmp_path / "vectors.db")).save(tmp_path / "index")  # the remedy
    assert ranked(AttributeIndex.load(tmp_path / "index", EMBEDDER)) == ranked(built("exact"))


@pytest.mark.parametrize("change", ["remove", "add"])
def test_a_change_that_one_attribute_refuses_happens_in_none(tmp_path: Path, change: str) -> None:
    from pymilvus import MilvusClient

    index = built(str(tmp_path / "vectors.db"))
    index.prepare()
    neck, sleeve = (index.store.backends[name] for name in ("neck", "sleeve"))
    MilvusClient(str(tmp_path / "vectors.db")).drop_collection(sleeve.collection.name)
    with pytest.raises(SearchIndexError, match="Milvus refused"):
        index.remove([2, 7]) if change == "remove" else index.add(paths(70)[68:])
    assert index.ids.tolist() == list(range(COUNT)) == neck.collection.open().tolist()
    assert np.array_equal(index.vectors("neck"), EMBEDDER.table["neck"][:COUNT])


def test_a_database_elsewhere_is_opened_only_if_the_user_names_it(tmp_path, monkeypatch) -> None:
    address = str(tmp_path / "far" / "vectors.db")
    Path(address).parent.mkdir()
    index = built(address)
    before = ranked(index)
    index.save(tmp_path / "near" / "index")
    with pytest.raises(
        SearchIndexError, match=f"a saved file may not choose an address.*{TRUSTED}"
    ):
        AttributeIndex.load(tmp_path / "near" / "index", EMBEDDER)
    monkeypatch.setenv(TRUSTED, str(Path(address).resolve()))
    assert ranked(AttributeIndex.load(tmp_path / "near" / "index", EMBEDDER)) == before


def test_the_working_directory_does_not_matter_later(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    index = built("vectors.db")
    index.prepare(["neck"])
    index.save("index")
    monkeypatch.chdir(tmp_path / "other")
    loaded = AttributeIndex.load(tmp_path / "index", EMBEDDER)
    assert loaded.store.backend == index.store.backend == str(tmp_path / "vectors.db")
    assert ranked(loaded) == ranked(built("exact"))  # sleeve is embedded only now
    assert len(collections(str(tmp_path / "vectors.db"))) == 2
    assert not list((tmp_path / "other").iterdir())
