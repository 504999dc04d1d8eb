"""What every backend asks of ids, vectors, queries and stored settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from asen_tf.retrieval.errors import RetrievalError

_OFF = 1e-3  # how far a length may be from 1


def check_ids(ids: Iterable[int] | np.ndarray) -> np.ndarray:
    """Return `(n,)` int64 ids, distinct and non-negative; RetrievalError otherwise."""
    try:
        found = ids if isinstance(ids, np.ndarray) else np.array(list(ids))
    except (TypeError, ValueError) as error:  # a number alone, or rows of several lengths
        raise RetrievalError(f"ids must be a row of integers; got {ids!r:.200}") from error
    if found.size == 0:
        return np.zeros(0, np.int64)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise RetrievalError(f"ids must be a row of integers; got {ids!r:.200}")
    if found.min() < 0 or found.max() > np.iinfo(np.int64).max:
        raise RetrievalError(f"ids must be from 0 to 2^63-1; got {found.min()}..{found.max()}")
    values, counts = np.unique(found, return_counts=True)
    if len(values) < len(found):
        raise RetrievalError(f"ids must be distinct; got {values[counts > 1][0]} more than once")
    return found.astype(np.int64)


def check_unit(vectors: np.ndarray, dimension: int, what: str) -> np.ndarray:
    """Return `(n, D)` float32, contiguous, of length 1; RetrievalError otherwise."""
    found = np.asarray(vectors)
    if found.ndim != 2 or found.shape[1] != dimension:
        raise RetrievalError(f"{what} must have shape (n, {dimension}); got {found.shape}")
    found = np.ascontiguousarray(found, np.float32)
    lengths = np.linalg.norm(found, axis=1)
    fit = np.abs(lengths - 1) <= _OFF  # not true for NaN
    if not fit.all():
        row = int(np.flatnonzero(~fit)[0])
        raise RetrievalError(f"{what} must have length 1; row {row} has {lengths[row]:.4g}")
    return found


def check_new(
    ids: np.ndarray, vectors: np.ndarray, dimension: int, *, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and vectors that can be added to those taken; RetrievalError otherwise."""
    ids, vectors = check_ids(ids), check_unit(vectors, dimension, "vectors")
    if len(ids) != len(vectors):
        raise RetrievalError(f"one id per vector; got {len(ids)} ids, {len(vectors)} vectors")
    both = np.intersect1d(ids, taken)
    if len(both):
        raise RetrievalError(f"id {both[0]} is in the index already; remove it first")
    return ids, vectors


def check_queries(queries: np.ndarray, k: int, dimension: int) -> np.ndarray:
    """Return `(Q, D)` float32 queries for a search of k; RetrievalError otherwise."""
    check_k(k)
    return check_unit(queries, dimension, "queries")


def check_k(k: int) -> None:
    """Raise RetrievalError unless k is an integer from 1 up."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise RetrievalError(f"k, the number of hits, must be an integer from 1 up; got {k!r}")


def check_settings(settings: dict[str, Any], folder: Path) -> tuple[str, int, str, int]:
    """Return kind, dimension, dtype and places of a stored FAISS backend, or raise."""
    kind, dtype = settings.get("kind"), settings.get("dtype")
    sizes = [settings.get("dimension"), settings.get("places")]
    counts = all(type(size) is int and 0 <= size < 2**31 for size in sizes)
    if not counts or sizes[0] < 1 or not isinstance(kind, str) or not isinstance(dtype, str):
        raise RetrievalError(f"{folder}: unusable settings {settings!r:.200}; build it again")
    return kind, sizes[0], dtype, sizes[1]


def read_ids(path: Path, count: int) -> np.ndarray:
    """Return `(count,)` int64 from a .npy file: distinct ids, and -1 where one was removed."""
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RetrievalError(f"{path}: unreadable ids ({error}); build the index again") from error
    if not isinstance(ids, np.ndarray) or ids.shape != (count,) or ids.dtype != np.int64:
        raise RetrievalError(f"{path}: must hold {count} int64 ids; build the index again")
    check_ids(ids[ids != -1])
    return ids
