"""Tables of images as people have them: CSV files in UTF-8, one row per image.

Excel and its relatives write `sep=;` lines, line breaks inside cells, empty trailing columns and
no-break spaces. None of these is an error, and many words stand for a missing value. Everything
that reads such tables reads them here, so that a table means the same to all.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from asen_tf.data.parsing import read_text
from asen_tf.data.records import AnnotationError

IMAGE = "image"  # the column of image paths
_SEPARATORS = ",;\t|"
_MISSING = {"nan", "none", "null", "n/a", "#n/a", "-", "–", "—"}  # in any case
_BLANKS = re.compile(r"[ \t\n\xa0\u2007\u202f]+")  # no-break spaces among them
_INVISIBLE = re.compile(r"[\u200b\u2060\ufeff]|^[\u200c\u200d]+|[\u200c\u200d]+$")
_MARK = b"\xef\xbb\xbf"  # of UTF-8; some spreadsheets read accents wrongly without it
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods; .xls


class Table(NamedTuple):
    """A table that is being read.

    Attributes:
        columns: the header, cleaned; one of them is `image`. Names are distinct or empty.
        rows: yields where each row ends in the file, 1-based, and its cells exactly as they are
            there, as many as there are columns; rows without any content among them. Raises
            AnnotationError at a row of another number of cells.
        separator: between cells.
        head: what stands in the file before the header: a byte-order mark, a line `sep=;`.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, tuple[str, ...]]]
    separator: str
    head: bytes


def read_table(path: Path) -> Table:
    """Read a CSV file in UTF-8, with or without a byte-order mark.

    Columns are separated by what a first line `sep=;` says, or by the comma, semicolon, tab or bar
    that gives the header most columns.

    Raises:
        AnnotationError: the file is absent or not such a file, there is no column `image`, or two
            columns have one name.
    """

    def wrong(rule: str, line: int | None, got: object, remedy: str) -> AnnotationError:
        return AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
    except OSError as error:
        rule = "the file is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise wrong(rule, None, str(error), "check the path of the CSV file") from None
    if start in _WORKBOOKS:
        remedy = 'save it as "CSV UTF-8 (comma delimited)"'
        raise wrong("the table must be a CSV file", 1, "a spreadsheet", remedy)
    text = read_text(path)
    told = re.match(r'"?sep=([,;\t|:])"?[,;\t|]*\n', text)
    skipped, head = (1, told[0]) if told else (0, "")
    text = text.removeprefix(head)
    separator = told[1] if told else max(_SEPARATORS, key=lambda s: _width(text, s))
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        records = [(reader.line_num + skipped, cells) for cells in reader]
    except csv.Error as error:
        line = reader.line_num + skipped
        raise wrong("the text must be CSV", line, str(error), "check its quotation marks") from None
    (line, header), *records = records or [(1, [])]
    columns = tuple(map(clean, header))
    named = [column for column in columns if column]
    if IMAGE not in columns or len(set(named)) != len(named):
        remedy = "name the column of image paths `image`, and no two columns alike"
        raise wrong("the header must have distinct names, one of them image", line, columns, remedy)
    width = len(columns)

    def rows() -> Iterator[tuple[int, tuple[str, ...]]]:
        for line, cells in records:
            full = any(map(clean, cells))
            if full and (len(cells) < width or any(map(clean, cells[width:]))):
                remedy = f"cells are separated by {separator!r}; quote those that hold one"
                raise wrong(f"a row must have {width} cells", line, cells, remedy)
            yield line, tuple([*cells, *[""] * width][:width])

    mark = _MARK if start.startswith(_MARK) else b""
    return Table(columns, rows(), separator, mark + head.encode())


def clean(cell: str) -> str:
    """Return a cell without stray blanks and invisible characters."""
    return _INVISIBLE.sub("", _BLANKS.sub(" ", cell)).strip()


@cache
def attribute_name(column: str) -> str:
    """Return a column's title as an attribute's name: `Sleeve length` is `sleeve_length`.

    Letters keep their marks. Vowels of Hindi and Thai are marks, which regular expressions do not
    count as letters.
    """

    def kept(letter: str) -> bool:
        return letter.isalnum() or letter == "_" or unicodedata.category(letter)[0] == "M"

    words = "".join(letter if kept(letter) else " " for letter in column.lower()).split()
    return "_".join(words).strip("_")


def is_missing(text: str) -> bool:
    """Return whether a clean cell stands for a missing value, like `n/a`."""
    return text.casefold() in _MISSING or text == "NA"


def _width(text: str, separator: str) -> int:
    """Return how many columns the header has with a separator."""
    try:
        return len(next(csv.reader(io.StringIO(text), delimiter=separator, strict=True), []))
    except csv.Error:
        return 0
