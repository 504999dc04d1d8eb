"""Split files that the authors of a method released, applied to the images that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asen_tf.data import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    parse_names,
    parse_rows,
    roles,
    rows_filename,
    write_meta,
    write_split,
)
from data_prep.releases import find_broken


@dataclass(frozen=True)
class ReleasedSplit:
    """A split as it was released, whether its images are there or not.

    Attributes:
        files: image paths.
        rows: (n, 3) rows of file, attribute and value index, by role: "label", or "query" and
            "candidate".
    """

    files: tuple[str, ...]
    rows: Mapping[str, np.ndarray]


def read_released(
    folder: Path, attributes: AttributeTable, dataset: str | None = None
) -> dict[str, ReleasedSplit]:
    """Read the split files in a folder.

    Args:
        folder: holds the split files, or a folder of the dataset's name that does.
        attributes: names and numbers of values.
        dataset: the dataset's name; None takes the folder as it is.

    Raises:
        AnnotationError: one is missing, or breaks a rule; the message names file and line.
    """
    found = {}
    if dataset is not None and not list(folder.glob("filenames_*.txt")):
        folder = folder / dataset if (folder / dataset).is_dir() else folder
    for split in SPLITS:
        listing = folder / f"filenames_{split}.txt"
        if not listing.exists():
            raise AnnotationError(
                "the released splits must name their images",
                path=listing,
                got="no such file",
                remedy="fetch it from where the other split files are from, or let the images be "
                "divided anew, without --splits",
            )
        files, _ = parse_names(listing)
        rows = {
            role: parse_rows(folder / rows_filename(split, role), attributes, len(files))
            for role in roles(split)
        }
        found[split] = ReleasedSplit(files, rows)
    return found


def apply_released(
    data_dir: Path,
    dataset: str,
    attributes: AttributeTable,
    released: Mapping[str, ReleasedSplit],
    *,
    value_names: Mapping[str, Sequence[str]] | None = None,
    broken: str = "error",
) -> dict[str, str]:
    """Check the images of released splits and write the split files of what can be used.

    Args:
        data_dir: folder of all datasets.
        dataset: its name; the images are in its folder.
        attributes: names and numbers of values.
        released: of `read_released`.
        value_names: names of the values by attribute, where they are known.
        broken: "error", or "skip" to leave out unusable images with their rows; the others keep
            their order and are numbered anew.

    Returns:
        Why an image was left out, by path.

    Raises:
        AnnotationError: an image cannot be used, and `broken` is "error".
    """
    names = [name for split in released.values() for name in split.files]
    reasons = find_broken(data_dir / dataset, names, broken)
    for split, parts in released.items():
        usable = np.array([name not in reasons for name in parts.files], bool)
        numbers = np.cumsum(usable) - 1
        kept = {}
        for role, rows in parts.rows.items():
            rows = rows[usable[rows[:, 0]]] if len(rows) else rows
            kept[role] = np.concatenate([numbers[rows[:, :1]], rows[:, 1:]], axis=1)
        given = {"label": "labels", "query": "queries", "candidate": "candidates"}
        files = [name for name, there in zip(parts.files, usable, strict=True) if there]
        write_split(
            data_dir, dataset, split, files=files, **{given[role]: kept[role] for role in kept}
        )
    write_meta(data_dir, dataset, attributes, value_names)
    return reasons
