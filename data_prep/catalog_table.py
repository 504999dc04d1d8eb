"""A catalogue's table: its rows as a dataset needs them, and which columns are attributes."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asen_tf.config import did_you_mean
from asen_tf.data import SPLITS, AnnotationError, check_image_name
from asen_tf.data.tables import IMAGE, attribute_name, clean, is_missing, read_table

MOST_VALUES = 500  # of one attribute, unless asked for more; DeepFashion's largest has 230
LONGEST = 1000  # characters of a value
OTHER = "other"  # the value that rare ones are folded into
_SPLIT = "split"
_FEW = 10  # columns of fewer values are attributes, unless header or values clearly say otherwise
_NUMBER = r"\d+(?:[.,' ]\d{3})*(?:[.,]\d{1,2}|[.,][-–])?"  # 1,299.00; 49,90; 49.9; 49; 49,-
_CURRENCY = "(?:[€$£¥₹]|EUR|USD|GBP|CHF|JPY|CNY|INR)"
_MONEY = re.compile(rf"{_CURRENCY} ?{_NUMBER}|{_NUMBER} ?{_CURRENCY}|\d+[.,][-–]", re.IGNORECASE)
_PLAIN = re.compile(_NUMBER)
_CENTS = re.compile(r"\d+[.,]\d\d")
# What headers say, as `attribute_name` writes them; `price_range` and `brand_id` are attributes.
_OF_PRICES = re.compile(
    r"(?!.*(range|band|class|klasse|level|tier|group|segment|category))"
    r".*((price|preis|prix|precio|prezzo|preço|prijs)s?|(\b|_)(costs?|kosten|msrp|rrp|uvp))(\b|_)"
)
_OF_PRODUCTS = re.compile(
    r"((product|item|article|artikel)_?)?(id|name|title|titel|code)|artikel_?(nr|nummer)|"
    r"(product|item|article)_(no|number)|sku|ean|gtin|upc|asin|isbn|uuid|handle|url|link"
)


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

    Columns without a name are dropped if they are empty, or count the rows as pandas' index does.

    Raises:
        AnnotationError: the table cannot be read, see `asen_tf.data.tables.read_table`; or a row
            has an unsafe or repeated image path, or an unknown split.
    """

    def wrong(rule: str, line: int, got: object, remedy: str) -> AnnotationError:
        return AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

    table = read_table(path)
    columns = table.columns
    rows, seen = [], {}
    for line, given in table.rows:
        cells = [clean(cell) for cell in given]
        if not any(cells):
            continue
        row = dict(zip(columns, cells, strict=True))
        image, split = row[IMAGE], row.get(_SPLIT, "")
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
    places = [(name, at) for at, name in enumerate(columns) if name not in ("", IMAGE, _SPLIT)]
    markers = Counter(c for *_, cells in rows for _, at in places if is_missing(c := cells[at]))
    notes = [
        f"{count:,} cells {marker!r} count as not labelled"
        for marker, count in sorted(markers.items())
    ]
    items = [
        Item(
            line, image, split, {c: "" if is_missing(cells[at]) else cells[at] for c, at in places}
        )
        for line, image, split, cells in rows
    ]
    return items, notes


def choose_columns(
    rows: Sequence[Item], table: Path, wanted: Sequence[str] | None
) -> tuple[list[str], dict[str, str]]:
    """Return the columns that are attributes, and why the others are left out.

    Unless columns are chosen, those that name or describe single images are left out: most values
    are distinct, or they are prices or free text, or the header says that they name products. A
    column of fewer than two values tells nothing apart and is always left out.

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
    reasons = {
        column: _why_not(column, [row.cells[column] for row in rows], wanted) for column in columns
    }
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


def _why_not(column: str, cells: Sequence[str], wanted: Sequence[str] | None) -> str:
    """Return why a column of these cells is not an attribute; empty if it is one."""
    values = [cell for cell in cells if cell]
    distinct, header = set(values), attribute_name(column)
    few, rare = len(distinct) < _FEW, len(distinct) > len(values) / 2
    if len(distinct) < 2:
        return "it has fewer than two values"
    if wanted is not None:
        return ""
    priced = [bool(_MONEY.fullmatch(value)) for value in distinct]
    plain = [bool(_PLAIN.fullmatch(value)) for value in distinct]
    told = any(priced) or _OF_PRICES.match(header)  # a sale price may stand without currency
    cents = not few and all(map(_CENTS.fullmatch, distinct))
    if cents or (told and all(map(max, priced, plain))):
        return "its values are prices"
    lengths = [len(value) for value in values]
    if (rare and min(lengths) > 60) if few else sum(lengths) > 60 * len(lengths):
        return "it is free text"
    if rare and not few:
        return f"it names single images: {len(distinct):,} values in {len(values):,} rows"
    if _OF_PRODUCTS.fullmatch(header):
        return "its header says that it names products"
    return ""
