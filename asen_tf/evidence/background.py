"""What similarities are usual in a catalogue: of random pairs, and of nearest neighbours."""

from __future__ import annotations

import numpy as np

from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.tails import rounded, similarities

_ROWS = 512  # images, or pairs, whose similarities are computed together


def random_pairs(images: int, number: int, *, seed: int) -> np.ndarray:
    """Draw distinct unordered pairs of distinct images, each pair with the same chance.

    Args:
        images: images of the catalogue, at least 2.
        number: pairs wanted; where the catalogue has no more, all of them are taken, and nothing
            is left to chance.
        seed: the same seed, the same pairs.

    Returns:
        `(n, 2)` int64 rows, the larger one first, in increasing order.

    Raises:
        EvidenceError: fewer than 2 images, or no pair wanted.
    """
    if images < 2 or number < 1:
        raise EvidenceError(
            "random pairs need a catalogue of 2 images or more, and 1 pair or more; got "
            f"{images} images and {number} pairs"
        )
    possible = images * (images - 1) // 2
    if number >= possible:
        codes = np.arange(possible)
    else:
        drawn = np.random.default_rng(seed).choice(possible, number, replace=False, shuffle=False)
        codes = np.sort(drawn)
    # Pair (i, j), i > j, has the code i (i - 1) / 2 + j: undo that, and what rounding did to it.
    larger = ((1.0 + np.sqrt(1.0 + 8.0 * codes)) / 2.0).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > codes
    larger += larger * (larger + 1) // 2 <= codes
    return np.stack([larger, codes - larger * (larger - 1) // 2], axis=1)


def pair_similarities(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
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


def nearest_similarities(vectors: np.ndarray, number: int, *, seed: int) -> np.ndarray:
    """Return the similarity of images to their nearest neighbours in the rest of the catalogue.

    Args:
        vectors: `(N, D)`, of unit length, N at least 2.
        number: images that are asked; where the catalogue has no more, all of them are.
        seed: of the choice among more.

    Returns:
        `(min(number, N),)` float64, in the order of the rows.

    Raises:
        EvidenceError: fewer than 2 images, or none to be asked.
    """
    if len(vectors) < 2 or number < 1:
        raise EvidenceError(
            "nearest neighbours need a catalogue of 2 images or more, and 1 image that is asked; "
            f"got {len(vectors)} images, {number} asked"
        )
    asked = np.arange(len(vectors))
    if number < len(vectors):
        asked = np.sort(np.random.default_rng(seed).choice(len(vectors), number, replace=False))
    vectors = np.asarray(vectors, np.float64)
    best = []
    for rows in np.array_split(asked, len(asked) // _ROWS + 1):
        products = vectors[rows] @ vectors.T
        products[np.arange(len(rows)), rows] = -np.inf  # the image itself
        best.append(products.max(axis=1))
    return rounded(np.concatenate(best))
