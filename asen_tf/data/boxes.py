"""Region files: the true box of an attribute's part in an image.

`regions_{split}.csv` has the header `index,attribute,left,top,right,bottom`: 0-based file and
attribute index, then the half-open box in pixels of the stored image, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from asen_tf.data.parsing import parse_names, read_text
from asen_tf.data.reading import read_meta
from asen_tf.data.records import LARGEST_INDEX, AnnotationError, check_split_name, dataset_root
from asen_tf.files import write_text

HEADER = ("index", "attribute", "left", "top", "right", "bottom")
Box = tuple[float, float, float, float]


def read_regions(
    data_dir: Path | str, dataset: str, split: str
) -> dict[tuple[int, int], Box] | None:
    """Return the box (left, top, right, bottom) of each (file, attribute), None without the file.

    Raises:
        AnnotationError: another header, a field that is no number, an index out of range, an
            empty box or one that begins left of or above the image, or a repeated row.
    """
    check_split_name(split)
    root = dataset_root(data_dir, dataset)
    path = root / f"regions_{split}.csv"
    if not path.exists():
        return None
    attributes = len(read_meta(data_dir, dataset))
    names = root / f"filenames_{split}.txt"
    files = len(parse_names(names)[0]) if names.exists() else LARGEST_INDEX
    lines = read_text(path).split("\n")
    if tuple(lines[0].strip().split(",")) != HEADER:
        raise AnnotationError(
            f"the header must be {','.join(HEADER)}",
            path=path,
            line=1,
            got=lines[0],
            remedy="put this header into the first line",
        )
    regions: dict[tuple[int, int], Box] = {}
    for line, text in enumerate(lines[1:], start=2):
        if text.strip():
            key, box = _parse(text, path, line)
            _check(key, box, files, attributes, path, line)
            if key in regions:
                raise AnnotationError(
                    "an image has at most one box per attribute",
                    path=path,
                    line=line,
                    got=text,
                    remedy="remove one of the two rows",
                )
            regions[key] = box
    return regions


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
    path = dataset_root(data_dir, dataset) / f"regions_{split}.csv"
    lines = [",".join(HEADER)]
    for (index, attribute), sides in sorted(regions.items()):
        box = tuple(float(side) for side in sides)
        _check((index, attribute), box, LARGEST_INDEX, LARGEST_INDEX, path, len(lines) + 1)
        lines.append(",".join([str(int(index)), str(int(attribute)), *map(repr, box)]))
    write_text(path, "\n".join(lines) + "\n")


def _parse(text: str, path: Path, line: int) -> tuple[tuple[int, int], Box]:
    try:
        index, attribute, left, top, right, bottom = text.split(",")
        return (int(index), int(attribute)), (float(left), float(top), float(right), float(bottom))
    except ValueError:
        raise AnnotationError(
            "a row must hold two integers and four numbers",
            path=path,
            line=line,
            got=text,
            remedy=f"write it as {','.join(HEADER)}",
        ) from None


def _check(
    key: tuple[int, int],
    box: tuple[float, ...],
    files: int,
    attributes: int,
    path: Path,
    line: int,
) -> None:
    if not (0 <= key[0] < files and 0 <= key[1] < attributes):
        raise AnnotationError(
            f"the file index must be below {files} and the attribute index below {attributes}, "
            "neither negative",
            path=path,
            line=line,
            got=key,
            remedy="count both from 0, as in the split's files and meta.json",
        )
    ordered = len(box) == 4 and 0 <= box[0] < box[2] and 0 <= box[1] < box[3]
    if not ordered or not all(map(math.isfinite, box)):
        raise AnnotationError(
            "a box must have 0 <= left < right and 0 <= top < bottom, all finite",
            path=path,
            line=line,
            got=box,
            remedy="cut it at the border of the image, and give no row for a hidden part",
        )
