"""Which image holds which value, against loops over the rows; many rows are read quickly."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from asen_tf.data import AttributeTable, Split, images_by_value, read_split
from data_prep.writing import write_meta, write_split

TABLE = AttributeTable(("length", "neck"), (4, 3))
FILES = 9


def split_of(labels: np.ndarray, files: int = FILES) -> Split:
    nothing = np.zeros((0, 3), np.int64)
    names = tuple(f"{index}.jpg" for index in range(files))
    return Split(Path(), "Tiny", "train", TABLE, names, labels, nothing, nothing, ())


@pytest.mark.parametrize("rows", [0, 1, 3, 40])
def test_which_image_holds_which_value(rows: int) -> None:
    labels = np.random.default_rng(rows).integers(0, (FILES, 2, 3), (rows, 3))
    for attribute, size in enumerate(TABLE.sizes):
        held = [(image, value) for image, a, value in labels.tolist() if a == attribute]
        found = split_of(labels).holds(attribute)
        expected = [[(image, value) in held for value in range(size)] for image in range(FILES)]
        assert found.dtype == bool and found.tolist() == expected
        by_value = images_by_value(labels, attribute)
        assert list(by_value) == sorted({value for _, value in held})
        for value, images in by_value.items():
            assert images.tolist() == sorted({image for image, v in held if v == value})


def test_without_a_list_of_files_the_labels_say_how_many_there_are() -> None:
    labels = np.array([[5, 0, 1], [2, 1, 1]])
    assert split_of(labels, files=0).holds(0).shape == (6, 4)
    assert split_of(labels, files=0).holds(1).shape == (3, 3)
    assert split_of(labels[:0], files=0).holds(0).shape == (0, 4)


def test_a_split_as_large_as_fashionais_is_read_within_seconds(tmp_path: Path) -> None:
    """Within three times of what it takes to make a path of each line: two seconds or three."""
    lines, sizes = 144_335, (6, 9, 8, 6, 5, 5, 10, 5)
    rng = np.random.default_rng(0)
    attributes = rng.integers(0, len(sizes), lines)
    values = rng.integers(0, np.array(sizes)[attributes])
    labels = np.stack([np.arange(lines), attributes, values], axis=1)
    folder = "fashionAI_attributes_train1/Images/neckline_design_labels"
    files = [f"{folder}/{index:032x}.jpg" for index in range(lines)]
    write_meta(tmp_path, "FashionAI", AttributeTable(tuple("abcdefgh"), sizes))
    write_split(tmp_path, "FashionAI", "train", files=files, labels=labels)
    begun = time.process_time()  # of this process alone, however busy the machine is
    split = read_split(tmp_path, "FashionAI", "train", missing="ignore")
    between = time.process_time()
    for file in (tmp_path / "FashionAI").iterdir():
        for line in file.read_text().splitlines():
            Path(line), line.split("/")
    assert between - begun < 3 * (time.process_time() - between)
    np.testing.assert_array_equal(split.labels, labels)
    assert split.files == tuple(files)
