"""Datasets that list triplets instead of values, as Zappos50k does (Veit et al., CVPR 2017).

`triplets_{split}.txt` then stands in the place of label, query and candidate files; each line is
`<attribute> <anchor> <close> <far>`, indices into `filenames_{split}.txt`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asen_tf.annotations.integers import check_range, parse_integers, reject_lines
from asen_tf.annotations.parsing import read_bytes
from asen_tf.annotations.records import AnnotationError, AttributeTable


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
