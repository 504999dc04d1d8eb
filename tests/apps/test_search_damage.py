"""Damaged, foreign or forged files are refused: an index is loaded in full or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_indexes import COUNT, DIMENSION, EMBEDDER, built, same

from asen_apps.search import AttributeIndex, SearchIndexError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "index"
    built().save(folder)
    return folder


FILES = ["000.faiss", "000.ids.npy", "001.faiss", "items.json", "manifest.json", "CURRENT"]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_no_damaged_file_is_ever_loaded(saved: Path, name: str, data: st.DataObject) -> None:
    target = saved / name if name == "CURRENT" else saved / "v0001" / name
    whole = target.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.sampled_from(["cut", "flip", "longer", "gone", "foreign"]))
    try:
        if damage == "gone":
            target.unlink()
        else:
            flipped = whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
            longer, foreign = whole + b"x", data.draw(st.binary(max_size=90))
            parts = {"cut": whole[:at], "flip": flipped, "longer": longer, "foreign": foreign}
            target.write_bytes(parts[damage])
        with pytest.raises(SearchIndexError, match="again|save") as told:
            AttributeIndex.load(saved, EMBEDDER)
        assert str(saved) in str(told.value)  # it says which file or folder
    finally:
        target.write_bytes(whole)


def forged(folder: Path, change: Callable[[dict[str, Any], Path], None]) -> None:
    """Change a saved index, and make all checksums right again: only sense is left to check."""
    version = folder / "v0001"
    content = json.loads((version / "manifest.json").read_text())
    change(content, version)
    for name, entry in content["files"].items() if isinstance(content["files"], dict) else ():
        if isinstance(entry, dict) and (version / name).is_file():
            data = (version / name).read_bytes()
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (version / "manifest.json").write_text(json.dumps(content))
    digest = hashlib.sha256((version / "manifest.json").read_bytes()).hexdigest()
    (folder / "CURRENT").write_text(f"v0001 {digest}\n")


def items(**new: Any) -> Callable[[dict[str, Any], Path], None]:
    def change(content: dict[str, Any], version: Path) -> None:
        stored = json.loads((version / "items.json").read_text())
        rows = {name: [value, *stored[name][1:]] for name, value in new.items() if name != "root"}
        (version / "items.json").write_text(json.dumps(stored | new | rows))

    return change


def entry(**new: Any) -> Callable[[dict[str, Any], Path], None]:
    return lambda content, version: content["attributes"]["sleeve"].update(new)


def setting(**new: Any) -> Callable[[dict[str, Any], Path], None]:
    return lambda content, version: content["attributes"]["sleeve"]["settings"].update(new)


def wrong_faiss(content: dict[str, Any], version: Path) -> None:
    index = faiss.IndexFlatL2(DIMENSION)
    index.add(EMBEDDER.table["sleeve"])
    faiss.write_index(index, str(version / "000.faiss"))


def linked(content: dict[str, Any], version: Path) -> None:
    shutil.move(version / "000.faiss", version.parent.parent / "outside.faiss")
    (version / "000.faiss").symlink_to(version.parent.parent / "outside.faiss")


def other_id(content: dict[str, Any], version: Path) -> None:
    ids = np.arange(COUNT)
    ids[100] = 900
    np.save(version / "000.ids.npy", ids)


def objects(content: dict[str, Any], version: Path) -> None:
    np.save(version / "000.ids.npy", np.array([print] * COUNT), allow_pickle=True)


FORGERIES = {
    "another format": lambda content, version: content.update(format=2),
    "no files": lambda content, version: content.update(files=[]),
    "items not listed": lambda content, version: content["files"].pop("items.json"),
    "vectors not listed": lambda content, version: content["files"].pop("000.faiss"),
    "a file outside": lambda content, version: content["files"].update({"../../x": {}}),
    "a link": linked,
    "an image outside": items(images="../../etc/passwd"),
    "an absolute image": items(images="/etc/passwd"),
    "no image": items(images=7),
    "an id twice": items(ids=1),
    "another id": other_id,
    "an id that is text": items(ids="0"),
    "a negative id": items(ids=-1),
    "metadata that is a list": items(metadata=[]),
    "a root of null": items(root=None),
    "another count": lambda content, version: content.update(count=COUNT - 1),
    "an unknown attribute": lambda c, v: c["attributes"].update(x=c["attributes"].pop("sleeve")),
    "an attribute of a number": lambda content, version: content["attributes"].update(sleeve=3),
    "another kind": entry(kind="pickle"),
    "a stem outside": entry(stem="../000"),
    "a stem of nothing": entry(stem="7"),
    "another dimension": setting(dimension=8),
    "no dimension": setting(dimension=0),
    "a huge dimension": setting(dimension=2**40),
    "more places": setting(places=COUNT + 1),
    "another dtype": setting(dtype="float16"),
    "another graph": setting(kind="hnsw"),
    "another FAISS index": wrong_faiss,
    "pickled ids": objects,
    "an unknown backend": lambda content, version: content.update(backend="x"),
    "an address": lambda content, version: content.update(backend="http://127.0.0.1:9"),
    "a database": lambda content, version: content.update(backend="/far/away/vectors.db"),
    "an unknown embedding": lambda content, version: content.update(embedding="x"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_content_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "index"
    shutil.copytree(saved, folder)
    forged(folder, lambda content, version: None)
    assert same(AttributeIndex.load(folder, EMBEDDER), built())  # forging alone is not noticed
    forged(folder, FORGERIES[name])
    with pytest.raises(SearchIndexError):
        AttributeIndex.load(folder, EMBEDDER)
