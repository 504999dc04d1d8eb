"""A catalogue's table: reading a CSV file as programs export it, and which columns are attributes.

Excel and its relatives write `sep=;` lines, line breaks inside cells, empty trailing columns and
no-break spaces; pandas writes an index column. None of these is an error.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asen_tf.config import did_you_mean
from asen_tf.data import SPLITS, AnnotationError, check_image_name, read_text

MOST_VALUES = 500  # of one attribute, unless asked for more; DeepFashion's largest has 230
LONGEST = 1000  # characters of a value
OTHER = "other"  # the value that rare ones are folded into
_SEPARATORS = ",;\t|"
_IMAGE, _SPLIT = "image", "split"
_MISSING = {"nan", "none", "null", "n/a", "#n/a", "-", "–", "—"}  # in any case
_BLANKS = re.compile(r"[ \t\n\xa0\u2007\u202f]+")  # no-break spaces among them
_INVISIBLE = re.compile(r"[\u200b\u2060\ufeff]|^[\u200c\u200d]+|[\u200c\u200d]+$")
_PRICE = re.compile(r"[€$£¥]\s*[\d.,]+|[\d.,]+\s*[€$£¥]|\d+[.,]\d\d")
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods; .xls


@dataclass(frozen=True)
class Item:
    """A row of a catalogue.

    Attributes:
        line: where the row ends in the file, 1-based.
        image: path relative to the folder of images, normalised: no `./`, accents composed.
        split: "train", "valid" or "test"; empty where the catalogue has no such column.
        cells: the value by column, empty where it is not labelled.
    """

    line: int
    image: str
    split: str
    cells: Mapping[str, str]


def read_catalogue(path: Path) -> tuple[list[Item], list[str]]:
    """Return the rows of a catalogue, and notes on what was not taken literally.

    UTF-8, with or without a byte-order mark. Columns are separated by what a first line `sep=;`
    says, or by the comma, semicolon, tab or bar that gives the header most columns. Columns without
    a name are dropped if they are empty, or count the rows.

    Raises:
        AnnotationError: the file is absent or is not such a CSV file; the column `image` is
            missing; a row has another number of cells, an unsafe or repeated image path, or an
            unknown split.
    """

    def wrong(rule: str, line: int | None, got: object, remedy: str) -> AnnotationError:
        return AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

    try:
        with open(path, "rb") as stream:
            if stream.read(4) in _WORKBOOKS:
                remedy = 'save it as "CSV UTF-8 (comma delimited)"'
                raise wrong("the table must be a CSV file", 1, "a spreadsheet", remedy)
    except OSError as error:
        raise wrong("cannot be read", None, str(error), "check the path of the CSV file") from None
    text = read_text(path)
    declared = re.match(r'"?sep=([,;\t|:])"?[,;\t|]*\n', text)
    skipped, separator = (1, declared[1]) if declared else (0, _separator(text))
    reader = csv.reader(
        io.StringIO(text[declared.end() :] if declared else text), delimiter=separator, strict=True
    )
    records = []
    try:
        for cells in reader:
            records.append((reader.line_num + skipped, [_clean(cell) for cell in cells]))
    except csv.Error as error:
        line = reader.line_num + skipped
        raise wrong("the text must be CSV", line, str(error), "check its quotation marks") from None
    (line, columns), *records = records or [(1, [])]
    named = [column for column in columns if column]
    if _IMAGE not in columns or len(set(named)) != len(named):
        remedy = "name the column of image paths `image`, and no two columns alike"
        raise wrong("the header must have distinct names, one of them image", line, columns, remedy)
    rows, seen = [], {}
    for line, cells in records:
        if not any(cells):
            continue
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            remedy = f"cells are separated by {separator!r}; quote those that hold one"
            raise wrong(f"a row must have {len(columns)} cells", line, cells, remedy)
        row = dict(zip(columns, cells, strict=False))
        image, split = row[_IMAGE], row.get(_SPLIT, "")
        if not image:
            raise wrong("a row must name an image", line, row, "name it, or remove the row")
        check_image_name(image, path, line)
        image = unicodedata.normalize("NFC", posixpath.normpath(image))  # ./a.jpg is a.jpg
        if image in seen:
            rule = f"an image must have one row; see also line {seen[image]}"
            raise wrong(rule, line, image, "remove one of the rows")
        if _SPLIT in row and split not in SPLITS:
            rule = f"a split must be one of {', '.join(SPLITS)}"
            raise wrong(rule, line, split, did_you_mean(split, SPLITS))
        odd = next((cell for cell in cells if not cell.isprintable()), None)
        if odd is not None:
            rule = "a value must be printable text"
            raise wrong(rule, line, odd, "remove its control characters")
        seen[image] = line
        rows.append((line, image, split, cells))
    _check_unnamed(path, columns, [cells for *_, cells in rows])
    places = [(name, at) for at, name in enumerate(columns) if name not in ("", _IMAGE, _SPLIT)]
    markers = Counter(c for *_, cells in rows for _, at in places if _is_missing(c := cells[at]))
    notes = [
        f"{count:,} cells {marker!r} count as not labelled"
        for marker, count in sorted(markers.items())
    ]
    items = [
        Item(
            line, image, split, {c: "" if _is_missing(cells[at]) else cells[at] for c, at in places}
        )
        for line, image, split, cells in rows
    ]
    return items, notes


def choose_columns(
    rows: Sequence[Item], table: Path, wanted: Sequence[str] | None
) -> tuple[list[str], dict[str, str]]:
    """Return the columns that are attributes, and why the others are left out.

    Unless columns are chosen, those that name or describe single images are left out: most values
    are distinct, or they are prices or free text. A column of fewer than two values tells nothing
    apart and is always left out.

    Raises:
        AnnotationError: a wanted column is not there, or no column is left.
    """
    columns = list(rows[0].cells)
    for name in wanted or ():
        if name not in columns:
            raise AnnotationError(
                "a chosen attribute must be a column of the table",
                path=table,
                line=1,
                got=name,
                remedy=did_you_mean(name, columns),
            )
    reasons = {column: _why_not([row.cells[column] for row in rows], wanted) for column in columns}
    if wanted is not None:
        reasons |= {column: "it was not chosen" for column in columns if column not in wanted}
    used = [column for column in (wanted or columns) if not reasons[column]]
    if not used:
        left = [f"{column!r} ({reasons[column]})" for column in columns]
        raise AnnotationError(
            "an attribute needs at least two values",
            path=table,
            got=f"columns {', '.join(left)}" if left else "no columns besides the image",
            remedy="add a column of values that several images share, or choose one of these with "
            "--attributes if it has two values",
        )
    return used, {column: why for column, why in reasons.items() if why}


def fold_rare(values: Sequence[str], most: int) -> dict[str, str]:
    """Return what each value becomes when at most `most` may remain: itself, or `other`."""
    counts = Counter(value for value in values if value)
    if len(counts) <= most:
        return {value: value for value in counts}
    frequent = sorted(counts.keys() - {OTHER}, key=lambda value: (-counts[value], value))[
        : most - 1
    ]
    return {value: OTHER for value in counts} | {value: value for value in frequent}


def alike(values: Sequence[str]) -> list[str]:
    """Return each group of values that differ only in case, blanks or underscores, as a phrase."""
    groups: dict[str, list[str]] = {}
    for value in sorted(set(values) - {""}):
        groups.setdefault(re.sub(r"[\s_]+", "", value.casefold()), []).append(value)
    return [", ".join(map(repr, group)) for group in groups.values() if len(group) > 1]


def _separator(text: str) -> str:
    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text), delimiter=separator, strict=True), []))
        except csv.Error:
            return 0

    return max(_SEPARATORS, key=columns)


def _clean(cell: str) -> str:
    return _INVISIBLE.sub("", _BLANKS.sub(" ", cell)).strip()


def _is_missing(cell: str) -> bool:
    return cell.casefold() in _MISSING or cell == "NA"


def _check_unnamed(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for at, name in enumerate(columns):
        if not name:
            cells = [row[at] for row in rows]
            counting = all(cell.isdecimal() for cell in cells) and len(set(cells)) == len(cells)
            if any(cells) and not counting:
                raise AnnotationError(
                    "a column with values must have a name",
                    path=path,
                    line=1,
                    got=f"column {at + 1}, with {next(filter(None, cells))!r}",
                    remedy="name it in the header, or remove it",
                )


def _why_not(cells: Sequence[str], wanted: Sequence[str] | None) -> str:
    """Return why a column of these cells is not an attribute; empty if it is one."""
    values = [cell for cell in cells if cell]
    distinct = len(set(values))
    if distinct < 2:
        return "it has fewer than two values"
    if wanted is not None or distinct < 10:
        return ""
    if sum(map(len, values)) > 60 * len(values):
        return "it is free text"
    if distinct > len(values) / 2:
        return f"it names single images: {distinct:,} values in {len(values):,} rows"
    if all(_PRICE.fullmatch(value) for value in values):
        return "its values are prices"
    return ""
