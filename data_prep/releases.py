"""From labelled images, however released, to a dataset in split files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asen_tf.data import SPLITS, AnnotationError, AttributeTable, write_meta, write_split
from asen_tf.files import write_text
from data_prep.image_files import broken_images
from data_prep.partition import split_images, split_rows

BROKEN = ("error", "skip")
_SHOWN = 5  # broken images that an error names


@dataclass(frozen=True)
class Sample:
    """An image and what is known of it.

    Attributes:
        path: of the image, relative to the dataset's folder, with forward slashes.
        labels: (attribute, value) indices; none at all is allowed.
    """

    path: str
    labels: tuple[tuple[int, int], ...]


def divide(samples: Iterable[Sample], *, seed: int) -> dict[str, list[Sample]]:
    """Divide samples into train, valid and test, 8:1:1, by a random permutation of the seed."""
    everything = list(samples)
    numbers = split_images(len(everything), np.random.default_rng(seed))
    return {split: [everything[at] for at in numbers[split]] for split in SPLITS}


def write_dataset(
    data_dir: Path | str,
    dataset: str,
    attributes: AttributeTable,
    splits: Mapping[str, Sequence[Sample]],
    *,
    value_names: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    broken: str = "error",
) -> dict[str, str]:
    """Check the images of a dataset and write its split files.

    The images are in `data_dir/dataset` already. Of valid and test, a fifth of each attribute's
    rows are queries and the others candidates, at random.

    Args:
        data_dir: folder of all datasets; meta.json gets an entry.
        dataset: the dataset's name.
        attributes: names and numbers of values.
        splits: the samples of "train", "valid" and "test".
        value_names: names of the values by attribute, where they are known.
        seed: of the choice of queries.
        broken: "error" refuses the dataset if an image cannot be used; "skip" leaves such images
            out and lists them in `broken_images.csv` of the dataset's folder.

    Returns:
        Why an image was left out, by path.

    Raises:
        AnnotationError: an image cannot be used and `broken` is "error", or a path leaves the
            folder.
    """
    root = Path(data_dir) / dataset
    reasons = find_broken(root, [sample.path for name in SPLITS for sample in splits[name]], broken)
    rng = np.random.default_rng([seed, 1])
    for name in SPLITS:
        kept = [sample for sample in splits[name] if sample.path not in reasons]
        rows = [
            (index, attribute, value)
            for index, sample in enumerate(kept)
            for attribute, value in sample.labels
        ]
        table = np.array(rows, np.int64).reshape(-1, 3)
        given = {"labels": table}
        if name != "train":
            queries, candidates = split_rows(table, rng)
            given = {"queries": queries, "candidates": candidates}
        write_split(data_dir, dataset, name, files=[sample.path for sample in kept], **given)
    write_meta(data_dir, dataset, attributes, value_names)
    return reasons


def find_broken(root: Path, names: Iterable[str], broken: str) -> dict[str, str]:
    """Return why images of a dataset cannot be used, by path; list them in `broken_images.csv`.

    Args:
        root: the dataset's folder.
        names: image paths relative to it; one may be named more than once.
        broken: "error" or "skip".

    Raises:
        AnnotationError: there are some, and `broken` is "error".
    """
    if broken not in BROKEN:
        raise AnnotationError(f"broken must be one of {', '.join(BROKEN)}", got=broken)
    names = list(dict.fromkeys(names))
    reasons = broken_images(root, names)
    if reasons and broken == "error":
        shown = "; ".join(f"{name}: {why}" for name, why in list(reasons.items())[:_SHOWN])
        raise AnnotationError(
            "every image must be readable",
            path=root,
            got=f"{len(reasons)} of {len(names)} that are not: {shown}",
            remedy="repair or remove them, or leave them out: --broken skip",
        )
    listing = root / "broken_images.csv"
    if reasons:
        lines = "".join(f"{_quoted(name)},{_quoted(why)}\n" for name, why in reasons.items())
        write_text(listing, f"image,reason\n{lines}")
    else:
        listing.unlink(missing_ok=True)  # of an earlier call
    return reasons


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
