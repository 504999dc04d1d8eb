"""Your own catalogue: from a CSV file and a folder of images to split files.

`python -m data_prep.catalog --raw IMAGE_FOLDER --out DATA_DIR --csv FILE --dataset NAME`. The CSV
has a column `image` (path inside the folder) and one per attribute; an empty cell is not labelled.
A column `split` (train, valid or test), where there is one, takes the place of the random division.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asen_tf.data import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    check_image_name,
    dataset_root,
    read_text,
)
from data_prep.command import Report, run_command
from data_prep.image_files import place_image
from data_prep.releases import Sample, divide, paths_of, write_dataset

_SEPARATORS = ",;\t|"
_IMAGE, _SPLIT = "image", "split"
_LONGEST = 1000  # characters of a cell


def prepare(
    raw: Path,
    out: Path,
    *,
    table: Path,
    dataset: str,
    seed: int = 0,
    broken: str = "error",
) -> Report:
    """Read a catalogue, check its images and write split files with names of values.

    Columns become attributes in their order, under names in lower case with underscores; their
    values are sorted, numbers in texts by size, so that "2" comes before "10". A column of fewer
    than two values tells nothing apart and is left out.

    Args:
        raw: the folder of the images.
        out: the folder of all datasets.
        table: the CSV file; UTF-8, columns separated by comma, semicolon, tab or bar.
        dataset: the dataset's name, that of a folder.
        seed: of the division of the images, 8:1:1, and of the rows into queries and candidates.
        broken: "error" or "skip", for images that cannot be used.

    Returns:
        What there is, what was left out, and what cannot be measured with so few images.

    Raises:
        AnnotationError: the CSV breaks a rule, or an image cannot be used.
    """
    root = dataset_root(out, dataset)
    rows = list(read_catalogue(table))
    if not rows:
        raise AnnotationError("the catalogue must list images", path=table, got="no rows")
    columns = list(rows[0].cells)
    names = _attribute_names(columns, table)
    values = {
        column: sorted({row.cells[column] for row in rows} - {""}, key=_natural)
        for column in columns
    }
    used = [column for column in columns if len(values[column]) >= 2]
    if not used:
        raise AnnotationError(
            "an attribute needs two values at least", path=table, got=f"columns {columns}"
        )
    places = {column: {v: at for at, v in enumerate(values[column])} for column in used}
    samples = []
    for row in rows:
        held = [(at, places[c][row.cells[c]]) for at, c in enumerate(used) if row.cells[c]]
        samples.append(Sample(row.image, tuple(held)))
        if (raw / row.image).is_file():
            place_image(raw / row.image, root / row.image)
    divided = divide(samples, seed=seed)
    if rows[0].split:
        pairs = list(zip(samples, rows, strict=True))
        divided = {split: [s for s, row in pairs if row.split == split] for split in SPLITS}
    attributes = AttributeTable(
        tuple(names[column] for column in used), tuple(len(values[column]) for column in used)
    )
    named = {names[column]: values[column] for column in used}
    left_out = write_dataset(
        out, dataset, attributes, divided, value_names=named, seed=seed, broken=broken
    )
    notes = [f"attribute {names[c]!r} is column {c!r}" for c in used if names[c] != c]
    single = [column for column in columns if column not in used]
    notes += [f"column {c!r} is left out: it has fewer than two values" for c in single]
    kept = {name: [s for s in part if s.path not in left_out] for name, part in divided.items()}
    notes += _too_few(kept, attributes)
    return Report.from_paths(paths_of(kept), left_out, notes)


def _attribute_names(columns: Sequence[str], table: Path) -> dict[str, str]:
    """Return each column's attribute name, as file names and command lines like them."""
    names = {column: re.sub(r"\W+", "_", column.strip().lower()).strip("_") for column in columns}
    twice = [name for name, count in Counter(names.values()).items() if count > 1 or not name]
    if twice:
        raise AnnotationError(
            "columns must have distinct names, of letters or digits",
            path=table,
            line=1,
            got=[column for column in columns if names[column] in twice],
        )
    return names


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers in texts by size."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", text)
    numbers_first = [(0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts]
    return [*numbers_first, (-1, 0, text)]  # a text comes before those that it begins


def _too_few(divided: Mapping[str, Sequence[Sample]], attributes: AttributeTable) -> list[str]:
    """Say which attributes can be neither trained nor measured with so few images."""
    notes = []
    for split, least, what in (
        ("train", 2, "no triplets can be formed"),
        ("valid", 1, "no epoch can be chosen"),
        ("test", 1, "its MAP cannot be measured"),
    ):
        counts = Counter(label for sample in divided[split] for label in sample.labels)
        for attribute, name in enumerate(attributes.names):
            pairs = sum(1 for (a, _), n in counts.items() if a == attribute and n >= 2)
            if pairs < least:
                notes.append(
                    f"WARNING: {name} has {pairs} values of two or more images in {split}: {what}"
                )
    return notes


@dataclass(frozen=True)
class Item:
    """A row of a catalogue.

    Attributes:
        image: path relative to the folder of images.
        split: "train", "valid" or "test"; empty where the catalogue has no such column.
        cells: the value by column, empty where it is not labelled.
    """

    image: str
    split: str
    cells: Mapping[str, str]


def read_catalogue(path: Path) -> Iterator[Item]:
    """Yield the rows of a catalogue, one by one.

    UTF-8, with or without a byte-order mark; the columns are separated by what the header has most
    of: comma, semicolon, tab or bar.

    Raises:
        AnnotationError: the file is absent or no such CSV; the column `image` is missing; a row has
            another number of cells, an unsafe or repeated image path, or an unknown split.
    """

    def wrong(rule: str, line: int | None, got: object, remedy: str | None = None) -> None:
        raise AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

    reader = None
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            separator = max(_SEPARATORS, key=header.count)
            stream.seek(0)
            reader = csv.reader(stream, delimiter=separator, strict=True)
            columns = [cell.strip() for cell in next(reader, [])]
            if _IMAGE not in columns or len(set(columns)) != len(columns):
                remedy = "name the column of image paths `image`"
                wrong("the header must have distinct names, one of them image", 1, columns, remedy)
            seen: dict[str, int] = {}
            for cells in reader:
                line = reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(columns):
                    remedy = f"cells are separated by {separator!r}; quote those that hold one"
                    wrong(f"a row must have {len(columns)} cells", line, cells, remedy)
                named = {c: v.strip() for c, v in zip(columns, cells, strict=True)}
                image, split = named.pop(_IMAGE), named.pop(_SPLIT, "")
                _check_cells(path, line, image, named)
                if image in seen:
                    wrong(f"an image must have one row; see also line {seen[image]}", line, image)
                if _SPLIT in columns and split not in SPLITS:
                    wrong(f"a split must be one of {', '.join(SPLITS)}", line, split)
                seen[image] = line
                yield Item(image, split, named)
    except OSError as error:
        wrong("cannot be read", None, str(error), "check the path of the CSV file")
    except UnicodeDecodeError:
        read_text(path)  # decoded as a whole, it gives the line
    except csv.Error as error:
        wrong("the text must be CSV", reader.line_num, str(error), "check its quotation marks")


def _check_cells(path: Path, line: int, image: str, cells: Mapping[str, str]) -> None:
    if not image:
        raise AnnotationError("a row must name an image", path=path, line=line, got=dict(cells))
    check_image_name(image, path, line)
    for column, value in cells.items():
        if len(value) > _LONGEST or not value.isprintable():
            raise AnnotationError(
                f"a value must be printable text of at most {_LONGEST} characters",
                path=path,
                line=line,
                got=f"{column}: {value}",
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after an error."""
    options = {
        "csv": {"type": Path, "required": True, "dest": "table", "help": "the catalogue"},
        "dataset": {"required": True, "help": "the dataset's name"},
    }
    return run_command("catalog", __doc__, prepare, arguments, options=options)


if __name__ == "__main__":
    sys.exit(main())
