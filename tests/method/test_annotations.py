from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asen_tf.data import AnnotationError, AttributeTable, read_meta, read_split, read_value_names

META = '{"Tiny": {"ATTRIBUTES": ["length", "neck"], "ATTRIBUTES_NUM": {"length": 3, "neck": 2}}}'


def make(data_dir: Path, **files: str | bytes) -> Path:
    """Write meta.json and split files; keyword `label_train` becomes Tiny/label_train.txt."""
    root = data_dir / "Tiny"
    root.mkdir(parents=True, exist_ok=True)
    (data_dir / "meta.json").write_text(META)
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (root / f"{name}.txt").write_bytes(raw)
    return data_dir


def error(data_dir: Path) -> AnnotationError:
    with pytest.raises(AnnotationError) as caught:
        read_split(data_dir, "Tiny", "train", missing="ignore")
    return caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_blank_lines_and_several_pairs(tmp_path: Path, end: str) -> None:
    lines = ["0 0 2 1 1", "", "  1\t0  0 ", "", "0 1 0", ""]
    names = ["", "a b.jpg ", "", "sub/c.jpg", ""]
    make(tmp_path, label_train=end.join(lines), filenames_train="\ufeff" + end.join(names))
    split = read_split(tmp_path, "Tiny", "train", missing="ignore")
    assert split.files == ("a b.jpg", "sub/c.jpg")
    assert split.labels.tolist() == [[0, 0, 2], [0, 1, 1], [1, 0, 0], [0, 1, 0]]
    assert split.labels.dtype == np.int64
    assert split.queries.shape == split.candidates.shape == (0, 3)
    assert split.path(1) == tmp_path / "Tiny" / "sub" / "c.jpg"


def test_no_line_end_after_the_last_row(tmp_path: Path) -> None:
    make(tmp_path, label_train="0 0 1\n1 1 1", filenames_train="a.jpg\nb.jpg")
    split = read_split(tmp_path, "Tiny", "train", missing="ignore")
    assert split.labels.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_empty_files_give_empty_arrays(tmp_path: Path) -> None:
    make(tmp_path, filenames_valid="", query_valid="\n", candidate_valid="")
    split = read_split(tmp_path, "Tiny", "valid")
    assert split.files == ()
    assert split.labels.shape == split.queries.shape == split.candidates.shape == (0, 3)


def test_labels_of_a_test_split_are_the_distinct_rows_of_both_files(tmp_path: Path) -> None:
    make(
        tmp_path,
        filenames_test="a\nb\nc",
        query_test="2 0 1\n0 0 0\n0 0 0",
        candidate_test="1 1 1\n2 0 1",
    )
    split = read_split(tmp_path, "Tiny", "test", missing="ignore")
    assert split.queries.tolist() == [[2, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert split.candidates.tolist() == [[1, 1, 1], [2, 0, 1]]
    assert split.labels.tolist() == [[0, 0, 0], [1, 1, 1], [2, 0, 1]]


@pytest.mark.parametrize(
    ("rows", "line", "got"),
    [
        ("0 0 0\n2 0 0", 2, "got 2"),  # two files
        ("0 0 0\n\n0 2 0", 3, "got 2"),  # two attributes
        ("0 0 3", 1, "got 3"),  # length has values 0 to 2
        ("0 0 2 1 2", 1, "got 2"),  # neck has values 0 and 1
        ("0 0 0\n0 0", 2, "2 fields"),
        ("0 0 0\n0", 2, "1 fields"),
        ("0 0 0 1", 1, "4 fields"),
        ("0 0 0\r\n0 0 -1", 2, "'-1'"),
        ("0 0 0\n0 x 0", 2, "'x'"),
        ("0 0 0\n0 0 1.0", 2, "'1.0'"),
        ("0 0 0\n0 0 1_0", 2, "'1_0'"),
        ("0 0 " + "9" * 30, 1, "'9999"),
        ("0 0 99999999999", 1, "got 99999999999"),
    ],
)
def test_an_error_names_file_line_and_value(tmp_path: Path, rows: str, line: int, got: str) -> None:
    make(tmp_path, label_train=rows, filenames_train="a.jpg\nb.jpg")
    caught = error(tmp_path)
    path = tmp_path / "Tiny" / "label_train.txt"
    assert str(caught).startswith(f"{path}:{line}: ")
    assert (caught.path, caught.line) == (path, line)
    assert got in str(caught)
    assert str(caught).count(";") >= 2  # rule; got; remedy


def test_rows_are_read_only(tmp_path: Path) -> None:
    make(tmp_path, label_train="0 0 0", filenames_train="a.jpg")
    with pytest.raises(ValueError, match="read-only"):
        read_split(tmp_path, "Tiny", "train", missing="ignore").labels[0, 0] = 1


@pytest.mark.parametrize(
    "meta",
    [
        "{",
        "[]",
        '{"Other": {}}',
        '{"Tiny": {"ATTRIBUTES": ["a"]}}',
        '{"Tiny": {"ATTRIBUTES": "a", "ATTRIBUTES_NUM": {"a": 1}}}',
        '{"Tiny": {"ATTRIBUTES": ["a"], "ATTRIBUTES_NUM": {"b": 1}}}',
        '{"Tiny": {"ATTRIBUTES": ["a", "a"], "ATTRIBUTES_NUM": {"a": 1}}}',
        '{"Tiny": {"ATTRIBUTES": ["a"], "ATTRIBUTES_NUM": {"a": 0}}}',
        '{"Tiny": {"ATTRIBUTES": ["a"], "ATTRIBUTES_NUM": {"a": true}}}',
        '{"Tiny": {"ATTRIBUTES": ["overall"], "ATTRIBUTES_NUM": {"overall": 2}}}',
        '{"Tiny": {"ATTRIBUTES": [[]], "ATTRIBUTES_NUM": {}}}',
        "[" * 100_000,
    ],
)
def test_a_wrong_meta_file_is_a_clear_error(tmp_path: Path, meta: str) -> None:
    (tmp_path / "meta.json").write_text(meta)
    with pytest.raises(AnnotationError, match="meta.json"):
        read_meta(tmp_path, "Tiny")


@pytest.mark.parametrize("dataset", ["", ".", "..", "../Tiny", "a/b", "a\\b", "C:"])
def test_a_dataset_name_cannot_be_a_path(tmp_path: Path, dataset: str) -> None:
    make(tmp_path)
    with pytest.raises(AnnotationError, match="directly inside"):
        read_split(tmp_path, dataset, "train")


def test_value_names(tmp_path: Path) -> None:
    make(tmp_path)
    assert read_meta(tmp_path, "Tiny") == AttributeTable(("length", "neck"), (3, 2))
    assert read_value_names(tmp_path, "Tiny") is None
    path = tmp_path / "Tiny" / "values.json"
    path.write_text('{"length": ["a", "b", "c"], "neck": ["d"]}')
    with pytest.raises(AnnotationError, match="'neck' must have 2 value names"):
        read_value_names(tmp_path, "Tiny")
    path.write_text('{"neck": ["d", "e"], "length": ["a", "b", "c"]}')
    assert read_value_names(tmp_path, "Tiny")["neck"] == ["d", "e"]


def test_import_is_light() -> None:
    code = (
        "import sys, asen_tf.evaluation, asen_tf.data, asen_tf.evaluation.intervals;"
        "print(sorted({'tensorflow', 'keras', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"
