"""What goes wrong with a search index, said in one kind of error.

What every backend asks of ids, vectors, queries and stored settings.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


class RetrievalError(ValueError):
    """An index cannot be built, searched, saved or loaded as asked; the message has the remedy."""


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: "did you mean 'brand'?", or the names there are."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"


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


_BLOCK = 4096  # rows whose products are in memory at once


def exact_scores(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return inner products in float64, so that equal vectors have equal scores to the last bit.

    A matrix product would not promise that: it may sum columns in another order from row to row.

    Args:
        vectors: `(n, D)` float32.
        query: `(D,)` float32.

    Returns:
        `(n,)` float64.
    """
    scores = np.empty(len(vectors))
    for first in range(0, len(vectors), _BLOCK):
        block = slice(first, first + _BLOCK)
        # Products of float32 are exact in float64; each row is then summed in one fixed order.
        products = np.multiply(vectors[block], query, dtype=np.float64)
        scores[block] = np.ascontiguousarray(products).sum(axis=1)
    return scores


def best_first(scores: np.ndarray, ids: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the k highest scores, the lower id first where scores are equal.

    Args:
        scores: `(n,)` floats.
        ids: `(n,)` distinct integers.
        k: how many; all where there are fewer.

    Returns:
        `(min(k, n),)` places in `scores`.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= threshold)  # k or more: all that tie at the cut
    else:
        places = np.arange(len(scores))
    return places[np.lexsort((ids[places], -scores[places]))][:k]


TRUSTED = "ASEN_TF_MILVUS"  # the environment variable that names an address to be trusted


def is_address(backend: str) -> bool:
    """Return whether a backend's name is the address of a Milvus server, or a Milvus Lite file."""
    return "://" in backend or backend.endswith(".db")


def absolute(address: str) -> str:
    """Return an address that does not depend on the working directory."""
    return address if "://" in address else str(Path(address).resolve())


def check_trusted(address: str, folder: Path) -> None:
    """Check that an address which a saved index names may be opened.

    An index is a file from somewhere, and an address in it could lead anywhere. A Milvus Lite
    database is trusted when it lies in the directory that holds the saved index, or below; any
    other address only when the environment variable `ASEN_TF_MILVUS` is that address.

    Args:
        address: what the saved index says.
        folder: of the version that is read, inside the saved index.

    Raises:
        RetrievalError: it is not trusted.
    """
    home = folder.resolve().parent.parent  # of the saved index, whose versions are folders
    if address == os.environ.get(TRUSTED):
        return
    if "://" in address or not Path(address).resolve().is_relative_to(home):
        raise RetrievalError(
            f"{folder}: the vectors are said to be in Milvus at {address!r}, which a file alone "
            f"may not decide; if you know the address, set the environment variable {TRUSTED} to it"
        )
