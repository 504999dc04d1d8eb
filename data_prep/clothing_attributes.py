"""The Clothing Attribute Dataset: from photographs and MATLAB label files to split files.

`python -m data_prep.clothing_attributes --raw RAW_DIR --out DATA_DIR --fold K`, with `images/` and
`labels/*_GT.mat` in RAW_DIR. The photographs are divided into five folds at random, equal ones
together; fold K, of 0 to 4, is the test split of the dataset `ClothingAttributes-K`, and every
photograph is a test image of one fold.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.io

from asen_tf.data import AnnotationError, AttributeTable
from data_prep.command import Report, run_command
from data_prep.image_files import equal_contents, place_image
from data_prep.releases import Sample, by_split, in_one_split, paths_of, write_dataset

DATASET = "ClothingAttributes"
FOLDS = 5
_VALID = 7  # of the photographs not tested, one in this many chooses the best epoch

# Values in the order of the label files, which count them from 1 (NaN: the six workers who were
# asked did not agree).
VALUES: dict[str, tuple[str, ...]] = {
    "category": ("Shirt", "Sweater", "T-shirt", "Outerwear", "Suit", "Tank top", "Dress"),
    "neckline": ("V-shape", "Round", "Other"),
    "sleeve_length": ("None", "Short", "Long"),
    "collar": ("No", "Yes"),
    "placket": ("No", "Yes"),
    "necktie": ("No", "Yes"),
    "scarf": ("No", "Yes"),
    "skin_exposure": ("Low", "High"),
    "gender": ("Male", "Female"),
}
_FILES = {"sleeve_length": "sleevelength"}  # where the file's name is not the attribute's
PATTERNS = ("Solid", "Floral", "Spotted", "Graphics", "Plaid", "Striped")
_PATTERN_FILES = ("solid", "floral", "spot", "graphics", "plaid", "stripe")
_YES = 2
_MOST_LABELS = 1_000_000  # of one file; the published ones have 1,856


def prepare(raw: Path, out: Path, *, seed: int = 0, broken: str = "error", fold: int = 0) -> Report:
    """Read the labels, check the photographs and write the split files of one fold.

    `pattern` is the one kind of six on which the workers agreed, where there is exactly one. A
    photograph without any label, or that is not there, is left out.

    Args:
        raw: the folder of `images` and `labels`, as published.
        out: the folder of all datasets.
        seed: of the folds, and of the choice of queries.
        broken: "error" or "skip", for photographs that cannot be used.
        fold: 0 to 4, which fifth is tested.

    Returns:
        What there is, and what was left out.

    Raises:
        AnnotationError: a label file is missing or breaks a rule, or a photograph cannot be used.

    References:
        Chen, Gallagher and Girod, "Describing Clothing by Semantic Attributes", ECCV 2012.
    """
    if not 0 <= fold < FOLDS:
        raise AnnotationError(f"the fold must be one of 0 to {FOLDS - 1}", got=fold)
    values, names = _read(raw)
    present = {path.name: path for path in sorted((raw / "images").glob("*.jpg"))}
    dataset = f"{DATASET}-{fold}"
    samples, absent, unlabelled = [], 0, 0
    for index, row in enumerate(values):
        name = f"{index + 1:06d}.jpg"
        labels = tuple((a, int(value)) for a, value in enumerate(row) if value >= 0)
        absent += name not in present
        unlabelled += name in present and not labels
        if name in present and labels:
            place_image(present[name], out / dataset / "images" / name)
            samples.append(Sample(f"images/{name}", labels))
    if len(samples) < FOLDS:
        raise AnnotationError(
            "there must be photographs images/000001.jpg and so on",
            path=raw,
            got=f"{len(samples)} that are labelled",
            remedy="give the folder that holds the published images/ and labels/: --raw FOLDER",
        )
    attributes = AttributeTable(tuple(names), tuple(map(len, names.values())))
    equal = equal_contents({sample.path: out / dataset / sample.path for sample in samples})
    divided = _divided(samples, equal, seed=seed, fold=fold)
    left_out = write_dataset(
        out,
        dataset,
        attributes,
        divided,
        value_names=names,
        seed=seed,
        broken=broken,
    )
    notes = [f"{absent} of {len(values)} labelled numbers have no photograph here"] * bool(absent)
    notes += [f"{unlabelled} photographs have no label and are left out"] * bool(unlabelled)
    return Report.from_paths(paths_of(divided), left_out, [*notes, *in_one_split(equal)])


def _divided(
    samples: Sequence[Sample], equal: Mapping[str, str], *, seed: int, fold: int
) -> dict[str, list[Sample]]:
    """Divide into folds; the order within a split is the files'.

    Args:
        samples: the photographs.
        equal: see `equal_contents`; such a photograph goes where the earlier one is. Without them,
            all folds are of one size or one more.
        seed: of the folds.
        fold: which one is tested.
    """
    names = [sample.path for sample in samples if sample.path not in equal]
    order = np.random.default_rng(seed).permutation(len(names))
    tested = order[fold::FOLDS]
    others = np.setdiff1d(order, tested)
    chosen = np.random.default_rng([seed, fold]).permutation(others)
    parts = {
        "train": chosen[len(others) // _VALID :],
        "valid": chosen[: len(others) // _VALID],
        "test": tested,
    }
    drawn = {names[at]: split for split, part in parts.items() for at in part}
    return by_split(samples, drawn, equal)


def _read(raw: Path) -> tuple[np.ndarray, dict[str, tuple[str, ...]]]:
    """Return `(images, attributes)` int, -1 where there is no label, and the names of values."""
    columns = []
    for attribute, names in VALUES.items():
        path = raw / "labels" / f"{_FILES.get(attribute, attribute)}_GT.mat"
        columns.append(_column(path, len(names)) - 1)
    kinds = [raw / "labels" / f"pattern_{name}_GT.mat" for name in _PATTERN_FILES]
    agreed = np.stack([_column(path, 2) == _YES for path in kinds], axis=1)
    columns.append(np.where(agreed.sum(axis=1) == 1, agreed.argmax(axis=1), -1))
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise AnnotationError(
            "all label files must be of the same length", path=raw / "labels", got=sorted(lengths)
        )
    return np.stack(columns, axis=1), VALUES | {"pattern": PATTERNS}


def _column(path: Path, count: int) -> np.ndarray:
    """Return the labels of one file: `(images,)` int from 1 to `count`, 0 where there is none."""
    remedy = "unpack the published labels/ again"
    if not path.is_file():
        raise AnnotationError("a label file is missing", path=path, remedy=remedy)
    try:
        for name, shape, _ in scipy.io.whosmat(path):  # the header alone: a small file may unpack
            if name == "GT" and math.prod(shape) > _MOST_LABELS:  # to more than the memory holds
                raise ValueError(f"{shape} labels, and there may be {_MOST_LABELS:,}")
        table = scipy.io.loadmat(path, variable_names=["GT"], squeeze_me=False)["GT"]
    except Exception as error:  # the reader lets errors of many kinds through
        raise AnnotationError(
            "a label file must be MATLAB's, with a variable GT", path=path, got=error, remedy=remedy
        ) from error
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.shape[1] != 1:
        raise AnnotationError(
            "labels must be one column of numbers",
            path=path,
            got=getattr(table, "shape", type(table).__name__),
            remedy=remedy,
        )
    if table.dtype.kind not in "fiu":
        raise AnnotationError("labels must be numbers", path=path, got=table.dtype, remedy=remedy)
    labels = np.nan_to_num(table[:, 0].astype(float), nan=0.0)
    wrong = ~np.isin(labels, np.arange(count + 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise AnnotationError(
            f"a label must be a whole number from 1 to {count}, or NaN",
            path=path,
            got=f"{labels[first]:g} for image {first + 1}",
            remedy=remedy,
        )
    return labels.astype(int)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = {"fold": {"type": int, "default": 0, "help": "which fifth is tested, 0 to 4"}}
    return run_command("clothing_attributes", __doc__, prepare, arguments, options=options)


if __name__ == "__main__":
    sys.exit(main())
