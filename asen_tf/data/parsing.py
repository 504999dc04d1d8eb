"""From the bytes of a split file to arrays and names; every rule of the format is here.

Lines end in LF, CRLF or CR; a UTF-8 byte-order mark and blank lines are skipped (a blank line does
not count as an index).

Integers in text files, with the line of each.

Rows are parsed by array operations over the bytes, 144,335 of them in a fraction of a second; a
line is looked at by itself only to say what is wrong with it.

JSON files whose faults are named by file and line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asen_tf.data.records import LARGEST_INDEX, AnnotationError, AttributeTable

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


_LONGEST_INTEGER = 18  # digits that always fit int64
_INTEGER = re.compile(rb"-?[0-9]+")


def parse_integers(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return every integer of a file and its 0-based line, both (n,) int64.

    Raises:
        AnnotationError: something else than non-negative integers, blanks and line ends.
    """
    array = np.frombuffer(data + b"\n", np.uint8)
    digit = (array >= ord("0")) & (array <= ord("9"))
    newline = array == ord("\n")
    line = np.cumsum(newline) - newline
    strange = ~(digit | newline | (array == ord(" ")) | (array == ord("\t")))
    reject_lines(data, path, np.bincount(line, weights=strange) > 0, _describe_text)

    edges = np.flatnonzero(np.diff(digit, prepend=False))
    starts, ends = edges[::2], edges[1::2]
    too_long = np.zeros(line[-1] + 1, bool)
    too_long[line[starts[ends - starts > _LONGEST_INTEGER]]] = True
    reject_lines(data, path, too_long, _describe_text)
    total = np.zeros(len(starts), np.int64)
    for place in range(int((ends - starts).max(initial=0))):
        here = starts + place < ends
        total[here] = total[here] * 10 + (array[starts[here] + place] - ord("0"))
    return total, line[starts]


def reject_lines(
    data: bytes,
    path: Path,
    bad_lines: np.ndarray,
    describe: Callable[[bytes], tuple[str, str, str]],
) -> None:
    """Raise for the first line that is marked as bad, with what `describe(text)` says of it."""
    if bad_lines.any():
        line = int(np.argmax(bad_lines))
        rule, got, remedy = describe(data.split(b"\n")[line])
        raise AnnotationError(rule, path=path, line=line + 1, got=got, remedy=remedy)


def _describe_text(text: bytes) -> tuple[str, str, str]:
    fields = [field for field in re.split(rb"[ \t]+", text) if field]
    odd = [field for field in fields if not _INTEGER.fullmatch(field)]
    remedy = "write 0-based indices in decimal digits, separated by blanks"
    if odd:
        return "every field must be an integer", odd[0].decode("utf-8", "replace"), remedy
    wrong = [f for f in fields if f.startswith(b"-") or len(f) > _LONGEST_INTEGER]
    field = (wrong or [text])[0].decode("utf-8", "replace")
    return "every index must be zero or more, and of a sensible size", field, remedy


def check_range(
    path: Path, lines: np.ndarray, indices: np.ndarray, bound: np.ndarray | int, what: str
) -> None:
    """Raise for the first index that is not below its bound; `lines` are 0-based."""
    outside = indices >= bound
    if outside.any():
        first = int(np.argmax(outside))
        limit = int(np.broadcast_to(bound, indices.shape)[first])
        raise AnnotationError(
            f"the {what} must be below {limit}",
            path=path,
            line=int(lines[first]) + 1,
            got=int(indices[first]),
            remedy="indices are 0-based and blank lines do not count; "
            "compare the line with the list of files and with meta.json",
        )


def load_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object a file holds, or raise AnnotationError with its line."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)  # a JSONDecodeError knows it
        raise AnnotationError(
            "the file must be JSON",
            path=path,
            line=line,
            got=str(error),
            remedy="correct the text at that line; `python -m json.tool FILE` checks it",
        ) from None
    if not isinstance(value, dict):
        raise AnnotationError(
            "the file must hold one JSON object",
            path=path,
            got=value,
            remedy="enclose the entries in braces",
        )
    return value


def locate_images(
    root: Path, names: tuple[str, ...], source: Path, lines: tuple[int, ...]
) -> list[os.DirEntry[str] | None]:
    """Return the directory entry of each image, or None where there is no such file.

    Each folder is listed once, so 180,000 files in a few folders take well under a second.
    The dataset's folder itself may be a symbolic link; links inside it may not lead out of it.

    Args:
        root: the dataset's folder.
        names: image paths relative to it, already free of `..` and not absolute.
        source: the file that lists them, and `lines`, their lines in it, for the message.
        lines: 1-based line of each name.

    Raises:
        AnnotationError: a symbolic link leads out of the folder.
    """
    home = os.path.realpath(root)
    folders: dict[str, dict[str, os.DirEntry[str]] | None] = {}
    found: list[os.DirEntry[str] | None] = []
    for name, line in zip(names, lines, strict=True):
        folder, _, base = name.rpartition("/")
        if folder not in folders:
            path = os.path.join(home, folder)
            folders[folder] = _entries(path) if _is_inside(path, home) else None
        entries = folders[folder]
        entry = None if entries is None else entries.get(base)
        escapes = entry is not None and entry.is_symlink() and not _is_inside(entry.path, home)
        if entries is None or escapes:
            raise AnnotationError(
                "an image path must not leave the dataset's folder through a symbolic link",
                path=source,
                line=line,
                got=name,
                remedy="copy the images into the folder, or make the whole folder the link",
            )
        found.append(entry if entry is not None and _is_file(entry) else None)
    return found


def _is_inside(path: str, home: str) -> bool:
    real = os.path.realpath(path)
    return real == home or real.startswith(home.rstrip(os.sep) + os.sep)


def _entries(folder: str) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return {entry.name: entry for entry in listing}
    except OSError:  # absent, not a folder, or not readable: its images are missing
        return {}


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that turns in a circle
        return False
