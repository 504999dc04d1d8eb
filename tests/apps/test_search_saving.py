"""A saved index comes back as it was, and is read from disk as it is needed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from full_disk import full_disk
from known_vectors import KnownEmbedder, paths, random_vectors
from saved_indexes import COUNT, EMBEDDER, built, same

from asen_apps.search import AttributeIndex, SearchIndexError, storage
from asen_apps.search.storage import model_fingerprint
from asen_tf.files import DiskFullError
from asen_tf.models import AsenPlusPlus


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


# Twelve items without number 2, saved by an earlier release, and what they scored then.
EARLIER = {
    "exact": [(3, 0.9999999645967728), (0, 0.306104160133094), (6, 0.2876018720255755)],
    "hnsw": [(3, 1.0000605696421752), (0, 0.3061433544396778), (6, 0.2876503281862369)],
}


@pytest.mark.parametrize("kind", EARLIER)
def test_an_index_of_an_earlier_release_still_loads(tmp_path: Path, kind: str) -> None:
    embedder = KnownEmbedder(neck=random_vectors(12, 6), sleeve=random_vectors(12, 6, seed=1))
    shutil.copytree(Path(__file__).parent / "earlier_indexes" / kind, tmp_path / kind)
    index = AttributeIndex.load(tmp_path / kind, embedder)
    assert len(index) == 11 and index.images == [p for p in paths(12) if p.stem != "2"]
    assert index.metadata[2] == {"brand": "b"} and index.items.next_id == 12
    hits = index.search("3.png", {"neck": 0.7, "sleeve": 0.3}, 3)
    assert [hit.id for hit in hits] == [item for item, _ in EARLIER[kind]]
    assert [hit.score for hit in hits] == pytest.approx([s for _, s in EARLIER[kind]], abs=1e-12)


GROWTH = """
import sys
from pathlib import Path
from known_vectors import KnownEmbedder, random_vectors
from asen_apps.search import AttributeIndex
def anonymous():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0])
embedder = KnownEmbedder(a=random_vectors(20_000, 256))
before = anonymous()
index = AttributeIndex.load(sys.argv[1], embedder, mapped=sys.argv[2] == "True")
assert len(index) == 20_000 and index.search("8.png", "a", 1)[0].id == 8
print(anonymous() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux' /proc")
def test_mapped_vectors_stay_on_disk(tmp_path: Path) -> None:
    big = KnownEmbedder(a=random_vectors(20_000, 256))  # 20,000 KiB
    index = AttributeIndex.build(big, paths(20_000), backend="exact")
    index.prepare()
    index.save(tmp_path)
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent)])

    def grown_kib(mapped: bool) -> int:  # in a process of its own: here, freed memory is used again
        command = [sys.executable, "-c", GROWTH, str(tmp_path), str(mapped)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return int(done.stdout)

    assert grown_kib(mapped=True) + 15_000 < grown_kib(mapped=False)


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


def test_a_save_that_fails_leaves_the_old_index(tmp_path: Path) -> None:
    index = built()
    index.save(tmp_path)
    for room in (10, 5_000, 19_000):
        with full_disk(room), pytest.raises((SearchIndexError, OSError)):
            index.save(tmp_path)
        assert same(AttributeIndex.load(tmp_path, EMBEDDER), index)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "CURRENT", "v0001"]


def test_room_is_compared_before_an_index_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = built()
    index.save(tmp_path / "whole")
    size = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*.faiss"))
    usage = shutil.disk_usage(tmp_path)._replace(free=size // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFullError, match="no room for v0001: .*") as raised:
        index.save(tmp_path / "index")
    numbers = re.search(r"([\d,]+) needed, ([\d,]+) bytes free", str(raised.value)).groups()
    needed, free = (int(number.replace(",", "")) for number in numbers)
    assert free == size // 2 and size // 2 < needed < 1.5 * size
    assert str(tmp_path / "index") in str(raised.value)
    assert not list((tmp_path / "index").glob("[!.]*"))


def test_a_last_byte_that_found_no_room_is_noticed(tmp_path: Path) -> None:
    backend = built().store.backends["sleeve"]
    backend.save(tmp_path, "0")
    size = (tmp_path / "0.faiss").stat().st_size
    with full_disk(size):
        backend.save(tmp_path, "1")  # just enough
    for room in (0, 100, size - 1):
        with full_disk(room), pytest.raises(SearchIndexError, match="0.faiss: cannot be written"):
            backend.save(tmp_path, "0")


def test_without_verification_sizes_are_still_compared(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "index")
    assert same(AttributeIndex.load(tmp_path / "index", EMBEDDER, verify=False), built())
    vectors = tmp_path / "index" / "v0001" / "000.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(SearchIndexError, match="000.faiss: truncated or changed"):
        AttributeIndex.load(tmp_path / "index", EMBEDDER, verify=False)


def test_lazy_attributes_stay_lazy(tmp_path: Path) -> None:
    index = AttributeIndex.build(EMBEDDER, paths(9))
    index.save(tmp_path / "a")
    loaded = AttributeIndex.load(tmp_path / "a", EMBEDDER)
    assert loaded.store.backends == {} and len(loaded) == 9
    assert np.array_equal(loaded.vectors("neckline"), EMBEDDER.table["neckline"][:9])
    AttributeIndex.build(EMBEDDER, []).save(tmp_path / "a")
    assert len(AttributeIndex.load(tmp_path / "a", EMBEDDER)) == 0


def test_images_that_moved_are_found_by_their_root(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("photos", "elsewhere"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "5.png").touch()  # one that is there is enough
    named = AttributeIndex.load(saved, EMBEDDER, root="photos")  # by a path from where one stands
    assert named.images[3] == tmp_path / "photos" / "3.png"
    moved = AttributeIndex.load(saved, EMBEDDER, root=tmp_path / "elsewhere")
    assert moved.images[3] == tmp_path / "elsewhere" / "3.png"
    home = AttributeIndex.load(saved, EMBEDDER).images[0].parent
    with pytest.raises(SearchIndexError, match=f"none of .* is there, .* the folder that {home}"):
        AttributeIndex.load(saved, EMBEDDER, root=tmp_path)


def test_what_is_read_without_opening_comes_whole_while_another_saves(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved, tmp_path / "index")
    index, first = AttributeIndex.load(saved, EMBEDDER), []
    real = storage.read_manifest

    def slow(*arguments, **options):
        if not first:  # the version that was to be read goes
            first.append(True)
            index.save(tmp_path / "index")
        return real(*arguments, **options)

    for read in (storage.index_notes, storage.index_fields):
        expected = read(saved)
        first.clear()
        monkeypatch.setattr(storage, "read_manifest", slow)
        assert read(tmp_path / "index") == expected and first
        monkeypatch.undo()


def test_an_index_of_another_model_is_refused(saved: Path) -> None:
    other = KnownEmbedder(sleeve=EMBEDDER.table["sleeve"], collar=EMBEDDER.table["neckline"])
    with pytest.raises(
        SearchIndexError, match="made with another model .*load that model, or build"
    ):
        AttributeIndex.load(saved, other)


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(SearchIndexError, match="no saved index here"):
        AttributeIndex.load(tmp_path / "nowhere", EMBEDDER)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SearchIndexError, match=r"holds other things \(thesis.txt\)"):
        built().save(tmp_path)
    with pytest.raises(SearchIndexError, match="is a file; save to a folder"):
        built().save(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "thesis.txt").rename(tmp_path / ".DS_Store")  # a file manager's
    built().save(tmp_path)
    assert len(AttributeIndex.load(tmp_path, EMBEDDER)) == COUNT
    assert (tmp_path / ".DS_Store").read_text() == "precious"


# Settings of ASEN++ when indexes were first saved; a model that has these alone at work must keep
# its fingerprint, or indexes of it could not be opened any more.
FIRST = (
    *("attributes", "global_size", "source_size", "global_backbone", "local_backbone"),
    *("local_size", "attribute_dim", "global_attention_dim", "local_attention_dim"),
    *("channel_attribute_dim", "channel_reduction", "embedding_dim", "roi_threshold"),
    *("fusion_weight", "spatial_attention", "channel_attention", "attribute_tables", "region"),
)


def test_a_new_setting_changes_no_fingerprint_of_a_model_without_it() -> None:
    class Weightless(AsenPlusPlus):
        """Settings alone decide."""

        def __init__(self, **settings: object) -> None:
            self.settings, self.attribute_names = self.Settings(**settings), ("a", "b")
            self._joint = True

        weights = ()

    config = Weightless().get_config()
    text = json.dumps({name: config[name] for name in FIRST}, sort_keys=True)
    expected = hashlib.sha256(f"Weightless\n{text}\n".encode()).hexdigest()
    assert model_fingerprint(Weightless()) == expected
    for name, value in (("preprocessing", "release"), ("region_share", 0.5), ("local_size", 96)):
        assert model_fingerprint(Weightless(**{name: value})) != expected
