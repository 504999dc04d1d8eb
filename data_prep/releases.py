"""From labelled images, however they were released, to a dataset in split files.

The division is random and seeded, or the one that the authors of a method released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asen_tf.config import did_you_mean
from asen_tf.data import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    parse_names,
    parse_rows,
    roles,
    rows_filename,
)
from asen_tf.files import write_text
from data_prep.image_files import MISSING, broken_images
from data_prep.writing import write_meta, write_split

BROKEN = ("error", "skip")
_SHOWN = 5  # broken images named in an error


@dataclass(frozen=True)
class Sample:
    """An image and its labels.

    Attributes:
        path: of the image, relative to the dataset's folder, with forward slashes.
        labels: (attribute, value) indices; none at all is allowed.
    """

    path: str
    labels: tuple[tuple[int, int], ...]


def split_images(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the sorted image numbers of train, valid and test, 8:1:1 by a random permutation."""
    order = rng.permutation(count)
    tenth = count // 10
    return {
        "train": np.sort(order[2 * tenth :]),
        "valid": np.sort(order[:tenth]),
        "test": np.sort(order[tenth : 2 * tenth]),
    }


def split_rows(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return queries and candidates, 1:4 per attribute and, as far as numbers permit, per value.

    Args:
        rows: (n, 3) int64: file index, attribute index, value index.
        rng: the source of the random choice.

    Each attribute gets a fifth of its rows as queries, rounded. The fifth is spread over the values
    by largest remainder. A value with a single row gives no query, so every query has a relevant
    candidate.
    """
    is_query = np.zeros(len(rows), bool)
    for attribute in np.unique(rows[:, 1]):
        members = [
            np.flatnonzero((rows[:, 1] == attribute) & (rows[:, 2] == value))
            for value in np.unique(rows[rows[:, 1] == attribute, 2])
        ]
        sizes = np.array([len(m) for m in members])
        share = sizes / 5.0
        take = np.floor(share).astype(int)
        spare = round(sizes.sum() / 5.0) - take.sum()
        remainder = np.where(sizes > 1, share - take, -1.0)
        for k in np.argsort(-remainder, kind="stable")[: max(spare, 0)]:
            take[k] += sizes[k] > take[k] + 1
        for chosen, count in zip(members, take, strict=True):
            is_query[rng.permutation(chosen)[:count]] = True
    return rows[is_query], rows[~is_query]


def divide(
    samples: Iterable[Sample], *, seed: int, equal: Mapping[str, str] | None = None
) -> dict[str, list[Sample]]:
    """Divide samples into train, valid and test, 8:1:1, by a random permutation of the seed.

    Args:
        samples: the images.
        seed: of the permutation.
        equal: of images that equal an earlier one, the earlier one's path; they go into its split.
    """
    everything, equal = list(samples), equal or {}
    numbers = split_images(len(everything), np.random.default_rng(seed))
    drawn = {everything[at].path: split for split in SPLITS for at in numbers[split]}
    return by_split(everything, drawn, equal)


def by_split(
    samples: Iterable[Sample], drawn: Mapping[str, str], equal: Mapping[str, str]
) -> dict[str, list[Sample]]:
    """Return the samples of each split, in their order.

    Args:
        samples: the images.
        drawn: the split of each path; those in `equal` need none.
        equal: of images that equal an earlier one, the earlier one's path; they go into its split.
    """
    divided: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for sample in samples:
        divided[drawn[equal.get(sample.path, sample.path)]].append(sample)
    return divided


def in_one_split(equal: Mapping[str, str]) -> list[str]:
    """Return what to note of images that equal an earlier one: nothing, or a sentence."""
    said = f"{len(equal):,} images equal another one; equal images are in one split"
    return [said] if equal else []


def paths_of(divided: Mapping[str, Sequence[Sample]]) -> dict[str, list[str]]:
    """Return the paths of each split's samples."""
    return {name: [sample.path for sample in part] for name, part in divided.items()}


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
            out and lists them in `broken_images.csv` in the dataset's folder.

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


# === Splits that were released ===


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
                remedy="get it from where the other split files are from, or omit --splits to "
                "divide the images at random",
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
    """Check the images of released splits and write the split files of those that can be used.

    Args:
        data_dir: folder of all datasets.
        dataset: its name; the images are in its folder.
        attributes: names and numbers of values.
        released: what `read_released` returned.
        value_names: names of the values by attribute, where they are known.
        broken: "error", or "skip" to leave out unusable images with their rows; the others keep
            their order and are renumbered.

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


# === What both need ===


def find_broken(root: Path, names: Iterable[str], broken: str) -> dict[str, str]:
    """Return why images of a dataset cannot be used, by path; list them in `broken_images.csv`.

    Args:
        root: the dataset's folder.
        names: image paths relative to it; one may be named more than once.
        broken: "error" or "skip".

    Raises:
        AnnotationError: some cannot, and `broken` is "error".
    """
    if broken not in BROKEN:
        raise AnnotationError(
            f"broken must be one of {', '.join(BROKEN)}",
            got=broken,
            remedy=did_you_mean(broken, BROKEN),
        )
    names = list(dict.fromkeys(names))
    reasons = broken_images(root, names)
    if reasons and broken == "error":
        shown = "; ".join(f"{name}: {why}" for name, why in list(reasons.items())[:_SHOWN])
        remedy = "repair or remove them, or leave them out with --broken skip"
        if len(reasons) == len(names) and set(reasons.values()) == {MISSING}:
            remedy = "check that --raw is the folder that these paths start from"
        raise AnnotationError(
            "every image must be readable",
            path=root,
            got=f"{len(reasons)} of {len(names)} that are not: {shown}",
            remedy=remedy,
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
