"""Embedders whose vectors are known, and the search that they make easy to check: a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np


class KnownEmbedder:
    """Gives image `7.png` row 7 of a table; it opens no file, so that thousands cost nothing."""

    def __init__(self, **vectors: np.ndarray) -> None:
        """Take attribute -> `(N, D)` float32, of length 1."""
        self.table = vectors
        self.attribute_names = tuple(vectors)
        self.model = SimpleNamespace(
            embedding_names=("global",),
            get_config=lambda: {"attributes": list(vectors)},
            weights=(),
        )

    def batches(
        self,
        paths: Sequence[Path],
        names: Sequence[str],
        embedding: str | None = None,
        skip: Callable[[Exception], None] | None = None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        for first in range(0, len(paths), 8):  # as `Embedder` does
            places = list(range(first, min(first + 8, len(paths))))
            yield places, self.embed_all([paths[place] for place in places], attributes=names)

    def embed_all(
        self,
        paths: Sequence[Path],
        *,
        attributes: Sequence[str],
        embedding: str | None = None,
        progress: bool = False,
        skip: Callable[[Exception], None] | None = None,
    ) -> np.ndarray:
        rows = [int(Path(path).stem) for path in paths]
        return np.stack([self.table[name][rows] for name in attributes], axis=1)


def paths(count: int) -> list[Path]:
    return [Path(f"/pictures/{number}.png") for number in range(count)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return float32 vectors of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_vectors(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def tied_vectors(count: int, dimension: int = 12, seed: int = 0) -> np.ndarray:
    """Return vectors of four halves, plus or minus: length 1, and nine different scores at most."""
    rng = np.random.default_rng(seed)
    vectors = np.zeros((count, dimension), np.float32)
    for row in vectors:
        row[rng.choice(dimension, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    return vectors


def exact_score(vector: np.ndarray, query: np.ndarray) -> float:
    """Return the inner product, rounded once."""
    return math.fsum(float(a) * float(b) for a, b in zip(vector, query, strict=True))


def brute_force(
    scores: Sequence[float], ids: Sequence[int], k: int, allowed: set[int] | None = None
) -> list[int]:
    """Return the ids of the k best, the lower id first among equals."""
    pairs = zip(scores, ids, strict=True)
    ranked = sorted((-score, item) for score, item in pairs if allowed is None or item in allowed)
    return [int(item) for _, item in ranked[:k]]
