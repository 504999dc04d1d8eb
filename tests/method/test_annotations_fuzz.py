from __future__ import annotations

import re
import tempfile
from pathlib import Path

import naive_annotations as naive
import naive_releases
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from made_up_inputs import hundreds
from naive_annotations import FILES, TABLE

from asen_tf.data import AnnotationError, read_regions, read_split
from asen_tf.data.parsing import parse_triplets
from data_prep.writing import write_meta, write_regions, write_split

WRONG = ["0 1 2", "0 1 1 2", "2 0 1 2", "0 1 2 4", "0 1 2 3 0", "x", "-1 0 1 2"]
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


def made(data_dir: Path) -> Path:
    """Write meta.json once, and return the dataset's folder."""
    if not (data_dir / "Tiny").exists():
        write_meta(data_dir, "Tiny", TABLE)
        (data_dir / "Tiny").mkdir()
    return data_dir / "Tiny"


@hundreds
@given(data=TEXT)
@example(data=b"")
@example(data=b"\n0 1 1 0 2\n\n")
@example(data=b"0 0 0\x0b")
def test_rows_are_right_or_the_error_names_file_and_line(tmp_path: Path, data: bytes) -> None:
    root, expected = made(tmp_path), naive.rows(data)
    (root / "filenames_train.txt").write_text("a\nb\nc\nd\n")
    (root / "label_train.txt").write_bytes(data)
    try:
        rows = read_split(tmp_path, "Tiny", "train", missing="ignore").labels
    except AnnotationError as error:
        assert isinstance(expected, int)
        assert error.path == root / "label_train.txt"
        assert str(error).startswith(f"{error.path}:{error.line}: ")
        lines = re.split(rb"\r\n|\r|\n", data)
        wrong = lines[error.line - 1]  # the named line is wrong by itself, too
        assert isinstance(naive.rows(wrong), int)
    else:
        assert rows.tolist() == expected


@hundreds
@given(
    data=st.one_of(
        st.lists(st.sampled_from(["0 1 2 3", "1 3 0 2", "0  2 1\t0", "", *WRONG])).map("\n".join),
        st.lists(st.lists(FIELD, max_size=5).map(" ".join), max_size=5).map("\r\n".join),
    )
)
def test_triplets_are_right_or_the_error_names_file_and_line(tmp_path: Path, data: str) -> None:
    path, expected = tmp_path / "triplets_train.txt", naive.triplets(data)
    path.write_text(data, newline="")
    try:
        triplets = parse_triplets(path, TABLE, FILES)
    except AnnotationError as error:
        assert not isinstance(expected, list) and error.path == path
        if expected is not None:  # what is wrong is a line: not the first one in any case
            wrong = data.replace("\r\n", "\n").split("\n")[error.line - 1]
            assert isinstance(naive.triplets(wrong), int)
    else:
        assert triplets.tolist() == expected


@hundreds
@given(
    data=st.one_of(
        st.lists(
            st.sampled_from(["a.jpg", "b c/d.jpg", "é", " x\t", "", "/e", "../f", "g/..", "~h"])
        )
        .map("\n".join)
        .map(str.encode),
        st.binary(max_size=60),
        st.text(max_size=40).map(str.encode),
    )
)
@example(data=b"a\n../b\n")
@example(data=b"a/b\n" + b"x" * 5000)
def test_any_list_of_files_is_read_or_refused_with_its_line(tmp_path: Path, data: bytes) -> None:
    root, expected = made(tmp_path), naive.names(data)
    (root / "label_train.txt").write_text("")
    (root / "filenames_train.txt").write_bytes(data)
    try:
        split = read_split(tmp_path, "Tiny", "train", missing="skip")
    except AnnotationError as error:
        assert error.line == expected and error.path == root / "filenames_train.txt"
    else:
        assert list(split.files) == expected
        assert len(split.missing) <= len(split.files)
        inside = [(root / name).resolve().is_relative_to(root.resolve()) for name in split.files]
        assert all(inside)


@hundreds
@given(
    data=st.lists(
        st.one_of(
            st.sampled_from(["0,0,1,2,3,4", "1,1,0,0,0.5,7e1", "2,0,1,1,2,2", "3,1,5,5,9,9", ""]),
            st.lists(FIELD, min_size=5, max_size=7).map(",".join),
        ),
        max_size=4,
    )
)
def test_any_region_file_is_read_or_refused_with_its_line(tmp_path: Path, data: list[str]) -> None:
    path, expected = made(tmp_path) / "regions_train.csv", naive.regions(data)
    path.write_text("\n".join(["index,attribute,left,top,right,bottom", *data]))
    try:
        regions = read_regions(tmp_path, "Tiny", "train")
    except AnnotationError as error:
        assert error.path == path and error.line == expected
    else:
        assert regions == expected
        write_regions(tmp_path, "Tiny", "train", regions)
        assert read_regions(tmp_path, "Tiny", "train") == regions


@hundreds
@given(rows=CLEAN, names=st.lists(st.text(max_size=8), min_size=FILES, max_size=FILES))
@example(rows=[(0, 0, 0), (3, 1, 1)], names=["a.jpg", "b c/d.jpg", "é", "~h"])
def test_what_is_written_reads_back(rows: list[tuple[int, int, int]], names: list[str]) -> None:
    array = np.array(rows)
    good = all(name.strip(" \t") == name and naive_releases.good_name(name) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        write_meta(folder, "Tiny", TABLE)
        try:
            write_split(folder, "Tiny", "train", files=names, labels=array)
            write_split(folder, "Tiny", "test", files=names, queries=array, candidates=array[:1])
        except AnnotationError:
            assert not good  # a name that no file list can hold
            return
        assert good
        train = read_split(folder, "Tiny", "train", missing="ignore")
        test = read_split(folder, "Tiny", "test", missing="ignore")
        assert train.files == test.files == tuple(names)
        assert train.labels.tolist() == test.queries.tolist() == array.tolist()
        assert test.candidates.tolist() == array[:1].tolist()
