"""What split files hold once they are read, and the one error that all their readers raise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asen_tf.config import did_you_mean

SPLITS = ("train", "valid", "test")
RESERVED_NAMES = ("overall", "macro")  # rows of the result tables beside the attributes
LARGEST_INDEX = 2**31 - 1  # far above any dataset; keeps index arithmetic inside int64
LARGEST_SIZE = 10**6  # values of one attribute; DeepFashion's largest has 230


class AnnotationError(ValueError):
    """A dataset's files break a rule.

    The message reads `file:line: rule; got value; remedy`; parts that do not apply are left out.

    Args:
        rule: what must hold.
        path: the file at fault.
        line: its 1-based line.
        got: the value received (shown shortened).
        remedy: what to do about it.
    """

    def __init__(
        self,
        rule: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        received = None if got is None else f"got {_shorten(got)}"
        super().__init__(where + "; ".join(part for part in (rule, received, remedy) if part))
        self.path = path
        self.line = line


def _shorten(value: object, length: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


@dataclass(frozen=True)
class AttributeTable:
    """The attributes of a dataset, in index order.

    Args:
        names: attribute names, distinct.
        sizes: the number of values of each attribute.

    Raises:
        AnnotationError: no attribute, a repeated, empty or reserved name, or a size out of range.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the table once, so that everyone else can rely on it."""
        if not self.names or len(self.names) != len(self.sizes):
            rule = "there must be at least one attribute, and one size per attribute"
            remedy = "give each attribute a name and its number of values"
            raise AnnotationError(rule, got=(self.names, self.sizes), remedy=remedy)
        for name, size in zip(self.names, self.sizes, strict=True):
            if not isinstance(name, str) or not name.strip() or name in RESERVED_NAMES:
                rule = f"an attribute name must be a non-empty string other than {RESERVED_NAMES}"
                raise AnnotationError(rule, got=name, remedy="rename the attribute")
            whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
            if not whole or not 1 <= size <= LARGEST_SIZE:
                rule = f"{name!r} must have 1 to {LARGEST_SIZE} values"
                remedy = "give the number of its values as a whole number"
                raise AnnotationError(rule, got=size, remedy=remedy)
        if len(set(self.names)) != len(self.names):
            raise AnnotationError(
                "attribute names must be distinct", got=self.names, remedy="rename one of them"
            )

    def __len__(self) -> int:
        """Return the number of attributes."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Split:
    """One split of a dataset, as its files give it.

    Row arrays have shape (n, 3), dtype int64 and the columns file index, attribute index, value
    index. They are read-only, keep the order of the file, and keep repeated rows.

    Args:
        root: the dataset's folder, `data_dir/<dataset>`.
        dataset: its name.
        name: "train", "valid" or "test".
        attributes: the dataset's attributes.
        files: image paths relative to `root`; empty when the list is absent and that is allowed.
        labels: train: the rows of the label file; valid and test: the distinct rows of queries
            and candidates together, sorted.
        queries: rows of the query file; empty for train.
        candidates: rows of the candidate file; empty for train.
        missing: indices of `files` that are not on disk, increasing.
        triplets: (T, 4) rows of attribute index, anchor, positive, negative (file indices) of a
            dataset that lists triplets instead of values; None for others. The labels then name
            the images of each attribute; all have the placeholder value 0.
    """

    root: Path
    dataset: str
    name: str
    attributes: AttributeTable
    files: tuple[str, ...]
    labels: np.ndarray
    queries: np.ndarray
    candidates: np.ndarray
    missing: tuple[int, ...]
    triplets: np.ndarray | None = None

    def path(self, index: int) -> Path:
        """Return the path of the image with this file index."""
        return self.root / self.files[index]

    def labels_of(self, attribute: int) -> np.ndarray:
        """Return the `(n, 3)` rows of `labels` that are of one attribute."""
        return self.labels[self.labels[:, 1] == attribute]

    def holds(self, attribute: int) -> np.ndarray:
        """Return `(n, values)` bool: whether an image holds a value of this attribute."""
        rows = self.labels_of(attribute)
        images = max(len(self.files), int(rows[:, 0].max(initial=-1)) + 1)  # files may be unlisted
        held = np.zeros((images, self.attributes.sizes[attribute]), bool)
        held[rows[:, 0], rows[:, 2]] = True
        return held


def images_by_value(labels: np.ndarray, attribute: int) -> dict[int, np.ndarray]:
    """Return the distinct images of each value of an attribute, both in increasing order.

    Args:
        labels: (n, 3) integers: image, attribute and value index.
        attribute: its index.
    """
    pairs = np.unique(labels[labels[:, 1] == attribute][:, [2, 0]], axis=0)
    values, starts = np.unique(pairs[:, 0], return_index=True)
    bounds = np.append(starts, len(pairs))
    return {
        value: pairs[first:last, 1]
        for value, first, last in zip(values.tolist(), bounds[:-1], bounds[1:], strict=True)
    }


def dataset_root(data_dir: Path | str, dataset: str) -> Path:
    """Return `data_dir/<dataset>`; the name must be that of a folder directly inside."""
    if not dataset or dataset in {".", ".."} or set(dataset) & set("/\\\0:"):
        rule = "a dataset's name must be the name of a folder directly inside the data folder"
        remedy = "pass the parent folder as the data folder, and the plain name"
        raise AnnotationError(rule, got=dataset, remedy=remedy)
    return Path(data_dir) / dataset


def check_split_name(split: str) -> None:
    """Raise unless `split` is one of the three names."""
    if split not in SPLITS:
        rule = f"a split is one of {', '.join(SPLITS)}"
        raise AnnotationError(rule, got=split, remedy=did_you_mean(split, SPLITS))


def rows_filename(split: str, role: str = "label") -> str:
    """Return a row file's name; role is "label", "query" or "candidate"."""
    return f"{role}_{split}.txt"


def triplets_filename(split: str) -> str:
    """Return the name of a split's list of triplets."""
    return f"triplets_{split}.txt"


def regions_filename(split: str) -> str:
    """Return the name of a split's list of true boxes."""
    return f"regions_{split}.csv"


def roles(split: str) -> tuple[str, ...]:
    """Return which row files a split consists of."""
    return ("label",) if split == "train" else ("query", "candidate")


def label(name: str) -> str:
    """Return an identifier as words: `sleeve_length` is "sleeve length"."""
    return name.replace("_", " ")
