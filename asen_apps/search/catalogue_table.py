"""A shop's table of images, which can be written again with every cell as it was read."""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from asen_tf.data import AnnotationError
from asen_tf.data.tables import IMAGE, clean, is_missing, read_table
from asen_tf.files import replacing


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
            with io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="") as stream:
                writer = csv.writer(stream, delimiter=self.separator, lineterminator="\n")
                writer.writerow(self.columns)
                writer.writerows(self.rows)


def read_catalogue_table(path: Path) -> CatalogueTable:
    """Read a table; errors as `asen_tf.data.tables.read_table` and its rows raise them."""
    table = read_table(path)
    rows = list(table.rows)
    return CatalogueTable(
        columns=table.columns,
        rows=tuple(cells for _, cells in rows),
        path=path,
        lines=tuple(line for line, _ in rows),
        separator=table.separator,
        head=table.head,
    )


def attribute_name(column: str) -> str:
    """Return what `data_prep.catalog` calls a column: `Sleeve length` is `sleeve_length`."""
    return re.sub(r"\W+", "_", column.strip().lower()).strip("_")


def value(cell: str) -> str:
    """Return a cell's value; empty if it is missing or says so, like `n/a`."""
    text = clean(cell)
    return "" if is_missing(text) else text
