"""Writing split files, regions, meta.json and values.json so that the readers accept them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from asen_tf.data.parsing import check_image_name, load_json_object
from asen_tf.data.reading import META, VALUES, check_value_names
from asen_tf.data.records import (
    LARGEST_INDEX,
    AnnotationError,
    AttributeTable,
    check_split_name,
    dataset_root,
    regions_filename,
    roles,
    rows_filename,
    triplets_filename,
)
from asen_tf.data.regions import HEADER, check_box
from asen_tf.files import write_json, write_text


def write_split(
    data_dir: Path | str,
    dataset: str,
    split: str,
    *,
    files: Sequence[str],
    labels: np.ndarray | None = None,
    queries: np.ndarray | None = None,
    candidates: np.ndarray | None = None,
) -> None:
    """Write one split's files; `read_split` gives the same rows back in the same order.

    Args:
        data_dir: the folder of all datasets.
        dataset: the dataset's name; its folder is made when absent.
        split: "train" (give `labels`), "valid" or "test" (give `queries` and `candidates`).
        files: image paths relative to the dataset's folder.
        labels: (n, 3) integers: file, attribute and value index. Neighbouring rows of one file
            share a line.
        queries: likewise, one row per line.
        candidates: likewise, one row per line.

    Raises:
        AnnotationError: arrays other than those of the split, a path that is not safely inside
            the folder, rows of another shape, or a file index out of range.
    """
    check_split_name(split)
    root = dataset_root(data_dir, dataset)
    given = {"label": labels, "query": queries, "candidate": candidates}
    if {role for role, rows in given.items() if rows is not None} != set(roles(split)):
        raise AnnotationError(
            "train takes labels; valid and test take queries and candidates",
            got=(split, [role for role, rows in given.items() if rows is not None]),
            remedy=f"for {split} give the rows of {' and '.join(roles(split))}",
        )
    target = root / f"filenames_{split}.txt"
    _check_names(files, target)
    texts = {target: _lines(files)}
    for role in roles(split):
        path = root / rows_filename(split, role)
        texts[path] = _rows_text(given[role], path, len(files), merge=role == "label")
    for path, text in texts.items():
        write_text(path, text)


def write_listed_split(
    data_dir: Path | str, dataset: str, split: str, *, files: Sequence[str], triplets: np.ndarray
) -> None:
    """Write one split of a dataset that lists triplets; `read_split` gives them back.

    Args:
        data_dir: the folder of all datasets.
        dataset: the dataset's name; its folder is made when absent.
        split: "train", "valid" or "test".
        files: image paths relative to the dataset's folder.
        triplets: (T, 4) integers: attribute index, anchor, close, far.

    Raises:
        AnnotationError: a path that is not safely inside the folder.
    """
    check_split_name(split)
    root = dataset_root(data_dir, dataset)
    _check_names(files, root / f"filenames_{split}.txt")
    write_text(root / f"filenames_{split}.txt", _lines(files))
    text = _lines(" ".join(map(str, row)) for row in triplets.tolist())
    write_text(root / triplets_filename(split), text)


def write_regions(
    data_dir: Path | str,
    dataset: str,
    split: str,
    regions: Mapping[tuple[int, int], Iterable[float]],
) -> None:
    """Write the region file of a split, sorted by file and attribute; it reads back exactly.

    Raises:
        AnnotationError: a negative index or a box that is not four finite, ordered numbers.
    """
    check_split_name(split)
    path = dataset_root(data_dir, dataset) / regions_filename(split)
    lines = [",".join(HEADER)]
    for (index, attribute), sides in sorted(regions.items()):
        box = tuple(float(side) for side in sides)
        check_box((index, attribute), box, LARGEST_INDEX, LARGEST_INDEX, path, len(lines) + 1)
        lines.append(",".join([str(int(index)), str(int(attribute)), *map(repr, box)]))
    write_text(path, "\n".join(lines) + "\n")


def _check_names(files: Sequence[str], path: Path) -> None:
    for line, name in enumerate(files, start=1):
        check_image_name(name, path, line)
        if not name or name != name.strip(" \t"):
            raise AnnotationError(
                "an image path must not be empty, or begin or end with a blank",
                path=path,
                line=line,
                got=name,
                remedy="rename the image",
            )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _rows_text(rows: Any, path: Path, files: int, *, merge: bool) -> str:
    array = np.asarray(rows)
    if array.size == 0:
        return ""
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu":
        raise AnnotationError(
            "rows must be integers of shape (n, 3)",
            path=path,
            got=(array.dtype, array.shape),
            remedy="pass one row of file, attribute and value index per label",
        )
    bad = (array < 0).any(axis=1) | (array[:, 0] >= files)
    if bad.any():
        first = int(np.argmax(bad))
        raise AnnotationError(
            f"indices must be zero or more, and the file index below {files}",
            path=path,
            got=f"row {first}: {array[first].tolist()}",
            remedy="count files from 0, in the order of `files`",
        )
    if not merge:
        return _lines(f"{file} {attribute} {value}" for file, attribute, value in array.tolist())
    groups = groupby(array.tolist(), key=lambda row: row[0])
    return _lines(
        f"{file} " + " ".join(f"{attribute} {value}" for _, attribute, value in group)
        for file, group in groups
    )


def write_meta(
    data_dir: Path | str,
    dataset: str,
    attributes: AttributeTable,
    value_names: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Set a dataset's entry in meta.json, leave the others, and write values.json if given.

    Raises:
        AnnotationError: an existing meta.json cannot be read, or the value names do not fit.
    """
    root = dataset_root(data_dir, dataset)
    path = Path(data_dir) / META
    sizes = {name: int(n) for name, n in zip(attributes.names, attributes.sizes, strict=True)}
    if value_names is not None:
        named = {attribute: list(values) for attribute, values in value_names.items()}
        check_value_names(named, attributes, root / VALUES)
        write_json(root / VALUES, named)
    with FileLock(path.with_name(f".{META}.lock")):  # another dataset may be written meanwhile
        meta = load_json_object(path) if path.exists() else {}
        meta[dataset] = {"ATTRIBUTES": list(attributes.names), "ATTRIBUTES_NUM": sizes}
        write_json(path, meta)
