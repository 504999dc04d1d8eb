"""The explorer where its index cannot be kept for the next start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from explorer_study import make
from full_disk import full_disk
from known_vectors import KnownEmbedder, paths, random_vectors

from asen_apps.explorer import Explorer
from asen_apps.explorer.answer import Answer
from asen_apps.explorer.indexes import FOLDER, _save
from asen_apps.search import AttributeIndex, SearchIndexError


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("kept"), images=80)


def search(explorer: Explorer) -> Answer:
    query = explorer.test_image(0)
    return explorer.search(explorer.methods[0], query, {"neck_design": 1.0}, labelled_only=False)


@pytest.mark.parametrize(
    ("size", "kind"), [(500, OSError), (20_000, SearchIndexError)], ids=["items", "vectors"]
)
def test_a_full_disk_costs_the_next_start_time_and_nothing_else(
    tmp_path: Path, capfd, size: int, kind: type[Exception]
) -> None:
    embedder = KnownEmbedder(sleeve=random_vectors(40, 256))  # 40 kB
    index = AttributeIndex.build(embedder, paths(40))
    index.prepare(progress=False)
    with full_disk(size), pytest.raises(kind):
        index.save(tmp_path / "full")
    _save(index, tmp_path / "roomy")
    with full_disk(size):
        _save(index, tmp_path / "full")
    assert "full: the index cannot be kept" in capfd.readouterr().err
    assert (tmp_path / "roomy" / "CURRENT").exists() and not (
        tmp_path / "full" / "CURRENT"
    ).exists()


def test_a_foreign_file_among_the_index_is_left_alone(
    places: tuple[Path, Path], tmp_path: Path, capfd
) -> None:
    shutil.copytree(places[0], tmp_path / "study", ignore=shutil.ignore_patterns(FOLDER))
    explorer = Explorer(tmp_path / "study", places[1])
    folder = explorer._indexes._folder(explorer.methods[0])
    folder.mkdir(parents=True)
    (folder / "thesis.txt").touch()
    assert len(search(explorer).neighbours) == 7
    assert "holds other things (thesis.txt)" in capfd.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
