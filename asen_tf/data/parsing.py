"""From the bytes of a split file to arrays and names: every rule of the text formats is here.

Lines end in LF, CRLF or CR; a UTF-8 byte-order mark and blank lines are skipped (a blank line does
not count as an index). Whatever is wrong is named by file and line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asen_tf.data.records import LARGEST_INDEX, AnnotationError, AttributeTable

LONGEST_NAME, LONGEST_PATH = 240, 2000  # bytes of UTF-8
_BAD_NAME = re.compile(
    r"(?P<absolute>^[/\\~]|^[A-Za-z]:)|(?P<parent>(?:^|[/\\])\.\.(?:[/\\]|$))"
    r"|(?P<control>[\x00-\x1f\x7f\ufeff\ud800-\udfff])"
)
_NAME_RULES = {
    "absolute": "an image path must be relative to the dataset's folder",
    "parent": "an image path must not leave the dataset's folder through '..'",
    "control": "an image path must be plain text without control characters",
}
_LONGEST_INTEGER = 18  # digits that always fit int64
_INTEGER = re.compile(rb"-?[0-9]+")
_INTEGERS = re.compile(rb"[0-9 \t]*")


def read_bytes(path: Path) -> bytes:
    """Return a file's content with LF line ends and without a byte-order mark.

    Raises:
        AnnotationError: the file is absent or cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(
            "the file is missing", path=path, remedy="data_prep/README.md says how to make it"
        ) from None
    except OSError as error:
        remedy, got = "check its permissions", str(error)
        raise AnnotationError("cannot be read", path=path, got=got, remedy=remedy) from None
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def read_text(path: Path) -> str:
    """Return a UTF-8 file's text, lines ended by LF.

    Raises:
        AnnotationError: the file is absent, cannot be read, or is not UTF-8.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        rule, remedy = "the text must be UTF-8", "convert the file, for example with iconv"
        line, got = data.count(b"\n", 0, error.start) + 1, data[error.start : error.start + 8]
        raise AnnotationError(rule, path=path, line=line, got=got, remedy=remedy) from None


def load_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object a file holds, or raise AnnotationError with its line."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)  # a JSONDecodeError knows it
        rule = "the file must be JSON"
        remedy = "correct the text at that line; `python -m json.tool FILE` checks it"
        raise AnnotationError(rule, path=path, line=line, got=str(error), remedy=remedy) from None
    if not isinstance(value, dict):
        rule = "the file must hold one JSON object"
        raise AnnotationError(rule, path=path, got=value, remedy="enclose the entries in braces")
    return value


def check_image_name(name: str, path: Path, line: int) -> None:
    """Raise AnnotationError unless `name` is a relative path that stays inside its folder.

    File systems take 255 bytes for a name and 4,096 for a path; our limits leave room for the
    dataset's folder and for temporary names.
    """
    bad = _BAD_NAME.search(name)
    if bad:
        remedy = "put the image inside the dataset's folder and name it from there"
        raise AnnotationError(
            _NAME_RULES[str(bad.lastgroup)], path=path, line=line, got=name, remedy=remedy
        )
    longest = max(len(part.encode()) for part in name.split("/"))
    if longest > LONGEST_NAME or len(name.encode()) > LONGEST_PATH:
        rule = f"an image path may have {LONGEST_PATH} bytes, and each name in it {LONGEST_NAME}"
        raise AnnotationError(rule, path=path, line=line, got=name, remedy="rename the image")


def parse_names(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the image paths a file lists, and the 1-based line of each.

    Raises:
        AnnotationError: an absolute path, one with `..`, or one with control characters.
    """
    names, lines = [], []
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        name = text.strip(" \t")
        if name:
            check_image_name(name, path, line)
            names.append(name)
            lines.append(line)
    return tuple(names), tuple(lines)


def parse_integers(
    path: Path, complete: Callable[[int], bool], rule: str
) -> Iterator[tuple[int, list[int]]]:
    """Yield the 1-based number and the integers of each line that is not blank.

    Args:
        path: the file; fields are separated by blanks or tabs.
        complete: whether a line may have this many fields.
        rule: the same in words, for the error.

    Raises:
        AnnotationError: a field that is not a non-negative integer, or a wrong number of fields.
    """
    for line, text in enumerate(read_bytes(path).split(b"\n"), start=1):
        fields = text.split()
        if not _INTEGERS.fullmatch(text) or any(len(f) > _LONGEST_INTEGER for f in fields):
            raise _not_an_index(text, path, line)
        if fields:
            if not complete(len(fields)):
                remedy = "complete or remove the line"
                got = f"{len(fields)} fields: {text.decode().strip()}"
                raise AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)
            yield line, [int(field) for field in fields]


def _not_an_index(text: bytes, path: Path, line: int) -> AnnotationError:
    fields = [field for field in re.split(rb"[ \t]+", text) if field]
    rule = "every field must be an integer"
    wrong = next((field for field in fields if not _INTEGER.fullmatch(field)), None)
    if wrong is None:
        rule = f"every index must be zero or more, of at most {_LONGEST_INTEGER} digits"
        wrong = next(f for f in fields if f.startswith(b"-") or len(f) > _LONGEST_INTEGER)
    remedy = "write 0-based indices in decimal digits, separated by blanks"
    return AnnotationError(
        rule, path=path, line=line, got=wrong.decode("utf-8", "replace"), remedy=remedy
    )


def parse_rows(path: Path, attributes: AttributeTable, files: int | None) -> np.ndarray:
    """Return the rows of a label, query or candidate file.

    A line is `<file index> <attribute> <value> [<attribute> <value> ...]`; each pair is a row.

    Args:
        path: the file.
        attributes: gives the range of attribute and value indices.
        files: the number of files, which bounds the file index; None leaves it unbounded.

    Returns:
        (n, 3) int64: file, attribute and value index, in the order of the file.

    Raises:
        AnnotationError: a field is not an integer, a line has an even number of fields, or an index
            is out of range.
    """
    rows = [
        (line, file, attribute, value)
        for line, (file, *pairs) in parse_integers(
            path,
            lambda count: count >= 3 and count % 2 == 1,
            "a line must hold a file index and one or more pairs of attribute and value, "
            "which makes an odd number of fields, three or more",
        )
        for attribute, value in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    table = np.array(rows, np.int64).reshape(-1, 4)
    line, file, attribute, value = table.T
    check_range(path, line, file, LARGEST_INDEX if files is None else files, "file index")
    check_range(path, line, attribute, len(attributes), "attribute index")
    check_range(path, line, value, np.array(attributes.sizes)[attribute], "value index")
    return table[:, 1:].copy()


def parse_triplets(path: Path, attributes: AttributeTable, files: int | None) -> np.ndarray:
    """Return the triplets that a file lists, a line `<attribute> <anchor> <close> <far>` each.

    Args:
        path: the file.
        attributes: gives the range of the attribute index.
        files: the number of files, which bounds the file indices; None leaves them unbounded.

    Returns:
        (T, 4) int64: attribute, anchor, close and far, in the order of the file.

    Raises:
        AnnotationError: a line does not hold four integers, an index is out of range, a line names
            an image twice, or the file lists nothing.
    """
    rule = "a line must hold four indices: attribute, anchor, close, far"
    rows = [(line, *row) for line, row in parse_integers(path, lambda count: count == 4, rule)]
    if not rows:
        raise AnnotationError(
            "a list of triplets must hold at least one", path=path, remedy="make the list again"
        )
    table = np.array(rows, np.int64)
    line, attribute, anchor, close, far = table.T
    check_range(path, line, attribute, len(attributes), "attribute index")
    for images in (anchor, close, far) if files is not None else ():
        check_range(path, line, images, files, "file index")
    same = (anchor == close) | (anchor == far) | (close == far)
    if same.any():
        first = int(np.argmax(same))
        rule, remedy = "anchor, close and far must be three images", "correct or remove the line"
        at, got = int(line[first]), table[first, 1:].tolist()
        raise AnnotationError(rule, path=path, line=at, got=got, remedy=remedy)
    return table[:, 1:].copy()


def check_range(
    path: Path, lines: np.ndarray, indices: np.ndarray, bound: np.ndarray | int, what: str
) -> None:
    """Raise AnnotationError for the first index that is not below its bound, with its line."""
    outside = indices >= bound
    if outside.any():
        first = int(np.argmax(outside))
        limit = int(np.broadcast_to(bound, indices.shape)[first])
        raise AnnotationError(
            f"the {what} must be below {limit}",
            path=path,
            line=int(lines[first]),
            got=int(indices[first]),
            remedy="indices are 0-based and blank lines do not count; "
            "compare the line with the list of files and with meta.json",
        )
