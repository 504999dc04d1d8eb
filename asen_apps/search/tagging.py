"""Fill the empty cells of a catalogue: values for images without labels.

The nearest labelled images in an attribute's space vote (`asen_apps.search.votes`). A vote is
written only where it is sure enough, and how sure it is has been learned from images whose value
is known.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search.catalogue_table import (
    CatalogueTable,
    as_text,
    labelled,
    read_catalogue_table,
    value,
)
from asen_apps.search.items import attribute_name
from asen_apps.search.vectors import check_attributes
from asen_apps.search.votes import Filling, Skip, Validation, Voters
from asen_tf.config import did_you_mean
from asen_tf.data.tables import IMAGE

CONFIDENCE = 0.8  # a vote less sure than this leaves its cell empty


def tag(
    index: AttributeIndex,
    table: Path | str | None = None,
    *,
    attributes: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    validation: Path | str | None = None,
    skip: Skip | None = None,
) -> tuple[CatalogueTable, list[Filling]]:
    """Fill the empty cells of a catalogue by the votes of its labelled images.

    An image's value is known if its cell in the table, or its metadata in the index, has one; the
    cell counts if they differ. All labelled images of the index vote, also those that are not in
    the table. A cell without a value gets that of the metadata, if there is one, and otherwise
    the vote, if its confidence reaches the threshold. Cells that a previous run filled, which is
    to say those beside a confidence, neither vote nor change; such metadata is no value either.

    Args:
        index: of the images, in which attributes that are missing are embedded now.
        table: a CSV file with a column `image` and one per attribute (`Sleeve length` or
            `sleeve_length`). Its images are those of the index whose paths end alike. When None,
            the table is the index: its images and their metadata.
        attributes: names; every attribute of the model that the table has a column for when None.
        confidence: the threshold, in [0, 1].
        validation: `DATA/NAME`, the folder of a dataset: confidence is calibrated on the images of
            its split `valid`, which the model has not seen; while they are tried, images of
            the index with the same content do not vote. When None, every labelled image is
            compared with the others (of more than 2,000, a half drawn at random, but at most 2,000,
            with the rest), which makes the confidence too high if the model was trained on them.
        skip: called with the error of each image that the index does not have (its row stays as it
            is) and of each validation image that cannot be read; when None, the first one raises.

    Returns:
        The table with filled cells, all other cells, columns and rows as they were, and a column
        `<attribute>_confidence` per attribute, with three decimals where a vote filled a cell; and
        the outcome for each attribute.

    Raises:
        AnnotationError: the table or the dataset breaks a rule, has no column of an attribute, or
            lists an image that is not in the index.
        SearchIndexError: the model does not know an attribute, the labelled images do not have two
            different values, or the threshold is out of range.
        asen_tf.data.ImageError: an image cannot be read.

    Example:
        >>> index = AttributeIndex.load("catalogue", Embedder.load("model.keras"))
        >>> tagged, fillings = tag(index, "shop.csv", validation="data/shop")
        >>> tagged.write(Path("tagged.csv"))
    """
    if not 0.0 <= confidence <= 1.0:
        raise SearchIndexError(f"a confidence must be between 0 and 1; got {confidence}")
    given = _table_from_index(index) if table is None else read_catalogue_table(Path(table))
    columns, before = _columns(given, index.attribute_names, attributes), index.ids
    index.prepare(columns)  # images that it skips have left it
    if table is None:
        given = replace(given, rows=tuple(compress(given.rows, np.isin(before, index.ids))))
    places = np.arange(len(index)) if table is None else _places(given, index, skip)
    known = None if validation is None else Validation(Path(validation), index, columns, skip)
    headers, cells, fillings = list(given.columns), [list(row) for row in given.rows], []
    for name, column in columns.items():
        sure_name = f"{name}_confidence"
        if sure_name not in headers:
            headers.append(sure_name)
            cells = [[*row, ""] for row in cells]
        at, sure_at = headers.index(column), headers.index(sure_name)
        labels = _metadata_values(index, name)
        empty = []
        for row, place in zip(cells, places, strict=True):
            text = value(row[at])
            if place >= 0 and text and not value(row[sure_at]):  # no vote of a previous run
                labels[place] = text
            empty.append(place >= 0 and not text)
        asked = []
        for row in np.flatnonzero(empty):
            if labels[places[row]]:
                cells[row][at] = labels[places[row]]
            else:
                asked.append(row)
        voters = Voters(name, index.vectors(name), labels)
        fitted = voters.calibrated() if known is None else known.calibrated(voters)
        values, chances = voters.votes(places[np.array(asked, int)], fitted)
        filled = chances >= confidence
        for row, text, chance, sure in zip(asked, values, chances, filled, strict=True):
            cells[row][sure_at] = f"{chance:.3f}" if sure else ""
            if sure:
                cells[row][at] = text
        fillings.append(voters.filling(chances, filled, fitted))
    return replace(given, columns=tuple(headers), rows=tuple(map(tuple, cells))), fillings


def as_table(fillings: Sequence[Filling]) -> str:
    """Return the outcome for each attribute as aligned lines of text."""
    head = ("attribute", "labelled", "filled", "left empty", "expected accuracy", "majority value")
    lines = [head]
    for filling in fillings:
        accuracy = f"{filling.expected_accuracy:.1%}" if filling.filled else "-"
        counts = (filling.labelled, filling.filled, filling.left_empty)
        majority = f"{filling.majority_share:.1%} {filling.majority}"
        lines.append((filling.attribute, *(f"{count:,}" for count in counts), accuracy, majority))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in (0, len(head) - 1) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


# === The table, and what the index knows ===


def _table_from_index(index: AttributeIndex) -> CatalogueTable:
    """Return an index as a table: its images, and a column per field of their metadata."""
    metadata = index.metadata
    fields = list(dict.fromkeys(name for row in metadata for name in row if name != IMAGE))
    rows = [
        (str(image), *(_text(row.get(name), image) for name in fields))
        for image, row in zip(index.images, metadata, strict=True)
    ]
    return CatalogueTable((IMAGE, *fields), tuple(rows))


def _metadata_values(index: AttributeIndex, attribute: str) -> list[str]:
    """Return each item's value in the metadata, empty where there is none, or a vote's."""
    found = []
    for image, row in zip(index.images, index.metadata, strict=True):
        voted = value(_text(row.get(f"{attribute}_confidence"), image))
        found.append("" if voted else value(_text(labelled(row, attribute), image)))
    return found


def _text(entry: Any, image: Path) -> str:
    if isinstance(entry, Mapping | list):
        raise SearchIndexError(
            f"metadata that is a value must be text, a number, true, false or null; got {entry!r} "
            f"for {image}"
        )
    return as_text(entry)


def _columns(
    table: CatalogueTable, known: Sequence[str], wanted: Sequence[str] | None
) -> dict[str, str]:
    """Return attribute -> its column."""
    columns = defaultdict(list)
    for column in table.columns:
        if column != IMAGE:
            columns[column if column in known else attribute_name(column)].append(column)
    if wanted is not None:
        check_attributes(wanted, known)
        for name in wanted:
            if name not in columns:
                hint = did_you_mean(name, [c for c in table.columns if c and c != IMAGE])
                raise table.wrong(f"no column is the attribute {name!r}", None, table.columns, hint)
    names = [name for name in known if name in columns] if wanted is None else wanted
    if not names:
        remedy = f"name a column as one of them: {', '.join(known)}"
        raise table.wrong("no column is an attribute of the model", None, table.columns, remedy)
    for name in names:
        if len(columns[name]) > 1:
            rule = f"the attribute {name!r} must have one column"
            raise table.wrong(rule, None, columns[name], "rename the others")
    return {name: columns[name][0] for name in names}


def _places(table: CatalogueTable, index: AttributeIndex, skip: Skip | None) -> np.ndarray:
    """Return the row in the index of each row of a table, -1 where there is none.

    If any image lies exactly where the table says in the folder that holds all images of the index,
    all must; otherwise an image is the one whose path ends in what the table says.
    """
    names, images = table.images(), index.images
    full = [
        PurePosixPath(unicodedata.normalize("NFC", Path(os.path.abspath(p)).as_posix()))
        for p in images
    ]
    ends: dict[int, dict[tuple[str, ...], list[int]]] = {}
    for depth in {len(PurePosixPath(name).parts) for name in names}:
        ends[depth] = defaultdict(list)
        for row, path in enumerate(full):
            ends[depth][path.parts[-depth:]].append(row)
    root = os.path.commonpath([path.parent for path in full]) if full else ""
    rows = {path: row for row, path in enumerate(full)}
    exact = [rows.get(PurePosixPath(root, name)) if name else None for name in names]
    exactly = any(row is not None for row in exact)
    places, taken = np.full(len(names), -1), {}
    for place, name in enumerate(names):
        if not name:
            continue
        parts = PurePosixPath(name).parts
        alike = ends[len(parts)].get(parts, [])
        found = alike if not exactly else [] if exact[place] is None else [exact[place]]
        if len({full[row] for row in found}) > 1:
            remedy = f"write more of its path below {root}"
            got = [str(full[row]) for row in found]
            raise table.wrong(f"{name} must be one image of the index", place, got, remedy)
        if not found:
            remedy = "index it, or remove the row"
            if alike:
                remedy += f"; other rows are named by their path below {root}"
            error = table.wrong("an image is not in the index", place, name, remedy)
            if skip is None:
                raise error
            skip(error)
            continue
        if found[0] in taken:
            remedy = f"remove it, or line {taken[found[0]]}"
            raise table.wrong("an image must have one row", place, name, remedy)
        taken[found[0]] = table.lines[place]
        places[place] = found[0]
    if not taken:
        got = names[0] if names else "no rows"
        remedy = f"compare the column image with the index, whose images are in {root}"
        raise table.wrong("no image of the table is in the index", None, got, remedy)
    return places
