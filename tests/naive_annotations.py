"""Split files read line by line, the slow way, for comparison."""

from __future__ import annotations

import math
import re

import naive_releases

from asen_tf.data import AttributeTable

TABLE = AttributeTable(("length", "neck"), (3, 2))
FILES, LARGEST = 4, 2**31 - 1


def rows(data: bytes) -> list[list[int]] | int:
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


def triplets(data: str) -> list[list[int]] | int | None:
    """Return the triplets, the first line that is wrong, or None for a list without any."""
    found = []
    for number, line in enumerate(data.replace("\r\n", "\n").split("\n"), 1):
        fields = line.replace("\t", " ").split(" ")
        fields = [field for field in fields if field]
        if not fields:
            continue
        if len(fields) != 4 or not all(re.fullmatch("[0-9]{1,18}", field) for field in fields):
            return number
        attribute, *images = map(int, fields)
        if attribute >= 2 or max(images) >= FILES or len(set(images)) < 3:
            return number
        found.append([attribute, *images])
    return found or None


def names(data: bytes) -> list[str] | int:
    lines = naive_releases.lines_of(data)
    if isinstance(lines, int):
        return lines
    names = []
    for number, line in enumerate(lines, 1):
        if line.strip(" \t"):
            if not naive_releases.good_name(line.strip(" \t")):
                return number
            names.append(line.strip(" \t"))
    return names


def regions(rows: list[str]) -> dict[tuple[int, int], tuple[float, ...]] | int:
    found = {}
    for number, row in enumerate(rows, 2):
        if not row.strip():
            continue
        try:
            index, attribute, *box = row.split(",")
            key, (x, y, right, bottom) = (int(index), int(attribute)), map(float, box)
        except ValueError:
            return number
        if key in found or not (0 <= key[0] < LARGEST and 0 <= key[1] < 2):
            return number
        if not (0 <= x < right < math.inf and 0 <= y < bottom < math.inf):
            return number
        found[key] = (x, y, right, bottom)
    return found
