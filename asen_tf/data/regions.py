"""True boxes of the parts that attributes are about: reading, and what models see of them.

`regions_{split}.csv` has the header `index,attribute,left,top,right,bottom`: 0-based file and
attribute index, then the half-open box in pixels of the upright image, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from asen_tf.data.fitting import Box, Frame, frame_of
from asen_tf.data.images import upright_size
from asen_tf.data.parsing import parse_names, read_text
from asen_tf.data.reading import read_meta
from asen_tf.data.records import (
    LARGEST_INDEX,
    AnnotationError,
    Split,
    check_split_name,
    dataset_root,
    regions_filename,
)

_JITTER = 0.15  # share of the side
HEADER = ("index", "attribute", "left", "top", "right", "bottom")


def read_regions(
    data_dir: Path | str, dataset: str, split: str
) -> dict[tuple[int, int], Box] | None:
    """Return the box (left, top, right, bottom) of each (file, attribute), None without the file.

    Raises:
        AnnotationError: another header, a field that is not a number, an index out of range, an
            empty box or one that begins left of or above the image, or a repeated row.
    """
    check_split_name(split)
    root = dataset_root(data_dir, dataset)
    path = root / regions_filename(split)
    if not path.exists():
        return None
    attributes = len(read_meta(data_dir, dataset))
    names = root / f"filenames_{split}.txt"
    files = len(parse_names(names)[0]) if names.exists() else LARGEST_INDEX
    lines = read_text(path).split("\n")
    if tuple(lines[0].strip().split(",")) != HEADER:
        rule = f"the header must be {','.join(HEADER)}"
        remedy = "put this header into the first line"
        raise AnnotationError(rule, path=path, line=1, got=lines[0], remedy=remedy)
    regions: dict[tuple[int, int], Box] = {}
    for line, text in enumerate(lines[1:], start=2):
        if text.strip():
            key, box = _parse(text, path, line)
            check_box(key, box, files, attributes, path, line)
            if key in regions:
                rule = "an image has at most one box per attribute"
                remedy = "remove one of the two rows"
                raise AnnotationError(rule, path=path, line=line, got=text, remedy=remedy)
            regions[key] = box
    return regions


def boxes_in_square(
    split: Split, regions: Mapping[tuple[int, int], Box], *, side: int, fit: str = "square"
) -> dict[tuple[int, int], Box]:
    """Map true boxes from image pixels to shares of the square that `load_image` makes.

    Args:
        split: names the image files.
        regions: boxes by (image, attribute) in pixels of the upright image, half-open.
        side: px, side of the square.
        fit: how the images become squares, as for `load_image`.

    Returns:
        Boxes as shares in [0, 1] of the side of the square; boxes that lie outside the square
        altogether are left out.
    """
    frames: dict[int, Frame] = {}
    inside = {}
    for (index, attribute), region in regions.items():
        if index not in frames:
            frames[index] = frame_of(upright_size(split.path(index)), side, fit)
        box = tuple(min(max(edge, 0.0), 1.0) for edge in frames[index].shares(region))
        if box[0] < box[2] and box[1] < box[3]:
            inside[index, attribute] = box
    return inside


def true_squares(
    boxes: Mapping[tuple[int, int], Box],
    labels: np.ndarray,
    *,
    reference: Mapping[tuple[int, int], Box],
    shape: tuple[int, int],
    size: int,
) -> np.ndarray:
    """Return a square at the true part of every (image, attribute), whose side tells no value.

    Parts of some values are larger than others, and invisible ones have no box: uncorrected, the
    scale of a crop would tell the value. So a part without a box takes one that is drawn from
    `reference`; then the sides of each value's squares are replaced, rank by rank, by quantiles of
    all sides in `reference`, so that every value has the same sides; and side and centre are
    moved at random by up to `_JITTER` of the side. Squares are shifted inside the frame. The
    same arguments give the same squares.

    Args:
        boxes: by (image, attribute), as shares of the frame's side; see `boxes_in_square`.
        labels: `(n, 3)` image, attribute and value index.
        reference: as `boxes`, of the training split. Without one of an attribute, its squares are
            the whole frame.
        shape: `(n, A)`, the numbers of images and attributes.
        size: px, side of the frame.

    Returns:
        `(n, A, 4)` int32: top, left, bottom, right in pixels of the frame; half-open.
    """
    squares = np.full((*shape, 4), (0, 0, size, size), np.int32)
    rng = np.random.default_rng(0)
    for attribute in range(shape[1]):
        pool = np.array([box for (_, held), box in reference.items() if held == attribute])
        if not len(pool):
            continue
        drawn = pool[rng.integers(len(pool), size=shape[0])]
        own = np.array([boxes.get((image, attribute), box) for image, box in enumerate(drawn)])
        sides, all_sides = ((part[:, 2:] - part[:, :2]).max(axis=1) for part in (own, pool))
        known = labels[labels[:, 1] == attribute]
        for value in np.unique(known[:, 2]):
            holds = np.unique(known[known[:, 2] == value, 0])
            ranks = (np.argsort(np.argsort(sides[holds])) + 0.5) / len(holds)
            sides[holds] = np.quantile(all_sides, ranks)
        moves = rng.uniform(-_JITTER, _JITTER, (3, shape[0])).T
        sides = sides[:, None] * (1.0 + moves[:, :1])
        centres = (own[:, 1::-1] + own[:, :1:-1]) / 2.0 + moves[:, 1:] * sides  # y, x
        side = np.clip(np.rint(sides * size), 1, size)
        start = np.clip(np.rint(centres * size - side / 2.0), 0, size - side)
        squares[:, attribute] = np.concatenate([start, start + side], axis=1)
    return squares


def _parse(text: str, path: Path, line: int) -> tuple[tuple[int, int], Box]:
    try:
        index, attribute, left, top, right, bottom = text.split(",")
        return (int(index), int(attribute)), (float(left), float(top), float(right), float(bottom))
    except ValueError:
        rule = "a row must hold two integers and four numbers"
        remedy = f"write it as {','.join(HEADER)}"
        raise AnnotationError(rule, path=path, line=line, got=text, remedy=remedy) from None


def check_box(
    key: tuple[int, int], box: tuple[float, ...], files: int, attributes: int, path: Path, line: int
) -> None:
    """Raise AnnotationError unless a box is one, of a (file, attribute) that there is."""
    if not (0 <= key[0] < files and 0 <= key[1] < attributes):
        rule = (
            f"the file index must be below {files} and the attribute index below {attributes}, "
            "neither negative"
        )
        remedy = "count both from 0, as in the split's files and meta.json"
        raise AnnotationError(rule, path=path, line=line, got=key, remedy=remedy)
    ordered = len(box) == 4 and 0 <= box[0] < box[2] and 0 <= box[1] < box[3]
    if not ordered or not all(map(math.isfinite, box)):
        rule = "a box must have 0 <= left < right and 0 <= top < bottom, all finite"
        remedy = "cut it at the border of the image, and give no row for a hidden part"
        raise AnnotationError(rule, path=path, line=line, got=box, remedy=remedy)
