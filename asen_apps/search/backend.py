"""The interface to a store of vectors, and what holds for every store: ids, scores, order, trust.

An `AttributeIndex` holds one backend per attribute that was asked for. Everything else (images,
metadata, filters, weights, the order of ties between attributes) is the index's own business and
the same for all backends.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np


class SearchIndexError(ValueError):
    """An index cannot be built, searched, saved or loaded as asked; the message has the remedy."""


# === Ids and k ===


def check_ids(ids: Iterable[int] | np.ndarray) -> np.ndarray:
    """Return `(n,)` int64 ids, distinct and non-negative; SearchIndexError otherwise."""
    try:
        found = ids if isinstance(ids, np.ndarray) else np.array(list(ids))
    except (TypeError, ValueError) as error:  # a single number, or rows of different lengths
        raise SearchIndexError(f"ids must be a row of integers; got {ids!r:.200}") from error
    if found.size == 0:
        return np.zeros(0, np.int64)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise SearchIndexError(f"ids must be a row of integers; got {ids!r:.200}")
    if found.min() < 0 or found.max() > np.iinfo(np.int64).max:
        raise SearchIndexError(f"ids must be from 0 to 2^63-1; got {found.min()}..{found.max()}")
    values, counts = np.unique(found, return_counts=True)
    if len(values) < len(found):
        raise SearchIndexError(f"ids must be distinct; got {values[counts > 1][0]} more than once")
    return found.astype(np.int64)


def check_new_ids(ids: Iterable[int] | np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return `(n,)` int64 ids, all of them new; SearchIndexError otherwise."""
    ids = check_ids(ids)
    taken = np.intersect1d(ids, known)
    if len(taken):
        raise SearchIndexError(f"id {taken[0]} is in the index already; remove it first")
    return ids


def find_ids(ids: Iterable[int] | np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return where ids are in `(N,)` ascending known ones; SearchIndexError if one is not."""
    ids = check_ids(ids)
    places = np.searchsorted(known, ids)
    there = np.zeros(len(ids), bool)
    inside = places < len(known)
    there[inside] = known[places[inside]] == ids[inside]
    if not there.all():
        raise SearchIndexError(f"id {ids[~there][0]} is not in the index; see `ids` for those")
    return places


def check_k(k: int) -> None:
    """Raise SearchIndexError unless k is an integer from 1 up."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise SearchIndexError(f"k, the number of hits, must be an integer from 1 up; got {k!r}")


# === Scores and order ===

_BLOCK = 4096  # rows whose products are in memory at once


def exact_scores(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return inner products in float64, so that equal vectors have equal scores to the last bit.

    A matrix product would not promise that: it may sum the columns in a different order from row
    to row.

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
        k: how many; all if there are fewer.

    Returns:
        `(min(k, n),)` places in `scores`.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= threshold)  # k or more: all that tie at the cut
    else:
        places = np.arange(len(scores))
    return places[np.lexsort((ids[places], -scores[places]))][:k]


# === The interface ===

MORE = 32  # neighbours fetched beyond k, so that ties at the cut rarely need a second search
_TOLERANCE = 1e-3  # how far a length may be from 1


class Backend(ABC):
    """Unit vectors of one attribute under integer ids, searched by inner product.

    Shapes and dtypes, where N vectors of dimension D are stored:

    - ids: `(n,)` int64, non-negative, distinct, in any order;
    - vectors: `(n, D)` float32, of length 1 (within 1e-3);
    - scores: float64 inner products, in [-1, 1] up to rounding.

    Attributes:
        kind: the name under which a saved index finds the class again: "exact", "hnsw", "milvus".
        exact: whether `search` returns the true best, in the true order: by score, computed in
            float64 from the stored vectors, and ids ascending where scores are equal, also at the
            cut at k. An index re-scores and re-sorts what an inexact backend proposes.
        dimension: D.
        ids: `(N,)` int64, ascending.
    """

    kind: str
    exact: bool
    dimension: int
    ids: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Store vectors.

        Raises:
            SearchIndexError: an id is there already, or shapes, lengths or values are invalid;
                nothing is added then.
        """
        ids, vectors = check_new_ids(ids, self.ids), self._unit(vectors, "vectors")
        if len(ids) != len(vectors):
            raise SearchIndexError(f"one id per vector; got {len(ids)} ids, {len(vectors)} vectors")
        self._add(ids, vectors)

    def search(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors of each query.

        Args:
            queries: `(Q, D)` float32, of length 1.
            k: how many, at least 1; may exceed N.
            allowed: `(n,)` int64 ids to choose among; all when None. Ids that are not stored are
                ignored; an empty array allows none.

        Returns:
            `(Q, k)` float64 scores, best first, and `(Q, k)` int64 ids. Where fewer than k are
            there or allowed, the rows end in ids -1 with scores of -inf; never otherwise.

        Raises:
            SearchIndexError: k or a query is invalid.
        """
        check_k(k)
        queries = self._unit(queries, "queries")
        scores = np.full((len(queries), k), -np.inf)
        ids = np.full((len(queries), k), -1, np.int64)
        for row, (candidates, vectors) in enumerate(self._candidates(queries, k, allowed)):
            found = exact_scores(vectors, queries[row])
            best = best_first(found, candidates, k)
            scores[row, : len(best)], ids[row, : len(best)] = found[best], candidates[best]
        return scores, ids

    @abstractmethod
    def remove(self, ids: np.ndarray) -> None:
        """Forget vectors.

        Raises:
            SearchIndexError: an id is not there, or the store refuses; nothing is removed then.
        """

    @abstractmethod
    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """Return `(n, D)` float32, as stored (float16 widened), in the order of the ids.

        Raises:
            SearchIndexError: an id is not there.
        """

    @abstractmethod
    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Write what `load` needs.

        Args:
            folder: an existing folder that becomes the saved index once it is complete; the index
                computes checksums of the files afterwards.
            stem: what the names of this backend's files must begin with, such as "000"; they lie
                directly in the folder. A backend that lives elsewhere may write no file.

        Returns:
            JSON values, which `load` gets back; never secrets.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        """Open what `save` wrote. The checksums of the files have been verified by then.

        Args:
            folder: as for `save`.
            stem: as for `save`.
            settings: what `save` returned, read from a file: the values must be checked.
            mapped: leave vectors on disk, and read them as they are needed, where possible.

        Raises:
            SearchIndexError: the content does not fit the settings.
        """

    @abstractmethod
    def drop(self) -> None:
        """Remove the vectors for good, wherever they are, except from saved files.

        Raises:
            SearchIndexError: the store refuses.
        """

    @abstractmethod
    def _add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Store vectors that have been checked."""

    @abstractmethod
    def _candidates(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give, for each query, ids and vectors that hold the k best allowed, and maybe more."""

    def _unit(self, vectors: np.ndarray, what: str) -> np.ndarray:
        """Return `(n, D)` float32, contiguous, of length 1; SearchIndexError otherwise."""
        found = np.asarray(vectors)
        if found.ndim != 2 or found.shape[1] != self.dimension:
            raise SearchIndexError(
                f"{what} must have shape (n, {self.dimension}); got {found.shape}"
            )
        found = np.ascontiguousarray(found, np.float32)
        lengths = np.linalg.norm(found, axis=1)
        fit = np.abs(lengths - 1) <= _TOLERANCE  # False for NaN
        if not fit.all():
            row = int(np.flatnonzero(~fit)[0])
            raise SearchIndexError(f"{what} must have length 1; row {row} has {lengths[row]:.4g}")
        return found

    @property
    def _slack(self) -> float:
        """Twice the rounding error of an inner product of unit vectors in float32."""
        return 2 * self.dimension * 2.0**-23


# === Addresses of stores outside this process ===

TRUSTED = "ASEN_TF_MILVUS"  # the environment variable that names a trusted address


def is_address(backend: str) -> bool:
    """Return whether a backend's name is the address of a Milvus server, or a Milvus Lite file."""
    return "://" in backend or backend.endswith(".db")


def absolute(address: str) -> str:
    """Return an address that does not depend on the working directory."""
    return address if "://" in address else str(Path(address).resolve())


def check_trusted(address: str, folder: Path) -> None:
    """Check that an address which a saved index names may be opened.

    An index may come from anywhere, and an address in it could lead anywhere. A Milvus Lite
    database is trusted when it lies in the directory that holds the saved index, or below; any
    other address only when the environment variable `ASEN_TF_MILVUS` is that address.

    Args:
        address: what the saved index says.
        folder: of the version that is read, inside the saved index.

    Raises:
        SearchIndexError: it is not trusted.
    """
    home = folder.resolve().parent.parent  # of the saved index, whose versions are folders
    if address == os.environ.get(TRUSTED):
        return
    if "://" in address or not Path(address).resolve().is_relative_to(home):
        raise SearchIndexError(
            f"{folder}: it names a Milvus at {address!r} for its vectors, but a saved file may not "
            f"choose an address; if you trust it, set the environment variable {TRUSTED} to it"
        )
