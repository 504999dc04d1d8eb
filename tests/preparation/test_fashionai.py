"""FashionAI, from zip files or folders, divided anew or by the authors' split files."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import raw_releases

from asen_tf.data import AnnotationError, read_split, read_value_names
from asen_tf.files import file_digest
from data_prep import fashionai
from data_prep.garments.values import ATTRIBUTES, VALUES

# The released attributes in their order, and the values in the order of the marks: what the split
# files' numbers mean. A copy of DESIGN.md, section 2: the project's own table is what is tested.
RELEASED = {
    "skirt_length": "Invisible, Short, Knee, Midi, Ankle, Floor",
    "sleeve_length": "Invisible, Sleeveless, Cup, Short, Elbow, 3/4, Wrist, Long, Extra Long",
    "coat_length": "Invisible, High Waist, Regular, Long, Micro, Knee, Midi, Ankle&Floor",
    "pant_length": "Invisible, Short, Mid, 3/4, Cropped, Full",
    "collar_design": "Invisible, Shirt Collar, Peter Pan, Puritan Collar, Rib Collar",
    "lapel_design": "Invisible, Notched, Collarless, Shawl, Plus Size Shawl",
    "neckline_design": "Invisible, Strapless, Deep V, Straight, V, Square, Off Shoulder, Round, "
    "Sweetheart, One Shoulder",
    "neck_design": "Invisible, Turtle, Ruffle Semi-High Collar, Low Turtle, Draped Collar",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fashionai")
    raw_releases.fashionai(raw_releases.draw(path / "source", images=40, size=48), path / "raw")
    return path / "raw"


def split_files(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data_dir / "FashionAI").glob("*.txt")}


def labels(data_dir: Path) -> dict[str, tuple[int, int]]:
    """Return attribute and value by image path, over all splits."""
    found = {}
    for name in ("train", "valid", "test"):
        split = read_split(data_dir, "FashionAI", name)
        found |= {split.files[i]: (a, v) for i, a, v in split.labels.tolist()}
    return found


def expected_labels(raw: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for part in fashionai.PARTS:
        with zipfile.ZipFile(raw / f"{part}.zip") as opened:
            for line in opened.read("Annotations/label.csv").decode().splitlines():
                name, kind, marks = line.split(",")
                attribute = kind.replace("_labels", "")
                found[f"{part}/{name}"] = (ATTRIBUTES.index(attribute), marks.index("y"))
    return found


def test_every_label_arrives_and_maybe_says_nothing(raw: Path, tmp_path: Path) -> None:
    report = fashionai.prepare(raw, tmp_path)
    expected = expected_labels(raw)
    assert labels(tmp_path) == expected
    assert sum(report.images.values()) == len(expected) and report.left_out == {}
    count = len(expected)
    assert min(report.images["valid"], report.images["test"]) > count // 30
    valid = read_split(tmp_path, "FashionAI", "valid")
    assert len(valid.queries) + len(valid.candidates) == report.images["valid"]
    assert read_value_names(tmp_path, "FashionAI") == {a: list(VALUES[a]) for a in ATTRIBUTES}


def test_the_numbers_of_the_release_mean_these_attributes_and_values() -> None:
    assert fashionai.TABLE.names == ATTRIBUTES == tuple(RELEASED)
    assert {name: ", ".join(values) for name, values in VALUES.items()} == RELEASED
    assert tuple(fashionai.TABLE.sizes) == (6, 9, 8, 6, 5, 5, 10, 5)


def test_equal_images_are_in_one_split(raw: Path, tmp_path: Path) -> None:
    report = fashionai.prepare(raw, tmp_path)  # each photograph is labelled under several names
    found: dict[str, set[str]] = {}
    for name in ("train", "valid", "test"):
        split = read_split(tmp_path, "FashionAI", name)
        for row in range(len(split.files)):
            found.setdefault(file_digest(split.path(row)), set()).add(name)
    assert all(len(splits) == 1 for splits in found.values())
    copies = sum(report.images.values()) - len(found)
    assert copies > 40 and f"{copies:,} images equal another one" in str(report)


def test_zip_files_and_folders_give_the_same_split_files(raw: Path, tmp_path: Path) -> None:
    fashionai.prepare(raw, tmp_path / "zips")
    fashionai.prepare(raw, tmp_path / "again")
    for nested, target in ((False, tmp_path / "folders"), (True, tmp_path / "nested")):
        for part in fashionai.PARTS:
            with zipfile.ZipFile(raw / f"{part}.zip") as opened:
                opened.extractall(target / part / part if nested else target / part)
        fashionai.prepare(target, target / "data")
        assert split_files(target / "data") == split_files(tmp_path / "zips")
    assert split_files(tmp_path / "again") == split_files(tmp_path / "zips")
    fashionai.prepare(raw, tmp_path / "again", seed=1)
    assert split_files(tmp_path / "again") != split_files(tmp_path / "zips")


@pytest.mark.parametrize("top", ["{part}", "base", "a/deep folder"])
@pytest.mark.parametrize("macos", [False, True])
def test_archives_that_hold_a_folder(raw: Path, tmp_path: Path, top: str, macos: bool) -> None:
    (tmp_path / "raw").mkdir()
    for part in fashionai.PARTS:
        with (
            zipfile.ZipFile(raw / f"{part}.zip") as opened,
            zipfile.ZipFile(tmp_path / "raw" / f"{part}.zip", "w") as written,
        ):
            for name in opened.namelist():
                written.writestr(f"{top.format(part=part)}/{name}", opened.read(name))
            if macos:
                written.writestr(f"__MACOSX/{top.format(part=part)}/._label.csv", b"rubbish")
    fashionai.prepare(tmp_path / "raw", tmp_path / "data")
    assert labels(tmp_path / "data") == expected_labels(raw)


@pytest.mark.parametrize("names", [["Images/a.jpg"], ["a/{label}", "b/{label}"]])
def test_an_archive_without_its_labels_is_refused_before_it_is_unpacked(
    raw: Path, tmp_path: Path, names: list[str]
) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "raw" / "fashionAI_attributes_train1.zip", "w") as written:
        for name in names:
            written.writestr(name.format(label="Annotations/label.csv"), b"x")
    with pytest.raises(AnnotationError, match=r"train1.zip: .*must hold one Annotations/label.csv"):
        fashionai.prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def authors_splits(raw: Path, folder: Path) -> None:
    """Write split files as the authors would: CRLF, their own order."""
    folder.mkdir()
    names = sorted(expected_labels(raw).items(), key=lambda item: item[0][::-1])
    cut = {"train": names[20:], "valid": names[:10], "test": names[10:20]}
    for split, part in cut.items():
        lines = [f"{at} {a} {v}\r\n" for at, (_, (a, v)) in enumerate(part)]
        text = "".join(f"{name}\r\n" for name, _ in part)
        (folder / f"filenames_{split}.txt").write_bytes(text.encode())
        parts = {"label": lines} if split == "train" else {"query": lines[:2]}
        if split != "train":
            parts["candidate"] = lines[2:]
        for role, rows in parts.items():
            (folder / f"{role}_{split}.txt").write_bytes("".join(rows).encode())


def test_the_authors_split_files_take_the_place_of_the_division(raw: Path, tmp_path: Path) -> None:
    authors_splits(raw, tmp_path / "splits")
    fashionai.prepare(raw, tmp_path / "data", splits=tmp_path / "splits")
    assert labels(tmp_path / "data") == expected_labels(raw)
    valid = read_split(tmp_path / "data", "FashionAI", "valid")
    assert len(valid.queries) == 2 and len(valid.candidates) == 8
    (tmp_path / "both").mkdir()
    shutil.copytree(tmp_path / "splits", tmp_path / "both" / "FashionAI")
    fashionai.prepare(raw, tmp_path / "parent", splits=tmp_path / "both")
    assert split_files(tmp_path / "parent") == split_files(tmp_path / "data")
    (tmp_path / "splits" / "filenames_train.txt").unlink()
    with pytest.raises(AnnotationError, match=r"filenames_train.txt: .*omit --splits"):
        fashionai.prepare(raw, tmp_path / "data", splits=tmp_path / "splits")


def test_broken_images_are_named_or_left_out_before_training(raw: Path, tmp_path: Path) -> None:
    authors_splits(raw, tmp_path / "splits")
    data, loose = tmp_path / "data", tmp_path / "loose"
    fashionai.prepare(raw, data)
    for part in fashionai.PARTS:  # the raw release, unpacked
        shutil.copytree(data / "FashionAI" / part, loose / part)
    listed = (tmp_path / "splits" / "filenames_valid.txt").read_text().split()
    (loose / listed[0]).unlink()  # a query
    (loose / listed[5]).write_bytes(b"")  # a candidate
    shutil.rmtree(data)
    arguments = ["--raw", str(loose), "--out", str(data), "--splits", str(tmp_path / "splits")]
    with pytest.raises(AnnotationError, match=r"2 of \d+ that are not: .*no such file"):
        fashionai.prepare(loose, data, splits=tmp_path / "splits")
    assert fashionai.main([*arguments]) == 2
    assert fashionai.main([*arguments, "--broken", "skip"]) == 0
    valid = read_split(data, "FashionAI", "valid")
    kept = [name for at, name in enumerate(listed) if at not in (0, 5)]
    assert list(valid.files) == kept
    assert len(valid.queries) == 1 and len(valid.candidates) == 7
    expected = expected_labels(raw)
    assert {valid.files[i]: (a, v) for i, a, v in valid.labels.tolist()} == {
        name: expected[name] for name in kept
    }
    reasons = (data / "FashionAI" / "broken_images.csv").read_text()
    assert reasons.count("\n") == 3 and "the file is empty" in reasons
    for name in (listed[0], listed[5]):  # repaired, and asked again: all are there
        with zipfile.ZipFile(raw / f"{name.split('/')[0]}.zip") as opened:
            member = next(
                each for each in opened.namelist() if each.endswith(name.split("/", 1)[1])
            )
            (loose / name).write_bytes(opened.read(member))
    assert not fashionai.prepare(loose, data, splits=tmp_path / "splits").left_out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Images/a.jpg,skirt_length_labels", "a line must be <image>"),
        ("Images/a.jpg,hat_labels,nny", "the attribute must be one of .*; got 'hat_labels'"),
        ("Images/a.jpg,skirt_length_labels,nny", "skirt_length must have 6 marks"),
        ("Images/a.jpg,skirt_length_labels,nnxnny", "each n, m or y; got 'nnxnny'"),
        ("Images/a.jpg,skirt_length_labels,nynnny", "exactly one mark must be y"),
        ("Images/a.jpg,skirt_length_labels,nnmmnn", "exactly one mark must be y"),
        ("../a.jpg,skirt_length_labels,nnynnn", "must not leave the dataset's folder"),
        ("/a.jpg,skirt_length_labels,nnynnn", "must be relative"),
        ("Images/1.jpg,neck_design_labels,nynnn", "has one neck_design; line 1 has value 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "label.csv"
    path.write_bytes(b"\xef\xbb\xbfImages/1.jpg,neck_design_labels,nnynm\r\n\r\n" + line.encode())
    with pytest.raises(AnnotationError, match=rf"label.csv:3: .*{message}"):
        list(fashionai.read_labels(path))


def test_a_line_that_repeats_another_counts_once(tmp_path: Path) -> None:
    line = "Images/1.jpg,neck_design_labels,nnynm\n"
    (tmp_path / "label.csv").write_text(line + line.replace("nnynm", "nnynn") + line)
    assert list(fashionai.read_labels(tmp_path / "label.csv")) == [("Images/1.jpg", (7, 2))]


def test_a_missing_part_is_named(raw: Path, tmp_path: Path) -> None:
    shutil.copy(raw / "fashionAI_attributes_train1.zip", tmp_path)
    with pytest.raises(AnnotationError, match=r"neither fashionAI_attributes_train2.zip nor"):
        fashionai.prepare(tmp_path, tmp_path / "data")
