"""How unusual a similarity is: the share of a reference distribution that reaches it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from asen_tf.evidence.errors import EvidenceError

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
