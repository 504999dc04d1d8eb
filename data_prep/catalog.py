"""Your own catalogue: from a CSV file and a folder of images to split files.

`python -m data_prep.catalog --raw IMAGE_FOLDER --out DATA_DIR --csv FILE --dataset NAME`. The CSV
has a column `image` (path inside the folder) and one per attribute; an empty cell is not labelled.
A column `split` (train, valid or test), if there is one, is used instead of a random division.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from asen_tf.data import SPLITS, AnnotationError, AttributeTable, dataset_root
from asen_tf.data.tables import attribute_name
from data_prep.catalog_table import (
    LONGEST,
    MOST_VALUES,
    OTHER,
    Item,
    alike,
    choose_columns,
    fold_rare,
    read_catalogue,
)
from data_prep.command import Report, run_command
from data_prep.image_files import Folder, equal_contents, place_image
from data_prep.releases import Sample, divide, in_one_split, paths_of, write_dataset


def prepare(
    raw: Path,
    out: Path,
    *,
    table: Path,
    dataset: str,
    seed: int = 0,
    broken: str = "error",
    attributes: str | None = None,
    max_values: int = MOST_VALUES,
    fold: bool = False,
) -> Report:
    """Read a catalogue, check its images and write split files with names of values.

    Columns become attributes in their order, under names in lower case with underscores; their
    values are sorted, numbers in texts by size, so "2" comes before "10". Columns that tell nothing
    apart, or that name or describe single images, are left out and listed.

    Args:
        raw: the folder of the images.
        out: the folder of all datasets.
        table: the CSV file; UTF-8, columns separated by comma, semicolon, tab or bar.
        dataset: the dataset's name, that of a folder.
        seed: of the division of the images, 8:1:1, and of the rows into queries and candidates.
        broken: "error" or "skip", for images that cannot be used.
        attributes: the columns to use, separated by commas, in this order; None chooses.
        max_values: how many values an attribute may have.
        fold: fold the rarest values beyond that number into "other", instead of refusing them.

    Returns:
        What there is, what was left out, and what cannot be measured with so few images.

    Raises:
        AnnotationError: the CSV breaks a rule, or an image cannot be used.
    """
    root = dataset_root(out, dataset)
    rows, notes = read_catalogue(table)
    if not rows:
        remedy = "add a row for each image"
        raise AnnotationError(
            "the catalogue must list images", path=table, got="no rows", remedy=remedy
        )
    wanted = None if attributes is None else [name.strip() for name in attributes.split(",")]
    used, reasons = choose_columns(rows, table, wanted)
    names = _attribute_names(used, table)
    notes += [f"column {column!r} is left out: {why}" for column, why in reasons.items()]
    folded = {column: _folded(rows, column, table, max_values, fold) for column in used}
    values = {column: sorted(set(folded[column].values()), key=_natural) for column in used}
    places = {column: {v: at for at, v in enumerate(values[column])} for column in used}
    samples, folder = [], Folder(raw)
    for row in rows:
        held = [
            (at, places[c][folded[c][row.cells[c]]]) for at, c in enumerate(used) if row.cells[c]
        ]
        samples.append(Sample(row.image, tuple(held)))
        source = folder.find(row.image)
        if source is not None:
            place_image(source, root / row.image)
    equal = equal_contents({row.image: root / row.image for row in rows})
    divided = divide(samples, seed=seed, equal=equal)
    if rows[0].split:
        pairs = list(zip(samples, rows, strict=True))
        divided = {split: [s for s, row in pairs if row.split == split] for split in SPLITS}
    scheme = AttributeTable(
        tuple(names[column] for column in used), tuple(len(values[column]) for column in used)
    )
    named = {names[column]: values[column] for column in used}
    left_out = write_dataset(
        out, dataset, scheme, divided, value_names=named, seed=seed, broken=broken
    )
    if not rows[0].split:
        notes += in_one_split(equal)
    for column in used:
        if names[column] != column:
            notes.append(f"attribute {names[column]!r} is column {column!r}")
        rare = sum(folded[column][value] != value for value in folded[column])
        if rare:
            notes.append(f"{names[column]}: the {rare:,} rarest values are folded into {OTHER!r}")
        notes += [
            f"{names[column]} has values that look alike: {group}"
            for group in alike(values[column])
        ]
    kept = {name: [s for s in part if s.path not in left_out] for name, part in divided.items()}
    notes += _too_few(kept, scheme)
    notes.append(f"`make study DATASET={dataset}` trains on it")
    return Report.from_paths(paths_of(kept), left_out, notes)


def _folded(
    rows: Sequence[Item], column: str, table: Path, most: int, fold: bool
) -> dict[str, str]:
    """Return the value of the attribute for each value of its column, after checking them."""
    for row in rows:
        if len(row.cells[column]) > LONGEST:
            raise AnnotationError(
                f"a value must be printable text of at most {LONGEST} characters",
                path=table,
                line=row.line,
                got=f"{column}: {row.cells[column]}",
                remedy="shorten it, or choose other columns with --attributes",
            )
    cells = [row.cells[column] for row in rows]
    distinct = len(set(cells) - {""})
    if most < 2 or (distinct > most and not fold):
        raise AnnotationError(
            f"an attribute may have {most} values, and needs two",
            path=table,
            got=f"{column}: {distinct}",
            remedy="choose other columns with --attributes, raise --max-values, or fold the rarest "
            f"values into {OTHER!r} with --fold-rare",
        )
    return fold_rare(cells, most)


def _attribute_names(columns: Sequence[str], table: Path) -> dict[str, str]:
    """Return each column's attribute name, as file names and command lines like them."""
    names = {column: attribute_name(column) for column in columns}
    twice = [name for name, count in Counter(names.values()).items() if count > 1 or not name]
    if twice:
        raise AnnotationError(
            "columns must have distinct names, of letters or digits",
            path=table,
            line=1,
            got=[column for column in columns if names[column] in twice],
            remedy="rename a column, or choose others with --attributes",
        )
    return names


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers in texts by size."""
    parts = re.findall(r"\d{1,18}|\D+", text)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = {
        "csv": {
            "type": Path,
            "required": True,
            "dest": "table",
            "metavar": "FILE",
            "help": "the table",
        },
        "dataset": {"required": True, "metavar": "NAME", "help": "the dataset's name"},
        "attributes": {
            "metavar": "NAMES",
            "help": "the columns to use, separated by commas (default: all that look like "
            "attributes)",
        },
        "max-values": {
            "type": int,
            "default": MOST_VALUES,
            "metavar": "COUNT",
            "help": "how many values an attribute may have (default: %(default)s)",
        },
        "fold-rare": {
            "action": "store_true",
            "dest": "fold",
            "help": "fold the rarest values beyond that number into 'other'",
        },
    }
    return run_command("catalog", __doc__, prepare, arguments, options=options)


if __name__ == "__main__":
    sys.exit(main())
