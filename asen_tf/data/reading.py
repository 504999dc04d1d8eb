"""Reading meta.json, values.json and the files of one split.

Datasets that list triplets instead of values, as Zappos50k does (Veit et al., CVPR 2017).

`triplets_{split}.txt` then stands in the place of label, query and candidate files; each line is
`<attribute> <anchor> <close> <far>`, indices into `filenames_{split}.txt`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asen_tf.data.parsing import (
    check_range,
    load_json_object,
    locate_images,
    parse_integers,
    parse_names,
    parse_rows,
    read_bytes,
    reject_lines,
)
from asen_tf.data.records import (
    AnnotationError,
    AttributeTable,
    Split,
    check_split_name,
    dataset_root,
    roles,
    rows_filename,
)


def triplets_filename(split: str) -> str:
    """Return the name of a split's list of triplets."""
    return f"triplets_{split}.txt"


def parse_triplets(path: Path, attributes: AttributeTable, files: int | None) -> np.ndarray:
    """Return the triplets that a file lists.

    Args:
        path: the file.
        attributes: gives the range of the attribute index.
        files: the number of files, which bounds the file indices; None leaves them unbounded.

    Returns:
        (T, 4) int64: attribute, anchor, close and far, in the order of the file.

    Raises:
        AnnotationError: a line is not of four integers, an index is out of range, an image is
            named twice on a line, or there is no line.
    """
    data = read_bytes(path)
    integers, lines = parse_integers(data, path)
    counts = np.bincount(lines)
    reject_lines(data, path, (counts > 0) & (counts != 4), _describe)
    if not len(integers):
        raise AnnotationError(
            "a list of triplets must hold one at least",
            path=path,
            remedy="make the split files anew",
        )
    triplets, line = integers.reshape(-1, 4), lines[::4]
    check_range(path, line, triplets[:, 0], len(attributes), "attribute index")
    for column in (1, 2, 3) if files is not None else ():
        check_range(path, line, triplets[:, column], files, "file index")
    _, anchor, close, far = triplets.T
    same = (anchor == close) | (anchor == far) | (close == far)
    if same.any():
        first = int(np.argmax(same))
        raise AnnotationError(
            "anchor, close and far must be three images",
            path=path,
            line=int(line[first]) + 1,
            got=triplets[first].tolist(),
            remedy="correct or remove the line",
        )
    return triplets


def labels_of(triplets: np.ndarray) -> np.ndarray:
    """Return `(n, 3)` rows for the images of each attribute; the value 0 says nothing."""
    pairs = np.concatenate([triplets[:, [column, 0]] for column in (1, 2, 3)])
    distinct = np.unique(pairs, axis=0)
    return np.concatenate([distinct, np.zeros_like(distinct[:, :1])], axis=1)


def without_images(triplets: np.ndarray, absent: tuple[int, ...]) -> np.ndarray:
    """Return the triplets none of whose images is absent."""
    return triplets[~np.isin(triplets[:, 1:], absent).any(axis=1)]


def _describe(text: bytes) -> tuple[str, str, str]:
    return (
        "a line must hold four indices: attribute, anchor, close, far",
        f"{len(text.split())} fields: {text.decode('utf-8', 'replace').strip()}",
        "complete or remove the line",
    )


META = "meta.json"
VALUES = "values.json"
MISSING_CHOICES = ("error", "skip", "ignore")


def read_meta(data_dir: Path | str, dataset: str) -> AttributeTable:
    """Return a dataset's attributes from `data_dir/meta.json`.

    Raises:
        AnnotationError: the file is absent, is no JSON, lacks the dataset, or its entry is wrong.
    """
    dataset_root(data_dir, dataset)
    path = Path(data_dir) / META
    meta = load_json_object(path)
    if dataset not in meta:
        raise AnnotationError(
            "the dataset must have an entry",
            path=path,
            got=dataset,
            remedy=f"known datasets: {', '.join(sorted(meta)) or 'none'}",
        )
    entry = meta[dataset]
    try:
        names, numbers = tuple(entry["ATTRIBUTES"]), entry["ATTRIBUTES_NUM"]
        if not isinstance(entry["ATTRIBUTES"], list) or not isinstance(numbers, dict):
            raise ValueError("one is a list, the other an object")
        if set(numbers) != set(names):
            raise ValueError("the two name different attributes")
        return AttributeTable(names, tuple(numbers[name] for name in names))
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"the entry of {dataset!r} must hold ATTRIBUTES, a list of names, and "
            f"ATTRIBUTES_NUM, the number of values of each ({error})",
            path=path,
            got=entry,
            remedy="see the data section of the README for the format",
        ) from None


def read_value_names(data_dir: Path | str, dataset: str) -> dict[str, list[str]] | None:
    """Return the names of each attribute's values in index order, or None without values.json.

    Raises:
        AnnotationError: the file does not name exactly the values that meta.json counts.
    """
    path = dataset_root(data_dir, dataset) / VALUES
    if not path.exists():
        return None
    names = load_json_object(path)
    check_value_names(names, read_meta(data_dir, dataset), path)
    return names


def check_value_names(names: Any, attributes: AttributeTable, path: Path) -> None:
    """Raise unless `names` maps every attribute to as many strings as it has values."""
    expected = dict(zip(attributes.names, attributes.sizes, strict=True))
    if not isinstance(names, dict) or set(names) != set(expected):
        raise AnnotationError(
            f"value names must be given for the attributes {list(expected)}",
            path=path,
            got=names,
            remedy="name the attributes as meta.json does, or remove the file",
        )
    for attribute, values in names.items():
        strings = isinstance(values, list) and all(isinstance(value, str) for value in values)
        if not strings or len(values) != expected[attribute]:
            raise AnnotationError(
                f"{attribute!r} must have {expected[attribute]} value names, all strings",
                path=path,
                got=values,
                remedy="give one name per value, in the order of the indices, or remove the file",
            )


def read_split(data_dir: Path | str, dataset: str, split: str, *, missing: str = "error") -> Split:
    """Read one split of a dataset.

    Args:
        data_dir: the folder of meta.json and of one folder per dataset.
        dataset: the dataset's name.
        split: "train", "valid" or "test".
        missing: what to do about images that are not on disk. "error" raises; "skip" drops their
            rows and lists them in `Split.missing`; "ignore" does not look for images at all, and
            lets the list of files be absent (then `files` is empty).

    Returns:
        The split. Repeated rows are kept; `find_problems` counts them. Where the dataset lists
        triplets (`triplets_{split}.txt`), these are read instead of labels.

    Raises:
        AnnotationError: a rule is broken; the message names the file and the line.
    """
    check_split_name(split)
    if missing not in MISSING_CHOICES:
        raise AnnotationError(f"missing must be one of {MISSING_CHOICES}", got=missing)
    root = dataset_root(data_dir, dataset)
    attributes = read_meta(data_dir, dataset)
    source = root / f"filenames_{split}.txt"
    listed = source.exists()
    if not listed and missing != "ignore":
        raise AnnotationError(
            "the list of image files is missing",
            path=source,
            remedy='restore it, or read the labels alone by missing="ignore"',
        )
    files, lines = parse_names(source) if listed else ((), ())
    count = len(files) if listed else None
    nothing, triplets = np.zeros((0, 3), np.int64), None
    if (root / triplets_filename(split)).exists():
        triplets = parse_triplets(root / triplets_filename(split), attributes, count)
        rows = {"label": labels_of(triplets)}
    else:
        rows = {
            role: parse_rows(root / rows_filename(split, role), attributes, count)
            for role in roles(split)
        }
    queries, candidates = rows.get("query", nothing), rows.get("candidate", nothing)
    labels = rows.get("label", sorted_rows(np.concatenate([queries, candidates])))
    parts = (labels, queries, candidates, (), triplets)
    result = Split(root, dataset, split, attributes, files, *parts)
    if missing != "ignore":
        entries = locate_images(root, files, source, lines)
        absent = tuple(index for index, entry in enumerate(entries) if entry is None)
        if absent and missing == "error":
            raise AnnotationError(
                f"{len(absent)} of {len(files)} image files are missing",
                path=source,
                line=lines[absent[0]],
                got=f"no {', no '.join(files[index] for index in absent[:5])}",
                remedy='add them, or go on without them by missing="skip"',
            )
        result = _without(result, absent)
    for array in (result.labels, result.queries, result.candidates):
        array.setflags(write=False)
    return result


def sorted_rows(rows: np.ndarray) -> np.ndarray:
    """Return the distinct rows of an (n, 3) array in lexicographic order."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    first = np.ones(len(ordered), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[first]


def _without(split: Split, absent: tuple[int, ...]) -> Split:
    def keep(rows: np.ndarray) -> np.ndarray:
        return rows[~np.isin(rows[:, 0], absent)]

    return replace(
        split,
        labels=keep(split.labels),
        queries=keep(split.queries),
        candidates=keep(split.candidates),
        missing=absent,
        triplets=None if split.triplets is None else without_images(split.triplets, absent),
    )
