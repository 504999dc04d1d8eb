"""Hundreds of raw lists, valid or not: a correct parse, or our own error with file and line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import naive_releases as naive
from hypothesis import example, given
from hypothesis import strategies as st
from made_up_inputs import hundreds

from asen_tf.data import AnnotationError
from data_prep import darn, deepfashion, fashionai
from data_prep.catalog_table import read_catalogue

# === What files are made of: mostly right, with something wrong here and there ===

NAMES = ["Images/a.jpg", "b c.jpg", "é/ß.png", "d.jpg", "e.jpg", "f.jpg"]
ODD_NAMES = ["", "../x", "/x", "a/../b", "C:x", "~x", "\x00", "x" * 241, "\ufeff", "a\\..\\b"]
ENDS = ["\n", "\r\n", "\r"]
NOISE = st.sampled_from(
    [b"", b"", b"", b"", b"\xff", b"\n\n", b"\x0b", b" ", b"\xef\xbb\xbf", b"0"]
)


def lines(*columns: tuple[list[str], list[str]], mark: str = "") -> st.SearchStrategy[str]:
    """Make lines of a right text per column; in one of ten lines, one text is a wrong one."""
    right = [mark.join(texts) for texts in itertools.product(*(good for good, _ in columns))]
    first = [good[0] for good, _ in columns]
    wrong = [
        mark.join([*first[:at], odd, *first[at + 1 :]])
        for at, (_, odds) in enumerate(columns)
        for odd in odds
    ]
    wrong += ["", "x", mark, right[0] + mark, right[0] + mark + "x", "0 0", right[0][:-1]]
    return st.sampled_from(right * (1 + 9 * len(wrong) // len(right)) + wrong)


def files(line: st.SearchStrategy[str], head: str = "", ends: list[str] = ENDS):
    """Make files of such lines: any line end, a byte-order mark or not, noise in the middle."""

    def build(texts: list[str], end: str, mark: bytes, noise: bytes, at: int) -> bytes:
        data = end.join([head.replace("\n", end), *texts] if head else texts).encode()
        return mark + data[:at] + noise + data[at:]

    parts = (st.lists(line, max_size=6), st.sampled_from(ends))
    marks = st.sampled_from([b"", b"\xef\xbb\xbf"])
    return st.builds(build, *parts, marks, NOISE, st.integers(0, 200))


def compare(path: Path, data: bytes, read: Callable[[], object], expected: object) -> None:
    """Compare what is read with the naive parser's rows, or the line of the error with its line."""
    path.write_bytes(data)
    try:
        found = read()
    except AnnotationError as error:
        assert expected is naive.ANY or isinstance(expected, int), (expected, str(error))
        assert error.path == path and error.line == expected, (str(error), expected)
        where = f"{path}: " if expected is naive.ANY else f"{path}:{expected}: "
        assert str(error).startswith(where)
    else:
        assert found == expected


# === FashionAI's label.csv ===

LABELS = lines(
    (NAMES[:3], ODD_NAMES),
    (["neck_design_labels"], ["neck_design", "x", "", "_labels"]),
    (["ynnnn", "nynnm"], ["", "yynnn", "mmmmn", "ynnn", "ynnnnn", "ynxnn", " ynnnn\t"]),
    mark=",",
)


@hundreds
@given(files(LABELS) | st.binary(max_size=40))
@example(
    b"a.jpg,neck_design_labels,nynnn\nb.jpg,neck_design_labels,nynnn\na.jpg,neck_design_labels,ynnnn"
)
def test_labels_of_fashionai(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "label.csv"
    compare(path, data, lambda: list(fashionai.read_labels(path)), naive.fashionai(data))


# === One's own catalogue ===


def rows(mark: str) -> st.SearchStrategy[bytes]:
    cells = (
        ["red", "2 XL", "", "é"],
        ["a\x1fb", "\u2028", " a ", "a\xa0\xa0b", "\u200ba", "N/A", "None", "NA", "na", "—", "--"],
    )
    splits = (["train", "test"], ["", "dev"])
    return files(lines((NAMES, ODD_NAMES), cells, splits, mark=mark), f"image{mark}hue{mark}split")


@hundreds
@given(
    st.one_of(*map(rows, ",;\t|"))
    | st.text("image,;\n\r\tx.é", max_size=60).map(str.encode)
    | st.text("image,hue\n", max_size=60).map(lambda text: text.encode("utf-16"))
)
@example("image,hue\na.jpg,red\n".encode("utf-16"))
@example(b"image,hue\n" + b"\n" * 20_000 + b"\xff.jpg,red\n")
def test_a_catalogue(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "shop.csv"

    def read() -> list[tuple[str, str, dict[str, str]]]:
        return [(row.image, row.split, dict(row.cells)) for row in read_catalogue(path)[0]]

    if b'"' not in data:
        compare(path, data, read, naive.catalogue(data))


@hundreds
@given(st.text('image,;"\n\r\tx.é', max_size=80).map(str.encode) | st.binary(max_size=80))
def test_a_catalogue_with_quotation_marks(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"image,hue\n" * (len(data) % 2) + data)
    try:
        rows, _ = read_catalogue(path)
    except AnnotationError as error:
        assert error.path == path and error.line is not None
        return
    assert len({row.image for row in rows}) == len(rows)
    assert all(naive.good_name(row.image) for row in rows)


# === DeepFashion's lists ===

IMAGES = lines(
    (["img/a.jpg", "img/b.jpg", "c.jpg", "d.jpg"], ODD_NAMES),
    (["1 -1", " 0  1", "-1 -1"], ["1", "1 1 1", "2 0", "x 1", "1\x0b1", "1\r1"]),
    mark=" ",
)
VALUES = lines(
    (["floral print", "lace"], ["", " ", "a\tb"]), ([*"12345"], ["0", "6", "x", "", "1 "]), mark=" "
)
HEADS = [*(f"{count}\nhead" for count in range(7)), "x\nh", "3", " ", "\u0663\nh", "-1\nh"]


def counted(line: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    made = [files(line, head, ["\n", "\r\n"]) for head in HEADS]
    return st.one_of(*made, st.binary(max_size=30))


@hundreds
@given(counted(IMAGES))
def test_images_of_deepfashion(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list_attr_img.txt"

    def read() -> list[tuple[str, list[int]]]:
        samples = deepfashion.read_images(path, [(0, 0), (1, 0)])
        return [(s.path, [attribute for attribute, _ in s.labels]) for s in samples]

    compare(path, data, read, naive.deepfashion_images(data, 2))


@hundreds
@given(counted(VALUES))
@example(b"5\nhead\na 1\nb 2\nc d 3\ne 4\nf  5\n")
def test_values_of_deepfashion(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list_attr_cloth.txt"
    expected = naive.deepfashion_values(data)
    compare(path, data, lambda: list(deepfashion.read_values(path)[1].values()), expected)


# === DARN's URLs ===

URLS = lines(
    (NAMES[:3], ODD_NAMES),
    ([" ", "\t", " \t "], ["", "\x0b"]),
    (["http://h/a", "https://h/é?x=1", "http://[::1/x"], ["ftp://h/a", "", "http:/x", "HTTP://h"]),
)


@hundreds
@given(files(URLS) | st.binary(max_size=40))
def test_urls_of_darn(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "urls.txt"
    compare(path, data, lambda: darn.read_urls(path), naive.urls(data))
