"""A shop's table of images, which can be written again as it was read, and where images lie."""

from __future__ import annotations

import csv
import io
import json
import os
import posixpath
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from asen_apps.search.backend import SearchIndexError
from asen_apps.search.items import UnusableError, image_files
from asen_tf.data import AnnotationError
from asen_tf.data.tables import IMAGE, attribute_name, clean, is_missing, read_table
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


def value(cell: str) -> str:
    """Return a cell's value; empty if it is missing or says so, like `n/a`."""
    text = clean(cell)
    return "" if is_missing(text) else text


def labelled(fields: Mapping[str, Any], attribute: str) -> Any:
    """Return what an item's metadata says of an attribute; None without it.

    The field is called like the attribute, or has a title of that name, such as `Sleeve length`.
    """
    names = (name for name in fields if attribute in (name, attribute_name(name)))
    return fields.get(next(names, None))


def as_text(entry: Any) -> str:
    """Return an entry of metadata as a cell has it: null is empty, and what is no text is JSON."""
    return entry if isinstance(entry, str) else "" if entry is None else json.dumps(entry)


# === Where a catalogue's images come from ===

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


class Listing(NamedTuple):
    """The images of a catalogue.

    Attributes:
        paths: absolute ones, each once.
        metadata: one dict per image.
        broken: the errors of files that are named like images but are not.
        notes: sentences on other files.
    """

    paths: list[Path]
    metadata: list[dict[str, Any]]
    broken: list[UnusableError]
    notes: list[str]


@dataclass(frozen=True)
class Sources:
    """Where a catalogue's images come from, as the command got it; None and empty if not given.

    Attributes:
        images: image files, folders, lists and `-`, as for `image_files`.
        table: a CSV file with a column `image`; its other columns become metadata.
        folder: of the table's images; the table's own when None.
        start: the folder that names in lists start from, see `image_files`; the current one if
            empty.
    """

    images: tuple[str, ...] = ()
    table: str | None = None
    folder: str | None = None
    start: str = ""

    def read(self) -> Listing:
        """Return the images and what is known of them.

        Raises:
            AnnotationError: the table breaks a rule.
            asen_tf.data.ImageError: a folder or list cannot be read, or there is no name.
            SearchIndexError: a table is given together with images.
        """
        if self.table is not None and not self.images:
            return Listing(*_read_table(Path(self.table), self.folder), [], [])
        if self.table is not None or self.folder is not None:
            raise SearchIndexError(
                "--images is the folder of the images in --csv; a table is not read together with "
                "other images"
            )
        images, broken, notes = image_files(self.images, self.start)
        paths = list(dict.fromkeys(Path(os.path.abspath(path)) for path in images))
        return Listing(paths, [{} for _ in paths], broken, notes)

    def note(self) -> dict[str, Any]:
        """Return what an index remembers, with absolute paths; empty for standard input."""
        if "-" in self.images:
            return {}
        table, folder = (
            None if path is None else os.path.abspath(path) for path in (self.table, self.folder)
        )
        images = [os.path.abspath(path) for path in self.images]
        start = os.path.abspath(self.start)
        return {"images": images, "table": table, "folder": folder, "start": start}


def _read_table(table: Path, folder: str | None) -> tuple[list[Path], list[dict[str, Any]]]:
    """Return a table's images and what its other columns say of them."""
    read = read_catalogue_table(table)
    root = Path(os.path.abspath(table.parent if folder is None else folder))
    if not root.is_dir():
        raise SearchIndexError(f"{root}: no such folder; give that of the table's images")
    columns = {name: read.values(name) for name in read.columns if name and name != IMAGE}
    typed = {name: _typed(values) for name, values in columns.items()}
    paths, metadata = [], []
    for row, name in enumerate(read.images()):
        if not name:
            continue
        path = Path(os.path.normpath(root / name))
        if not path.is_relative_to(root):
            raise read.wrong("an image must lie in the folder", row, name, f"copy it to {root}")
        paths.append(_as_spelt(root, path.relative_to(root)))
        metadata.append({name: values[row] for name, values in typed.items() if values[row] != ""})
    if not paths:
        raise read.wrong("the table must name images", None, "no rows", "add one row per image")
    return paths, metadata


def _as_spelt(root: Path, path: Path) -> Path:
    """Return where a file lies below a folder: each part is composed, or as macOS decomposes it."""
    if (root / path).exists():
        return root / path
    place = root
    for part in path.parts:
        other = place / unicodedata.normalize("NFD", part)
        place = other if not (place / part).exists() and other.exists() else place / part
    return place


def _typed(values: Sequence[str]) -> list[Any]:
    """Return a column's values as numbers where all of them are written as numbers."""
    texts = [clean(value) for value in values]
    if all(_NUMBER.fullmatch(text) for text in texts if text) and any(texts):
        return [json.loads(text) if text else "" for text in texts]
    return texts
