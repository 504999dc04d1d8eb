"""Zappos50k: the released triplet lists, as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import raw_releases

from asen_tf.data import AnnotationError, read_meta, read_split
from data_prep import zappos50k


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zappos")
    raw_releases.zappos50k(raw_releases.draw(path / "source", images=60, size=48), path / "raw")
    return path / "raw"


def released(raw: Path, part: str) -> list[tuple[int, str, str, str]]:
    """Return condition, anchor, close and far as names, in the order of the lists."""
    names = (raw / "filenames.json").read_text().splitlines()
    found = []
    for condition, name in enumerate(("class", "closure", "gender", "heel")):
        path = raw / "tripletlists" / f"{name}_tripletlist_{part}.txt"
        for line in path.read_text().splitlines():
            anchor, far, close = (names[int(field)] for field in line.split())
            found.append((condition, anchor, close, far))
    return found


@pytest.mark.parametrize(
    ("split", "part"), [("train", "train"), ("valid", "val"), ("test", "test")]
)
def test_every_triplet_arrives_with_its_roles(
    raw: Path, tmp_path: Path, split: str, part: str
) -> None:
    report = zappos50k.prepare(raw, tmp_path)
    assert "480 of 480 triplets kept" in str(report) and report.left_out == {}
    assert read_meta(tmp_path, "Zappos50k").names == ("class", "closure", "gender", "heel")
    found = read_split(tmp_path, "Zappos50k", split)
    named = [(c, *(found.files[i] for i in row)) for c, *row in found.triplets.tolist()]
    assert named == released(raw, part)


def test_triplets_of_broken_images_are_left_out(raw: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(raw, tmp_path / "raw"))
    zappos50k.prepare(broken, tmp_path)
    gone = released(raw, "val")[0][1]
    image = broken / "ut-zap50k-images" / gone
    image.unlink()
    image.write_bytes(b"no image")
    with pytest.raises(AnnotationError, match="1 of .* that are not: .*not a readable image"):
        zappos50k.prepare(broken, tmp_path)
    report = zappos50k.prepare(broken, tmp_path, broken="skip")
    kept = [row for row in released(raw, "val") if gone not in row]
    found = read_split(tmp_path, "Zappos50k", "valid")
    assert len(found.triplets) == len(kept) < len(released(raw, "val"))
    assert gone not in found.files and list(report.left_out) == [gone]
    np.testing.assert_array_equal(np.unique(found.triplets[:, 1:]), np.arange(len(found.files)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n", "heel_tripletlist_test.txt:1: a line must be three indices"),
        ("1 2 3\n\n4 x 5\n", "heel_tripletlist_test.txt:3: every field must be an integer"),
        ("1 2 60\n", "heel_tripletlist_test.txt:1: the file index must be below 60"),
    ],
)
def test_a_bad_list_is_named(raw: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tripletlists").mkdir()
    for path in (raw / "tripletlists").iterdir():
        (tmp_path / "tripletlists" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "filenames.json").write_bytes((raw / "filenames.json").read_bytes())
    (tmp_path / "tripletlists" / "heel_tripletlist_test.txt").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        zappos50k.prepare(tmp_path, tmp_path / "data")


def test_a_missing_list_is_one_sentence(raw: Path, tmp_path: Path, capsys) -> None:
    assert zappos50k.main(["--raw", str(tmp_path), "--out", str(tmp_path / "data")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "filenames.json: the file is missing" in message
