"""From the bytes of a split file to arrays and names; every rule of the format is here.

Lines end in LF, CRLF or CR; a UTF-8 byte-order mark and blank lines are skipped (a blank line does
not count as an index).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from asen_tf.annotations.integers import check_range, parse_integers, reject_lines
from asen_tf.annotations.records import LARGEST_INDEX, AnnotationError, AttributeTable

_BAD_NAME = re.compile(
    r"(?P<absolute>^[/\\~]|^[A-Za-z]:)|(?P<parent>(?:^|[/\\])\.\.(?:[/\\]|$))"
    r"|(?P<control>[\x00-\x1f\x7f\ufeff\ud800-\udfff])"
)
LONGEST_NAME, LONGEST_PATH = 240, 2000  # bytes, of UTF-8
_RULES = {
    "absolute": "an image path must be relative to the dataset's folder",
    "parent": "an image path must not leave the dataset's folder through '..'",
    "control": "an image path must be plain text without control characters",
}


def read_bytes(path: Path) -> bytes:
    """Return a file's content with LF line ends and without a byte-order mark.

    Raises:
        AnnotationError: the file is absent or cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(
            "the file is missing", path=path, remedy="see the data section of the README"
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
        raise AnnotationError(
            "the text must be UTF-8",
            path=path,
            line=data.count(b"\n", 0, error.start) + 1,
            got=data[error.start : error.start + 8],
            remedy="convert the file, for example with iconv",
        ) from None


def check_image_name(name: str, path: Path, line: int) -> None:
    """Raise unless `name` is a relative path that cannot climb out of its folder, nor is too long.

    File systems take 255 bytes for a name and 4,096 for a path; the room between is that of the
    folder, and of temporary names.
    """
    bad = _BAD_NAME.search(name)
    if not bad and (
        len(name.encode()) > LONGEST_PATH
        or any(len(part.encode()) > LONGEST_NAME for part in name.split("/"))
    ):
        raise AnnotationError(
            f"an image path may have {LONGEST_PATH} bytes, and each name in it {LONGEST_NAME}",
            path=path,
            line=line,
            got=name,
            remedy="rename the image",
        )
    if bad:
        raise AnnotationError(
            _RULES[str(bad.lastgroup)],
            path=path,
            line=line,
            got=name,
            remedy="put the image inside the dataset's folder and name it from there",
        )


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
        AnnotationError: something else than integers, an even number of fields on a line, or an
            index out of range.
    """
    data = read_bytes(path)
    integers, lines = parse_integers(data, path)
    counts = np.bincount(lines)  # integers on each 0-based line
    reject_lines(data, path, (counts > 0) & ((counts < 3) | (counts % 2 == 0)), _describe_fields)
    position = np.arange(len(integers)) - (np.cumsum(counts) - counts)[lines]
    is_value = (position > 0) & (position % 2 == 0)
    value = integers[is_value]
    attribute = integers[np.flatnonzero(is_value) - 1]
    line = lines[is_value]
    file = integers[position == 0][np.cumsum(position == 0)[is_value] - 1]

    bound = LARGEST_INDEX if files is None else files
    check_range(path, line, file, bound, "file index")
    check_range(path, line, attribute, len(attributes), "attribute index")
    check_range(path, line, value, np.array(attributes.sizes)[attribute], "value index")
    return np.stack([file, attribute, value], axis=1)


def _describe_fields(text: bytes) -> tuple[str, str, str]:
    return (
        "a line must hold a file index and one or more pairs of attribute and value, "
        "which makes an odd number of fields, three or more",
        f"{len(text.split())} fields: {text.decode('utf-8', 'replace').strip()}",
        "complete or remove the line",
    )
