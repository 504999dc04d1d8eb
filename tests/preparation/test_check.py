from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asen_tf.data import AttributeTable
from data_prep.check import main
from data_prep.writing import write_meta, write_split

# Queries and candidates per value of FashionAI's test split, and the exact random MAP in percent.
FASHIONAI = {
    "skirt": ("64 84 78 83 47 66", "255 337 237 312 260 302", 17.20),
    "sleeve": ("10 84 78 93 65 82 64 82 65", "37 259 283 354 284 297 283 320 266", 12.50),
    "coat": ("46 65 73 59 64 101 59 68", "145 255 271 244 262 359 241 311", 13.35),
    "pant": ("73 89 74 76 53 57", "262 401 270 291 238 260", 17.45),
    "collar": ("91 82 50 47 71", "480 315 192 146 268", 22.36),
    "lapel": ("60 67 66 29 67", "236 343 276 140 274", 21.62),
    "neckline": (
        "123 72 54 45 78 61 85 78 58 49",
        "441 248 235 166 348 255 345 283 216 197",
        11.09,
    ),
    "neck": ("55 41 48 77 44", "240 198 225 275 162", 21.20),
}
TABLE = AttributeTable(("length", "neck"), (2, 2))
TRAIN = np.array([[i, a, i % 2] for i in range(4) for a in range(2)])
RANKED = {"queries": TRAIN[:4], "candidates": TRAIN[4:]}


def run(capsys: pytest.CaptureFixture[str], data_dir: Path) -> tuple[int, dict]:
    status = main([str(data_dir), "--dataset", "Tiny", "--json"])
    return status, json.loads(capsys.readouterr().out)


def kinds(report: dict) -> set[tuple[str | None, str, bool]]:
    return {(p["split"], p["kind"], p["stops_training"]) for p in report["problems"]}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Make a small dataset without a fault, four images in each split."""
    write_meta(tmp_path, "Tiny", TABLE)
    for split in ("train", "valid", "test"):
        files = [f"{split}/{index}.jpg" for index in range(4)]
        rows = {"labels": TRAIN} if split == "train" else RANKED
        write_split(tmp_path, "Tiny", split, files=files, **rows)
        (tmp_path / "Tiny" / split).mkdir()
        for name in files:
            (tmp_path / "Tiny" / name).write_text(name)  # each of its own
    return tmp_path


def test_a_good_dataset(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = run(capsys, data_dir)
    assert status == 0 and report["problems"] == []
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert train == {
        "files": 4,
        "missing": 0,
        "missing_files": [],
        "labels": 8,
        "values": {"labels": {"length": [2, 2], "neck": [2, 2]}},
    }
    assert (test["queries"], test["candidates"]) == (4, 4)
    assert test["values"]["queries"] == {"length": [1, 1], "neck": [1, 1]}
    # Each query has one relevant candidate of two: (1 + 1/2) / 2.
    assert test["random_map"] == {"length": 75, "neck": 75, "overall": 75, "macro": 75}


def test_the_random_row_of_fashionai(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"queries": [], "candidates": []}
    for attribute, (queries, candidates, _) in enumerate(FASHIONAI.values()):
        for role, counts in (("queries", queries), ("candidates", candidates)):
            for value, count in enumerate(map(int, counts.split())):
                rows[role] += [(0, attribute, value)] * count
    sizes = tuple(len(queries.split()) for queries, _, _ in FASHIONAI.values())
    write_meta(tmp_path, "Tiny", AttributeTable(tuple(FASHIONAI), sizes))
    arrays = {role: np.array(part) for role, part in rows.items()}
    write_split(tmp_path, "Tiny", "test", files=["a.jpg"], **arrays)
    _, report = run(capsys, tmp_path)
    test = report["splits"]["test"]
    assert (test["queries"], test["candidates"]) == (3600, 14400)
    found = {name: round(value, 2) for name, value in test["random_map"].items()}
    assert found.pop("macro") == 17.10
    assert found.pop("overall") == 15.79
    assert found == {name: percent for name, (_, _, percent) in FASHIONAI.items()}


def test_without_images_everything_else_is_still_said(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, before = run(capsys, data_dir)
    for path in data_dir.rglob("*.jpg"):
        path.unlink()
    labels = data_dir / "Tiny" / "label_train.txt"
    labels.write_text(labels.read_text() + "0 0 0\n")
    status, report = run(capsys, data_dir)
    assert status == 2
    assert kinds(report) == {
        ("train", "missing images", True),
        ("train", "duplicate rows", False),
        ("valid", "missing images", True),
        ("test", "missing images", False),
    }
    absent = [f"test/{number}.jpg" for number in range(4)]
    changed = {"missing": 4, "missing_files": absent}
    assert report["splits"]["test"] == before["splits"]["test"] | changed


def test_a_missing_image_is_reported_and_does_not_stop(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "Tiny" / "test" / "3.jpg").unlink()
    status, report = run(capsys, data_dir)
    assert status == 0
    assert ("test", "missing images", False) in kinds(report)
    # The image was the only candidate of value 1, and two queries asked for it.
    assert ("test", "queries without relevant candidate", False) in kinds(report)
    assert report["splits"]["test"]["missing"] == 1
    assert report["splits"]["test"]["missing_files"] == ["test/3.jpg"]
    (data_dir / "Tiny" / "train" / "3.jpg").unlink()  # leaves one image of value 1
    status, report = run(capsys, data_dir)
    assert status == 2 and ("train", "scarce attributes", True) in kinds(report)


def test_without_a_list_of_training_files(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "Tiny" / "filenames_train.txt").unlink()
    status, report = run(capsys, data_dir)
    assert status == 2
    assert kinds(report) == {("train", "unreadable file", True)}
    assert "filenames_train.txt" in report["problems"][0]["message"]
    train = report["splits"]["train"]
    assert (train["files"], train["missing"], train["labels"]) == (None, None, 8)


@pytest.mark.parametrize(
    ("file", "split", "stops"),
    [
        ("label_train.txt", "train", True),
        ("query_valid.txt", "valid", True),
        ("query_test.txt", "test", False),
        ("regions_train.csv", "train", False),
        ("values.json", None, False),
        ("../meta.json", None, True),
    ],
)
def test_a_broken_file(
    data_dir: Path, capsys: pytest.CaptureFixture[str], file: str, split: str | None, stops: bool
) -> None:
    (data_dir / "Tiny" / file).write_text("0 0\n")
    status, report = run(capsys, data_dir)
    assert kinds(report) == {(split, "unreadable file", stops)} and status == 2 * stops
    assert Path(file).name in report["problems"][0]["message"]


def test_an_image_in_two_splits(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = data_dir / "Tiny" / "filenames_test.txt"
    names.write_text(names.read_text().replace("test/0.jpg", "train/0.jpg"))
    status, report = run(capsys, data_dir)
    assert kinds(report) == {(None, "images in two splits", False)} and status == 0


def test_equal_images_in_two_splits(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = data_dir / "Tiny"
    (root / "train" / "1.jpg").write_bytes(b"the same")
    (root / "train" / "2.jpg").write_bytes(b"the same")
    status, report = run(capsys, data_dir)
    assert report["problems"] == []  # within a split it leaks nothing
    (root / "test" / "3.jpg").write_bytes(b"the same")
    (root / "valid" / "0.jpg").write_bytes(b"")
    (root / "test" / "0.jpg").write_bytes(b"")  # empty files are no pictures
    names = root / "filenames_valid.txt"
    names.write_text(names.read_text().replace("valid/1.jpg", "./train/0.jpg"))
    status, report = run(capsys, data_dir)
    assert kinds(report) == {(None, "equal images in two splits", False)} and status == 0
    (problem,) = report["problems"]
    assert problem["count"] == 2 and "train/0.jpg = ./train/0.jpg" in problem["message"]
    assert "train/1.jpg = train/2.jpg = test/3.jpg" in problem["message"]


def test_an_attribute_without_queries_has_no_random_map(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "Tiny" / "query_test.txt").write_text("0 0 0\n")
    status, report = run(capsys, data_dir)
    expected = {"length": 75, "neck": None, "overall": 75, "macro": 75}
    assert report["splits"]["test"]["random_map"] == expected and status == 0


def test_the_command_line_prints_tables_and_sets_the_status(data_dir: Path) -> None:
    (data_dir / "Tiny" / "values.json").write_text(
        '{"length": ["Short", "Long"], "neck": ["A", "B"]}'
    )
    (data_dir / "Tiny" / "label_train.txt").unlink()
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "data_prep.check", str(data_dir), "--dataset", "Tiny"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2 and done.stderr == ""
    assert "1 Long" in done.stdout and "75.00" in done.stdout
    assert "Problems: 1, of which 1 stop training" in done.stdout
    assert "STOPS TRAINING [train]" in done.stdout
