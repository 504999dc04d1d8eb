"""What an index no longer needs is removed from Milvus; what others may need stays."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import pytest
from known_vectors import KnownEmbedder, paths
from milvus_indexes import EMBEDDER, built, collections, ranked

from asen_apps.search import AttributeIndex, SearchIndexError

pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
HERE = ranked(built("exact"))


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "vectors.db")


def saved(address: str, folder: Path) -> AttributeIndex:
    index = built(address)
    index.prepare()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index.save(folder)
    return index


def names(index: AttributeIndex) -> list[str]:
    return sorted(backend.collection.name for backend in index.store.backends.values())


def load(folder: Path) -> AttributeIndex:
    return AttributeIndex.load(folder, EMBEDDER)


def test_a_preparation_that_fails_leaves_nothing(address: str) -> None:
    too_long = KnownEmbedder(neck=EMBEDDER.table["neck"], sleeve=2 * EMBEDDER.table["sleeve"])
    index = built(address, too_long)
    with pytest.raises(SearchIndexError, match="vectors must have length 1; row 0 has 2"):
        index.prepare()
    assert index.store.backends == {} and collections(address) == []
    index.prepare(["neck"])  # the half that can be had
    assert collections(address) == names(index) and len(names(index)) == 1


def test_a_save_drops_what_it_replaces(tmp_path: Path, address: str) -> None:
    first = saved(address, tmp_path / "index")
    second = saved(address, tmp_path / "index")
    assert collections(address) == names(second) and not {*names(first)} & {*names(second)}
    assert ranked(load(tmp_path / "index")) == HERE
    with pytest.raises(SearchIndexError, match="is gone, as another index was saved in this one's"):
        first.save(tmp_path / "index")
    assert collections(address) == names(second) and ranked(load(tmp_path / "index")) == HERE
    saved("exact", tmp_path / "index")
    assert collections(address) == []
    assert ranked(load(tmp_path / "index")) == HERE


def test_a_save_keeps_what_it_still_uses(tmp_path: Path, address: str) -> None:
    index = saved(address, tmp_path / "index")
    first = names(index)
    for _ in range(2):  # as it was built, and as it was loaded
        index.remove(index.ids[:1])
        index.add(paths(9)[8:])
        index.save(tmp_path / "index")
        assert collections(address) == names(index) == first
        loaded = load(tmp_path / "index")
        assert ranked(loaded) == ranked(index)
        index = loaded


def test_a_save_that_fails_drops_nothing(tmp_path: Path, address: str) -> None:
    first = saved(address, tmp_path / "index")
    (tmp_path / "index" / "thesis.txt").write_text("precious")
    with pytest.raises(SearchIndexError, match="holds other things"):
        saved(address, tmp_path / "index")
    assert {*names(first)} < {*collections(address)}
    assert ranked(load(tmp_path / "index")) == HERE


def test_what_an_index_elsewhere_saved_first_stays(tmp_path: Path, address: str) -> None:
    first = saved(address, tmp_path / "index")
    shutil.copytree(tmp_path / "index", tmp_path / "copy")
    load(tmp_path / "index").save(tmp_path / "second")
    first.save(tmp_path / "third")
    for name in ("copy", "second", "third"):
        assert ranked(load(tmp_path / name)) == HERE
        replacing = saved(address, tmp_path / name)
        saved("exact", tmp_path / name)
        assert collections(address) == names(first)  # its own are gone, those of the first are not
        assert len(names(replacing)) == 2 and ranked(load(tmp_path / "index")) == HERE


def test_what_was_never_saved_can_be_dropped(tmp_path: Path, address: str) -> None:
    first = built(address)
    first.prepare(["neck"])
    first.save(tmp_path / "index")
    for index in (first, load(tmp_path / "index")):
        assert ranked(index) == HERE and len(collections(address)) == 2  # sleeve is not saved
        index.drop_unsaved()
        assert list(index.store.backends) == ["neck"] and collections(address) == names(index)
    assert ranked(index) == HERE  # sleeve is embedded once more
    index.drop_unsaved()
    assert list(load(tmp_path / "index").store.backends) == ["neck"]


def test_an_entry_without_an_owner_is_nobodys_to_drop(tmp_path: Path, address: str) -> None:
    first = saved(address, tmp_path / "index")
    manifest = tmp_path / "index" / "v0001" / "manifest.json"
    content = json.loads(manifest.read_text())
    for entry in content["attributes"].values():
        assert entry.pop("owner") == str(tmp_path / "index")
    manifest.write_text(json.dumps(content))
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    (tmp_path / "index" / "CURRENT").write_text(f"v0001 {digest}\n")
    load(tmp_path / "index").drop_unsaved()
    load(tmp_path / "index").save(tmp_path / "index")
    saved("exact", tmp_path / "index")
    assert collections(address) == names(first)


def test_at_an_address_that_nobody_names_it_stays_with_a_warning(tmp_path: Path) -> None:
    address = str(tmp_path / "far" / "vectors.db")
    Path(address).parent.mkdir()
    saved(address, tmp_path / "near" / "index")
    second = saved(address, tmp_path / "near" / "index")  # the user named it: no warning
    assert collections(address) == names(second)
    with pytest.warns(
        UserWarning, match="left in Milvus: .* a saved file may not choose an address"
    ):
        built("exact").save(tmp_path / "near" / "index")
    assert collections(address) == names(second)
    assert len(load(tmp_path / "near" / "index")) == 60  # saved all the same
