"""Zappos50k: from the triplet lists of Conditional Similarity Networks to split files.

`python -m data_prep.zappos50k --raw RAW_DIR --out DATA_DIR [--broken skip]`, with filenames.json
(plain text, one path per line), tripletlists/*_tripletlist_*.txt of class, closure, gender and heel
(train, val and test), and the images, in RAW_DIR or in RAW_DIR/ut-zap50k-images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asen_tf.data import AnnotationError, AttributeTable, check_range, parse_integers, parse_names
from data_prep.command import Report, run_command
from data_prep.image_files import place_image
from data_prep.releases import find_broken
from data_prep.writing import write_listed_split, write_meta

DATASET = "Zappos50k"
CONDITIONS = ("class", "closure", "gender", "heel")
PARTS = {"train": "train", "valid": "val", "test": "test"}
TABLE = AttributeTable(CONDITIONS, (1,) * len(CONDITIONS))  # triplets tell no values apart
_IMAGES = "ut-zap50k-images"


def prepare(raw: Path, out: Path, *, seed: int = 0, broken: str = "error") -> Report:
    """Read the triplet lists as they are, check the images and write split files.

    A released line is `anchor far close`; a line of `triplets_{split}.txt` is
    `<condition> <anchor> <close> <far>`, with indices into `filenames_{split}.txt`.

    Args:
        raw: the folder of `filenames.json`, `tripletlists` and the images.
        out: the folder of all datasets.
        seed: has no effect: the division is the released one.
        broken: "error" or "skip", for images that cannot be used; their triplets are left out.

    Returns:
        What there is, and what was left out.

    Raises:
        AnnotationError: a list is missing or breaks a rule, or an image cannot be used.
    """
    names, _ = parse_names(raw / "filenames.json")
    lists = {split: _read(raw / "tripletlists", part, len(names)) for split, part in PARTS.items()}
    used = np.unique(np.concatenate([rows[:, 1:].ravel() for rows in lists.values()]))
    folder = raw / _IMAGES if (raw / _IMAGES).is_dir() else raw
    for index in tqdm(used.tolist(), desc="placing the images", unit="image", mininterval=1.0):
        if (folder / names[index]).is_file():
            place_image(folder / names[index], out / DATASET / names[index])
    reasons = find_broken(out / DATASET, [names[index] for index in used.tolist()], broken)
    listed, kept = {}, 0
    for split, rows in lists.items():
        usable = np.array([name not in reasons for name in names], bool)
        good = rows[usable[rows[:, 1:]].all(axis=1)]
        images, numbers = np.unique(good[:, 1:], return_inverse=True)
        triplets = np.concatenate([good[:, :1], numbers.reshape(-1, 3)], axis=1)
        files = [names[index] for index in images.tolist()]
        write_listed_split(out, DATASET, split, files=files, triplets=triplets)
        listed[split], kept = len(files), kept + len(good)
    write_meta(out, DATASET, TABLE)
    total = sum(len(rows) for rows in lists.values())
    note = f"{kept:,} of {total:,} triplets kept; an image is counted in every split that uses it"
    return Report(listed, reasons, (note,))


def _read(folder: Path, part: str, files: int) -> np.ndarray:
    """Return `(T, 4)` condition, anchor, close and far of all conditions of one part."""
    parts = []
    for condition, name in enumerate(CONDITIONS):
        path = folder / f"{name}_tripletlist_{part}.txt"
        rule = "a line must be three indices: anchor, far, close"
        rows = [(line, *row) for line, row in parse_integers(path, lambda count: count == 3, rule)]
        line, anchor, far, close = np.array(rows, np.int64).reshape(-1, 4).T
        for images in (anchor, far, close):
            check_range(path, line, images, files, "file index")
        parts.append(np.stack([np.full_like(anchor, condition), anchor, close, far], axis=1))
    found = np.concatenate(parts)
    if not len(found):
        raise AnnotationError(
            "the lists must hold triplets",
            path=folder,
            got=f"none of {part}",
            remedy="use the lists as they were released",
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_command("zappos50k", __doc__, prepare, arguments)


if __name__ == "__main__":
    sys.exit(main())
