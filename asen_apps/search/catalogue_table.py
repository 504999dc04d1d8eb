"""A shop's table of images: read so that it can be written again with every cell as it was.

What counts as a missing value, how columns are separated and what is an error are as in
`data_prep.catalog`, so that a table means the same to both.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from asen_tf.data import AnnotationError, read_text
from asen_tf.files import replacing

IMAGE = "image"  # the column of image paths
_SEPARATORS = ",;\t|"
_MISSING = {"nan", "none", "null", "n/a", "#n/a", "-", "–", "—"}  # in any case
_BLANKS = re.compile(r"[ \t\n\xa0\u2007\u202f]+")  # no-break spaces among them
_INVISIBLE = re.compile(r"[\u200b\u2060\ufeff]|^[\u200c\u200d]+|[\u200c\u200d]+$")
_MARK = b"\xef\xbb\xbf"  # of UTF-8; some spreadsheets read accents wrongly without it


@dataclass(frozen=True)
class CatalogueTable:
    """A table with one row per image, and cells exactly as they were read.

    Attributes:
        columns: the header, cleaned; one of them is `image`.
        rows: as many cells each as there are columns.
        path: the file, for messages; None without one.
        lines: where each row ends in the file, 1-based.
        separator: between cells.
        head: what precedes the header in the file: a byte-order mark, a line `sep=;`.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    path: Path | None = None
    lines: tuple[int, ...] = ()
    separator: str = ","
    head: bytes = field(default=b"", repr=False)

    def values(self, column: str) -> list[str]:
        """Return a column's values without stray blanks; empty where a cell counts as missing."""
        at = self.columns.index(column)
        return [value(row[at]) for row in self.rows]

    def images(self) -> list[str]:
        """Return the image of each row, as a normalised path; empty for rows without any cell.

        Raises:
            AnnotationError: a row names no image, or two rows name the same one.
        """
        at, found, seen = self.columns.index(IMAGE), [], {}
        for place, row in enumerate(self.rows):
            name = clean(row[at])
            if not name and any(map(clean, row)):
                raise self.wrong("a row must name an image", place, row, "name it")
            name = unicodedata.normalize("NFC", posixpath.normpath(name)) if name else ""
            if name and name in seen:
                raise self.wrong("an image must have one row", place, name, "remove one of them")
            seen[name] = place
            found.append(name)
        return found

    def wrong(self, rule: str, row: int | None, got: object, remedy: str) -> AnnotationError:
        """Return an error about a row, or about the header for None."""
        line = 1 if row is None else self.lines[row] if self.lines else None
        return AnnotationError(rule, path=self.path, line=line, got=got, remedy=remedy)

    def write(self, path: Path) -> None:
        """Write the table as CSV in UTF-8, with the separator that it was read with."""
        with replacing(path) as temporary, open(temporary, "wb") as raw:
            raw.write(self.head)
            with io.TextIOWrapper(raw, "utf-8", newline="") as stream:
                writer = csv.writer(stream, delimiter=self.separator, lineterminator="\n")
                writer.writerow(self.columns)
                writer.writerows(self.rows)


def read_table(path: Path) -> CatalogueTable:
    """Read a CSV file in UTF-8, its columns separated by comma, semicolon, tab or bar.

    Raises:
        AnnotationError: the file is absent or not such a file, there is no column `image`, two
            columns have one name, or a row has another number of cells.
    """

    def wrong(rule: str, line: int, got: object, remedy: str) -> AnnotationError:
        return AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

    text = read_text(path)
    declared = re.match(r'"?sep=([,;\t|:])"?[,;\t|]*\n', text)
    separator = declared[1] if declared else max(_SEPARATORS, key=lambda s: _width(text, s))
    skipped = 1 if declared else 0
    body = io.StringIO(text[declared.end() :] if declared else text)
    reader = csv.reader(body, delimiter=separator, strict=True)
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
    for line, cells in records:
        blank = not any(map(clean, cells))
        if not blank and (len(cells) < len(columns) or any(map(clean, cells[len(columns) :]))):
            remedy = f"cells are separated by {separator!r}; quote those that hold one"
            raise wrong(f"a row must have {len(columns)} cells", line, cells, remedy)
    with open(path, "rb") as stream:
        head = _MARK if stream.read(len(_MARK)) == _MARK else b""
    width = len(columns)
    return CatalogueTable(
        columns=columns,
        rows=tuple(tuple([*cells, *[""] * width][:width]) for _, cells in records),
        path=path,
        lines=tuple(line for line, _ in records),
        separator=separator,
        head=head + (declared[0].encode() if declared else b""),
    )


def attribute_name(column: str) -> str:
    """Return what `data_prep.catalog` calls a column: `Sleeve length` is `sleeve_length`."""
    return re.sub(r"\W+", "_", column.strip().lower()).strip("_")


def clean(cell: str) -> str:
    """Return a cell without stray blanks and invisible characters."""
    return _INVISIBLE.sub("", _BLANKS.sub(" ", cell)).strip()


def value(cell: str) -> str:
    """Return a cell's value; empty if it is missing or says so, like `n/a`."""
    text = clean(cell)
    return "" if text.casefold() in _MISSING or text == "NA" else text


def _width(text: str, separator: str) -> int:
    """Return how many columns the header has with a separator."""
    try:
        return len(next(csv.reader(io.StringIO(text), delimiter=separator, strict=True), []))
    except csv.Error:
        return 0
