"""A saved index comes back as it was, and is read from disk as it is needed."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from known_vectors import KnownEmbedder, paths, random_vectors
from saved_indexes import COUNT, EMBEDDER, built, same

from asen_tf.retrieval import AttributeIndex, RetrievalError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "index"
    built().save(folder)
    return folder


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("backend", ["auto", "hnsw"])
def test_what_is_saved_comes_back_and_can_change(tmp_path, backend, dtype, mapped) -> None:
    index = built(backend=backend, dtype=dtype)
    index.remove([5, 7])  # sleeps in the graph of "hnsw"
    index.save(tmp_path / "a")
    loaded = AttributeIndex.load(tmp_path / "a", EMBEDDER, mapped=mapped)
    assert same(loaded, index) and list(loaded.store.backends) == ["sleeve", "neckline"]
    for each in (loaded, index):
        assert each.add(paths(6)[5:]).tolist() == [COUNT]
        each.remove([0, 250])
    assert same(loaded, index)
    loaded.save(tmp_path / "a")  # over the files that it has open
    again = AttributeIndex.load(tmp_path / "a", EMBEDDER, mapped=mapped)
    assert same(again, index) and again.items.next_id == COUNT + 1
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [".lock", "CURRENT", "v0002"]
    assert same(loaded, index)  # its own files are gone from the folder, and still open


def test_mapped_vectors_stay_on_disk(tmp_path: Path) -> None:
    def anonymous_kib() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0])

    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured by way of /proc, which Linux has")
    big = KnownEmbedder(a=random_vectors(20_000, 256))  # 20 MB
    index = AttributeIndex.build(big, paths(20_000), backend="exact")
    index.prepare()
    index.save(tmp_path)
    before = anonymous_kib()
    mapped = AttributeIndex.load(tmp_path, big)
    assert [hit.id for hit in mapped.search("8.png", "a", 1)] == [8]
    grown = anonymous_kib() - before
    read = AttributeIndex.load(tmp_path, big, mapped=False)
    assert grown + 15_000 < anonymous_kib() - before - grown and len(read) == 20_000


def test_a_reader_meets_whole_indexes_while_another_saves(tmp_path: Path) -> None:
    index = built()
    index.save(tmp_path)

    def save_often() -> None:
        for _ in range(25):
            index.save(tmp_path)

    with ThreadPoolExecutor(1) as threads:
        saving = threads.submit(save_often)
        while not saving.done():
            assert len(AttributeIndex.load(tmp_path, EMBEDDER)) == COUNT
        saving.result()
    assert (tmp_path / "v0026").is_dir()


def test_without_verification_sizes_are_still_compared(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "index")
    assert same(AttributeIndex.load(tmp_path / "index", EMBEDDER, verify=False), built())
    vectors = tmp_path / "index" / "v0001" / "000.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(RetrievalError, match="000.faiss: truncated or changed"):
        AttributeIndex.load(tmp_path / "index", EMBEDDER, verify=False)


def test_lazy_attributes_stay_lazy(tmp_path: Path) -> None:
    index = AttributeIndex.build(EMBEDDER, paths(9))
    index.save(tmp_path / "a")
    loaded = AttributeIndex.load(tmp_path / "a", EMBEDDER)
    assert loaded.store.backends == {} and len(loaded) == 9
    assert np.array_equal(loaded.vectors("neckline"), EMBEDDER.table["neckline"][:9])
    AttributeIndex.build(EMBEDDER, []).save(tmp_path / "a")
    assert len(AttributeIndex.load(tmp_path / "a", EMBEDDER)) == 0


def test_images_that_moved_are_found_by_their_root(saved: Path) -> None:
    moved = AttributeIndex.load(saved, EMBEDDER, root="/elsewhere")
    assert moved.images[3] == Path("/elsewhere/3.png")


def test_an_index_of_another_model_is_refused(saved: Path) -> None:
    other = KnownEmbedder(sleeve=EMBEDDER.table["sleeve"], collar=EMBEDDER.table["neckline"])
    with pytest.raises(RetrievalError, match="made with another model .*load that model, or build"):
        AttributeIndex.load(saved, other)


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="no saved index here"):
        AttributeIndex.load(tmp_path / "nowhere", EMBEDDER)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RetrievalError, match=r"holds other things \(thesis.txt\)"):
        built().save(tmp_path)
    with pytest.raises(RetrievalError, match="is a file; save to a folder"):
        built().save(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
