from __future__ import annotations

from pathlib import Path

import pytest

from asen_tf.data import AnnotationError, AttributeTable, read_split
from data_prep.writing import write_meta


def make(data_dir: Path, **files: str) -> Path:
    """Write split files as they are; keyword `label_train` becomes Tiny/label_train.txt."""
    write_meta(data_dir, "Tiny", AttributeTable(("length", "neck"), (3, 2)))
    (data_dir / "Tiny").mkdir(exist_ok=True)
    for name, content in files.items():
        (data_dir / "Tiny" / f"{name}.txt").write_text(content)
    return data_dir


def add_images(data_dir: Path, *names: str) -> None:
    for name in names:
        path = data_dir / "Tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def error(data_dir: Path, split: str = "train", missing: str = "ignore") -> AnnotationError:
    with pytest.raises(AnnotationError) as caught:
        read_split(data_dir, "Tiny", split, missing=missing)
    return caught.value


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up.jpg", "a/../../b.jpg", "..", "C:\\a.jpg", "a\\..\\b", "\\x", "a\0"],
)
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, label_train="0 0 0", filenames_train=f"a.jpg\n\n{name}\n")
    caught = error(tmp_path)
    assert (caught.path, caught.line) == (tmp_path / "Tiny" / "filenames_train.txt", 3)


def test_two_dots_inside_a_name_are_fine(tmp_path: Path) -> None:
    make(tmp_path, label_train="0 0 0", filenames_train="a..b/..c.jpg")
    assert read_split(tmp_path, "Tiny", "train", missing="ignore").files == ("a..b/..c.jpg",)


@pytest.mark.parametrize("place", ["file", "folder", "broken"])
def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path, place: str) -> None:
    data = make(tmp_path / "data", label_train="0 0 0", filenames_train="a.jpg\nsub/b.jpg")
    add_images(data, "a.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.jpg").write_bytes(b"x")
    if place == "folder":
        (data / "Tiny" / "sub").symlink_to(outside)
    else:
        (data / "Tiny" / "sub").mkdir()
        target = outside / ("b.jpg" if place == "file" else "nothing.jpg")
        (data / "Tiny" / "sub" / "b.jpg").symlink_to(target)
    for missing in ("error", "skip"):
        caught = error(data, missing=missing)
        assert caught.line == 2 and "symbolic link" in str(caught)
    assert len(read_split(data, "Tiny", "train", missing="ignore").files) == 2


def test_links_inside_the_folder_and_of_the_whole_folder_are_fine(tmp_path: Path) -> None:
    data = make(tmp_path / "data", label_train="0 0 0\n1 0 0", filenames_train="a.jpg\nb.jpg")
    add_images(data, "a.jpg")
    (data / "Tiny" / "b.jpg").symlink_to("a.jpg")
    (data / "Tiny").rename(tmp_path / "elsewhere")
    (data / "Tiny").symlink_to(tmp_path / "elsewhere")
    assert read_split(data, "Tiny", "train").missing == ()


def test_missing_images_are_an_error_or_skipped_or_ignored(tmp_path: Path) -> None:
    make(
        tmp_path,
        filenames_valid="a.jpg\nx/b.jpg\nc.jpg\nfolder",
        query_valid="0 0 0\n1 0 1",
        candidate_valid="1 0 0\n2 0 1\n3 1 1",
    )
    add_images(tmp_path, "a.jpg", "c.jpg", "folder/d.jpg")
    caught = error(tmp_path, "valid", "error")
    assert caught.line == 2
    assert "2 of 4 image files are missing" in str(caught) and "x/b.jpg" in str(caught)
    split = read_split(tmp_path, "Tiny", "valid", missing="skip")
    assert split.missing == (1, 3) and len(split.files) == 4
    assert split.queries.tolist() == [[0, 0, 0]]
    assert split.candidates.tolist() == [[2, 0, 1]]
    assert split.labels.tolist() == [[0, 0, 0], [2, 0, 1]]
    assert read_split(tmp_path, "Tiny", "valid", missing="ignore").missing == ()


def test_a_split_without_a_list_of_files_can_only_be_ignored(tmp_path: Path) -> None:
    make(tmp_path, label_train="7 0 0")
    split = read_split(tmp_path, "Tiny", "train", missing="ignore")
    assert split.files == () and split.labels.tolist() == [[7, 0, 0]]
    for missing in ("error", "skip"):
        assert "filenames_train.txt" in str(error(tmp_path, missing=missing))
