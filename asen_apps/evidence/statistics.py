"""How unusual a similarity is: counted among random pairs and nearest neighbours of a catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from asen_apps.evidence.catalogue import EvidenceError

# Embeddings are float32: beyond this, the order of additions decides, and equal files would differ.
DECIMALS = 6
_ROWS = 512  # images, or pairs, whose similarities are computed together
_COLUMNS = 2048  # images that these are compared with at a time


class Rows(Protocol):
    """An array of vectors, or what fetches those that are asked for: `(N, D)` float, unit length.

    Nothing here has all of them in memory at once: the functions take `_ROWS` or `_COLUMNS` at a
    time, in float64. For 50,000 vectors of 1,024 that is below 50 MB, instead of 1 GB.
    """

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return `(n, D)`."""


@dataclass(frozen=True)
class EmpiricalP:
    """How many reference similarities are at least as large as the observed one.

    Attributes:
        at_least: reference similarities that reach the observed one.
        of: all reference similarities.
    """

    at_least: int
    of: int

    @property
    def value(self) -> float:
        """The empirical tail probability, `(1 + at_least) / (1 + of)`.

        The observed similarity counts as one of the references: a finite sample never proves that
        something is impossible, and the smallest value is `1 / (1 + of)`, not zero (Davison and
        Hinkley, Bootstrap Methods and their Application, 1997, section 4.2). With 2 of 99, it is
        3 / 100.
        """
        return (1 + self.at_least) / (1 + self.of)


def empirical_p(observed: float, reference: ArrayLike) -> EmpiricalP:
    """Count the reference similarities that are at least as large as the observed one.

    Args:
        observed: a similarity.
        reference: `(n,)` similarities, n at least 1.

    Raises:
        EvidenceError: there is no reference, or a similarity is not finite.
    """
    values = np.asarray(reference, np.float64)
    finite = np.isfinite(values).all() and np.isfinite(observed)
    if values.ndim != 1 or not len(values) or not finite:
        raise EvidenceError(
            "an empirical p needs finite similarities, one observed and references of shape (n,); "
            f"got {observed} and references of shape {values.shape}"
        )
    return EmpiricalP(int((values >= observed).sum()), len(values))


def similarities(left: np.ndarray, right: Rows) -> np.ndarray:
    """Return the row-wise dot products of unit vectors, rounded so that equal files are equal.

    Args:
        left: `(n, D)` or `(D,)` float.
        right: `(n, D)` float.

    Returns:
        `(n,)` float64 in [-1, 1], with `DECIMALS` decimals.
    """
    products = np.empty(len(right))
    for start in range(0, len(right), _ROWS):
        some = slice(start, start + _ROWS)
        block = np.asarray(left if np.ndim(left) == 1 else left[some], np.float64)
        products[some] = (block * np.asarray(right[some], np.float64)).sum(axis=-1)
    return _rounded(products)


def _rounded(products: np.ndarray) -> np.ndarray:
    """Return similarities with `DECIMALS` decimals, inside [-1, 1], and without negative zeros."""
    return np.clip(np.round(products, DECIMALS), -1.0, 1.0) + 0.0


def random_pairs(images: int, number: int, *, seed: int) -> np.ndarray:
    """Draw distinct unordered pairs of distinct images, each pair with the same chance.

    Args:
        images: images of the catalogue, at least 2.
        number: pairs wanted; if the catalogue has no more, all of them are taken, and the seed
            does not matter.
        seed: the same seed gives the same pairs.

    Returns:
        `(n, 2)` int64 rows, the larger one first, in increasing order.

    Raises:
        EvidenceError: fewer than 2 images, or fewer than 1 pair wanted.
    """
    _check_enough(images, number, "pairs")
    possible = images * (images - 1) // 2
    if number >= possible:
        codes = np.arange(possible)
    else:
        drawn = np.random.default_rng(seed).choice(possible, number, replace=False, shuffle=False)
        codes = np.sort(drawn)
    # Pair (i, j), i > j, has the code i (i - 1) / 2 + j: undo that, and correct for rounding.
    larger = ((1.0 + np.sqrt(1.0 + 8.0 * codes)) / 2.0).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > codes
    larger += larger * (larger + 1) // 2 <= codes
    return np.stack([larger, codes - larger * (larger - 1) // 2], axis=1)


def pair_similarities(vectors: Rows, pairs: np.ndarray) -> np.ndarray:
    """Return the similarity of each pair of rows.

    Args:
        vectors: `(N, D)`, of unit length.
        pairs: `(n, 2)` rows.

    Returns:
        `(n,)` float64.
    """
    parts = [
        similarities(vectors[some[:, 0]], vectors[some[:, 1]])
        for some in np.array_split(pairs, len(pairs) // _ROWS + 1)
    ]
    return np.concatenate(parts)


def nearest_similarities(vectors: Rows, number: int, *, seed: int) -> np.ndarray:
    """Return the similarity of images to their nearest neighbours in the rest of the catalogue.

    Args:
        vectors: `(N, D)`, of unit length, N at least 2.
        number: images whose neighbours are sought; all of them if the catalogue has no more.
        seed: of the choice among more.

    Returns:
        `(min(number, N),)` float64, in the order of the rows.

    Raises:
        EvidenceError: fewer than 2 images, or `number` below 1.
    """
    _check_enough(len(vectors), number, "neighbours")
    queries = np.arange(len(vectors))
    if number < len(vectors):
        queries = np.sort(np.random.default_rng(seed).choice(len(vectors), number, replace=False))
    best = []
    for rows in np.array_split(queries, len(queries) // _ROWS + 1):
        asked, nearest = np.asarray(vectors[rows], np.float64), np.full(len(rows), -np.inf)
        for start in range(0, len(vectors), _COLUMNS):
            others = np.asarray(vectors[start : start + _COLUMNS], np.float64)
            products = asked @ others.T
            itself = (rows >= start) & (rows < start + len(others))
            products[itself, rows[itself] - start] = -np.inf
            nearest = np.maximum(nearest, products.max(axis=1))
        best.append(nearest)
    return _rounded(np.concatenate(best))


def _check_enough(images: int, number: int, what: str) -> None:
    if images < 2 or number < 1:
        raise EvidenceError(
            f"a catalogue must hold 2 images or more, and {what} must be 1 or more; got {images} "
            f"images and {number} {what}"
        )
