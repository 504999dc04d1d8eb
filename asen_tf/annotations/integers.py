"""Integers in text files, with the line of each.

Rows are parsed by array operations over the bytes, 144,335 of them in a fraction of a second; a
line is looked at by itself only to say what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asen_tf.annotations.records import AnnotationError

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
