"""What an examination finds: similarities, each beside what is usual in the catalogue.

How unusual a similarity is: the share of a reference distribution that reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from asen_apps.evidence.catalogue import Catalogue, Design, EvidenceError

# Embeddings are float32: beyond this, the order of additions decides, and equal files would differ.
DECIMALS = 6


@dataclass(frozen=True)
class Tail:
    """How many of a number of reference similarities are at least as large as one observed.

    Attributes:
        at_least: reference similarities that reach the observed one.
        of: all reference similarities.
    """

    at_least: int
    of: int

    @property
    def probability(self) -> float:
        """The empirical tail probability, `(1 + at_least) / (1 + of)`.

        The observed similarity counts as one of the references: a finite sample never proves that
        something is impossible, and the smallest value is `1 / (1 + of)`, not zero (Davison and
        Hinkley, Bootstrap Methods and their Application, 1997, section 4.2). With 2 of 99, it is
        3 / 100.
        """
        return (1 + self.at_least) / (1 + self.of)


def tail(observed: float, reference: ArrayLike) -> Tail:
    """Count the reference similarities that are at least as large as the observed one.

    Args:
        observed: a similarity.
        reference: `(n,)` similarities, n at least 1.

    Raises:
        EvidenceError: no reference, or something that is no number.
    """
    values = np.asarray(reference, np.float64)
    if values.ndim != 1 or not len(values):
        raise EvidenceError(
            f"a tail probability needs reference similarities, shape (n,); got {values.shape}"
        )
    if not np.isfinite(values).all() or not np.isfinite(observed):
        raise EvidenceError(f"similarities must be finite; got {observed} against the reference")
    return Tail(int((values >= observed).sum()), len(values))


def similarities(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the row-wise dot products of unit vectors, rounded so that equal files are equal.

    Args:
        left: `(n, D)` or `(D,)` float.
        right: `(n, D)` float.

    Returns:
        `(n,)` float64 in [-1, 1], with `DECIMALS` decimals.
    """
    products = (np.asarray(left, np.float64) * np.asarray(right, np.float64)).sum(axis=-1)
    return rounded(products)


def rounded(products: np.ndarray) -> np.ndarray:
    """Return similarities with `DECIMALS` decimals, inside [-1, 1], and without negative zeros."""
    return np.clip(np.round(products, DECIMALS), -1.0, 1.0) + 0.0


TOGETHER = "together"  # the view of all named attributes, beside their own


@dataclass(frozen=True)
class Similarity:
    """A similarity of the design and an item, and how unusual it is.

    Attributes:
        value: in [-1, 1]: a cosine, or the weighted mean of several.
        random: how many random pairs of the catalogue are at least as similar.
        nearest: how many items of the catalogue have a nearest neighbour at least as similar.
    """

    value: float
    random: Tail
    nearest: Tail


@dataclass(frozen=True)
class Found:
    """An item of the catalogue that is near to the design.

    Attributes:
        rank: 1 for the nearest.
        name: of its file, relative to the catalogue's folder.
        path: of its file.
        sha256: of its file's content.
        same_file: whether that is the design's own content.
        similarities: by the name of the view, the view in which it was found first.
    """

    rank: int
    name: str
    path: Path
    sha256: str
    same_file: bool
    similarities: Mapping[str, Similarity]


@dataclass(frozen=True)
class View:
    """The catalogue as one attribute sees it, or all named ones together.

    Attributes:
        name: the attribute's, or `TOGETHER`.
        attributes: those that it takes into account.
        random: similarities of random pairs of the catalogue.
        nearest: similarities of items of the catalogue to their nearest neighbours.
        found: the items nearest to the design, by rank.
    """

    name: str
    attributes: tuple[str, ...]
    random: np.ndarray
    nearest: np.ndarray
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Examination:
    """A design compared with a catalogue.

    Attributes:
        design: the design image.
        catalogue: all of it.
        compared: items of the catalogue that were compared.
        same_files: names of the items with the design's own content.
        weights: of each attribute in the view of all together; their sum is 1.
        views: of each attribute, then of all together where there are several.
        tells_attributes_apart: False if the model embeds an image alike for all of them.
        settings: what else decided the numbers.
    """

    design: Design
    catalogue: Catalogue
    compared: int
    same_files: tuple[str, ...]
    weights: Mapping[str, float]
    views: tuple[View, ...]
    tells_attributes_apart: bool
    settings: Mapping[str, Any]
