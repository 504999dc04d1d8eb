from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asen_tf.data import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    fingerprint,
    read_meta,
    read_regions,
    read_split,
    read_value_names,
)
from asen_tf.data.dataset import Dataset
from asen_tf.files import write_text
from asen_tf.presets import smoke
from data_prep.writing import write_meta, write_regions, write_split

TABLE = AttributeTable(("length", "neck"), (3, 2))
ROWS = np.array([[0, 0, 2], [0, 1, 1], [1, 0, 0]])


def write(data_dir: Path) -> Path:
    write_meta(data_dir, "Tiny", TABLE)
    write_split(data_dir, "Tiny", "train", files=["a.jpg", "b.jpg"], labels=ROWS)
    for name in ("a.jpg", "b.jpg"):
        (data_dir / "Tiny" / name).write_bytes(b"image")
    return data_dir / "Tiny"


def test_files_are_plain_and_end_lines_with_lf(tmp_path: Path) -> None:
    root = write(tmp_path)
    write_split(tmp_path, "Tiny", "test", files=["c.jpg"], queries=ROWS[:2], candidates=ROWS[:1])
    assert (root / "filenames_train.txt").read_bytes() == b"a.jpg\nb.jpg\n"
    assert (root / "label_train.txt").read_bytes() == b"0 0 2 1 1\n1 0 0\n"
    assert (root / "query_test.txt").read_bytes() == b"0 0 2\n0 1 1\n"
    assert (root / "candidate_test.txt").read_bytes() == b"0 0 2\n"
    assert read_split(tmp_path, "Tiny", "train").labels.tolist() == ROWS.tolist()


@pytest.mark.parametrize(
    ("rows", "files"),
    [
        (np.array([[2, 0, 0]]), ["a", "b"]),
        (np.array([[0, -1, 0]]), ["a", "b"]),
        (np.array([[0.0, 0.0, 0.0]]), ["a", "b"]),
        (np.array([[0, 0]]), ["a", "b"]),
        (ROWS, ["a", "../b"]),
        (ROWS, ["a", ""]),
        (ROWS, ["a", " b"]),
        (ROWS, ["a", "b\nc"]),
        (None, ["a", "b"]),
    ],
)
def test_nothing_is_written_of_a_wrong_split(
    tmp_path: Path, rows: np.ndarray | None, files: list[str]
) -> None:
    write_meta(tmp_path, "Tiny", TABLE)
    with pytest.raises(AnnotationError):
        write_split(tmp_path, "Tiny", "train", files=files, labels=rows)
    shown = [path.name for path in tmp_path.rglob("*") if not path.name.startswith(".")]
    assert shown == ["meta.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old\n")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new\n")
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_meta_keeps_the_other_datasets(tmp_path: Path) -> None:
    write_meta(tmp_path, "Other", AttributeTable(("colour",), (4,)))
    names = {"length": ["short", "½", "long"], "neck": ["no", "yes"]}
    write_meta(tmp_path, "Tiny", TABLE, names)
    assert read_meta(tmp_path, "Other").sizes == (4,)
    assert read_meta(tmp_path, "Tiny") == TABLE
    assert read_value_names(tmp_path, "Tiny") == names
    assert list(json.loads((tmp_path / "meta.json").read_text())) == ["Other", "Tiny"]
    with pytest.raises(AnnotationError, match="'neck' must have 2"):
        write_meta(tmp_path, "Tiny", TABLE, names | {"neck": ["no"]})


def test_regions_read_back_exactly(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_regions(tmp_path, "Tiny", "train") is None
    regions = {(1, 0): (0.1, 0, 1 / 3, 7.25), (0, 1): np.float32([1, 2, 3, 4])}
    write_regions(tmp_path, "Tiny", "train", regions)
    text = (tmp_path / "Tiny" / "regions_train.csv").read_text()
    assert text.splitlines()[:2] == ["index,attribute,left,top,right,bottom", "0,1,1.0,2.0,3.0,4.0"]
    assert read_regions(tmp_path, "Tiny", "train") == {
        (0, 1): (1.0, 2.0, 3.0, 4.0),
        (1, 0): (0.1, 0.0, 1 / 3, 7.25),
    }


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("0,0,1,1,2", 2),
        ("0,0,1,1,1,2", 2),  # empty
        ("0,0,-1,1,1,2", 2),  # left of the image
        ("0,0,1,1,nan,2", 2),
        ("0,0,1,1,inf,2", 2),
        ("2,0,1,1,2,2", 2),  # two files
        ("0,2,1,1,2,2", 2),  # two attributes
        ("0,0,1,1,2,2\n\n0,0,1,1,2,2", 4),  # repeated
    ],
)
def test_a_wrong_region_is_named(tmp_path: Path, row: str, line: int) -> None:
    path = write(tmp_path) / "regions_train.csv"
    path.write_text(f"index,attribute,left,top,right,bottom\n{row}\n")
    with pytest.raises(AnnotationError) as caught:
        read_regions(tmp_path, "Tiny", "train")
    assert (caught.value.path, caught.value.line) == (path, line)


def test_the_fingerprint_follows_the_data_and_nothing_else(tmp_path: Path) -> None:
    root = write(tmp_path / "one")
    first = fingerprint(tmp_path / "one", "Tiny")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    write_meta(tmp_path / "two", "Other", TABLE)
    labels = tmp_path / "two" / "Tiny" / "label_train.txt"
    labels.write_bytes(labels.read_bytes().replace(b"\n", b"\r\n"))
    assert fingerprint(tmp_path / "two", "Tiny") == first

    seen = {first}
    (root / "a.jpg").write_bytes(b"y" * (root / "a.jpg").stat().st_size)
    seen.add(fingerprint(tmp_path / "one", "Tiny"))
    (root / "a.jpg").unlink()
    seen.add(fingerprint(tmp_path / "one", "Tiny"))
    (root / "label_train.txt").write_text("0 0 1\n1 0 0\n")
    seen.add(fingerprint(tmp_path / "one", "Tiny"))
    write_regions(tmp_path / "one", "Tiny", "train", {(0, 0): (0, 0, 1, 1)})
    seen.add(fingerprint(tmp_path / "one", "Tiny"))
    write_meta(tmp_path / "one", "Tiny", AttributeTable(("length", "neck"), (3, 4)))
    seen.add(fingerprint(tmp_path / "one", "Tiny"))
    assert len(seen) == 6


def test_the_fingerprint_of_images_in_files_is_the_one_that_finished_runs_have(
    tmp_path: Path,
) -> None:
    """Another one would make every finished run and every cache stale."""
    root = write(tmp_path)
    write_text(tmp_path / "Tiny" / "values.json", '{"length": ["a", "b", "c"], "neck": ["d", "e"]}')
    for split in ("valid", "test"):
        files = [f"{split}/c.jpg", "not there.jpg", "b.jpg"]
        write_split(tmp_path, "Tiny", split, files=files, queries=ROWS[:2], candidates=ROWS[2:])
        (root / split).mkdir()
        (root / split / "c.jpg").write_bytes(split.encode())
        write_regions(tmp_path, "Tiny", split, {(0, 1): (1, 2, 3, 4)})
    found = fingerprint(tmp_path, "Tiny")
    assert found[:32] == "5f3d8f4b5898fd9c7de73bad741d4ec4"
    config = smoke().override(dataset="Tiny", missing_images="skip", cache_images=False)
    assert Dataset(tmp_path, config).fingerprint == found

    (root / "label_train.txt").unlink()  # a dataset that lists triplets instead
    for split in SPLITS:
        (root / f"triplets_{split}.txt").write_bytes(b"0 0 1 2\r\n")
    assert fingerprint(tmp_path, "Tiny")[:32] == "70e905fcb84626f3098cc6053d9bb287"


def test_datasets_that_are_written_at_once_all_get_their_entry(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from asen_tf.data import AttributeTable
from data_prep.writing import write_meta
for number in range(25):
    write_meta(Path(sys.argv[1]), f"{sys.argv[2]}{number}", AttributeTable(("colour",), (4,)))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    here = Path(__file__).parents[2]
    writing = [subprocess.Popen([*command, name], cwd=here) for name in ("One", "Two")]
    assert [process.wait(timeout=300) for process in writing] == [0, 0]
    assert len(json.loads((tmp_path / "meta.json").read_text())) == 50
