from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asen_tf.annotations import (
    AnnotationError,
    AttributeTable,
    read_regions,
    read_split,
    write_meta,
    write_regions,
    write_split,
)

TABLE = AttributeTable(("length", "neck"), (3, 2))
FILES = 4
FIELD = st.one_of(
    st.integers(0, 4).map(str), st.sampled_from(["-1", "x", "", "1.5", "7", "00", "9" * 25, "٣"])
)
LINE = st.one_of(
    st.lists(st.integers(0, 1).map(str), min_size=3, max_size=3).map(" ".join),
    st.lists(FIELD, max_size=6).map(" ".join),
)
CLEAN = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=9
)
TEXT = st.one_of(
    st.tuples(st.lists(LINE, max_size=8), st.sampled_from(["\n", "\r\n", "\r"])).map(
        lambda parts: parts[1].join(parts[0]).encode()
    ),
    CLEAN.map(lambda rows: "\n".join(" ".join(map(str, row)) for row in rows).encode()),
    st.binary(max_size=40),
)


def naive_rows(data: bytes) -> list[list[int]] | int:
    """Read line by line, the slow way; return the rows, or the first line that is wrong."""
    rows = []
    for number, line in enumerate(re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf")), 1):
        fields = re.split(rb"[ \t]+", line.strip(b" \t")) if line.strip(b" \t") else []
        if not fields:
            continue
        if not all(re.fullmatch(rb"[0-9]{1,18}", field) for field in fields):
            return number
        if len(fields) < 3 or len(fields) % 2 == 0:
            return number
        file, *pairs = (int(field) for field in fields)
        for attribute, value in zip(pairs[::2], pairs[1::2], strict=True):
            if file >= FILES or attribute >= 2 or value >= TABLE.sizes[attribute]:
                return number
            rows.append([file, attribute, value])
    return rows


@settings(max_examples=200, deadline=None)
@given(data=TEXT)
@example(data=b"")
@example(data=b"\n0 1 1 0 2\n\n")
@example(data=b"0 0 0\x0b")
def test_rows_are_right_or_the_error_names_file_and_line(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        write_meta(data_dir, "Tiny", TABLE)
        root = data_dir / "Tiny"
        root.mkdir()
        (root / "filenames_train.txt").write_text("a\nb\nc\nd\n")
        (root / "label_train.txt").write_bytes(data)
        expected = naive_rows(data)
        try:
            rows = read_split(data_dir, "Tiny", "train", missing="ignore").labels
        except AnnotationError as error:
            assert isinstance(expected, int)
            assert error.path == root / "label_train.txt"
            assert str(error).startswith(f"{error.path}:{error.line}: ")
            lines = re.split(rb"\r\n|\r|\n", data)
            wrong = lines[error.line - 1]  # the named line is wrong by itself, too
            assert isinstance(naive_rows(wrong), int)
        else:
            assert rows.tolist() == expected


@settings(max_examples=100, deadline=None)
@given(data=st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode)))
@example(data=b"a\n../b\n")
@example(data=b"a/b\n" + b"x" * 5000)
def test_any_list_of_files_is_read_or_refused_with_its_line(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        write_meta(data_dir, "Tiny", TABLE)
        root = data_dir / "Tiny"
        root.mkdir()
        (root / "label_train.txt").write_text("")
        (root / "filenames_train.txt").write_bytes(data)
        try:
            split = read_split(data_dir, "Tiny", "train", missing="skip")
        except AnnotationError as error:
            assert error.line is not None and error.path == root / "filenames_train.txt"
        else:
            inside = [
                (root / name).resolve().is_relative_to(root.resolve()) for name in split.files
            ]
            assert all(inside)
            assert len(split.missing) <= len(split.files)


@settings(max_examples=100, deadline=None)
@given(data=st.lists(st.lists(FIELD, max_size=7).map(",".join), max_size=4))
def test_any_region_file_is_read_or_refused_with_its_line(data: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        write_meta(data_dir, "Tiny", TABLE)
        path = data_dir / "Tiny" / "regions_train.csv"
        path.parent.mkdir()
        path.write_text("\n".join(["index,attribute,left,top,right,bottom", *data]))
        try:
            regions = read_regions(data_dir, "Tiny", "train")
        except AnnotationError as error:
            assert error.path == path and error.line is not None
        else:
            assert len(regions) == sum(bool(line.strip()) for line in data)
            write_regions(data_dir, "Tiny", "train", regions)
            assert read_regions(data_dir, "Tiny", "train") == regions


@settings(max_examples=100, deadline=None)
@given(rows=CLEAN, names=st.lists(st.text(max_size=8), min_size=FILES, max_size=FILES))
def test_what_is_written_reads_back(rows: list[tuple[int, int, int]], names: list[str]) -> None:
    array = np.array(rows)
    with tempfile.TemporaryDirectory() as folder:
        write_meta(folder, "Tiny", TABLE)
        try:
            write_split(folder, "Tiny", "train", files=names, labels=array)
            write_split(folder, "Tiny", "test", files=names, queries=array, candidates=array[:1])
        except AnnotationError:
            return  # a name that no file list can hold
        train = read_split(folder, "Tiny", "train", missing="ignore")
        test = read_split(folder, "Tiny", "test", missing="ignore")
        assert train.files == test.files == tuple(names)
        assert train.labels.tolist() == test.queries.tolist() == array.tolist()
        assert test.candidates.tolist() == array[:1].tolist()
