"""Vectors in this process, by FAISS: exact inner product, or HNSW for large catalogues."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.faiss_indexes import (
    new_index,
    one_thread,
    owned,
    read_index,
    search_parameters,
    write_index,
)
from asen_tf.retrieval.scoring import best_first, exact_scores
from asen_tf.retrieval.vector_checks import (
    check_ids,
    check_new,
    check_queries,
    check_settings,
    read_ids,
)

# Up to so many allowed ids, a graph is not asked: their vectors are compared one by one. That is
# quick, and no neighbour is missed; a walk through the graph would pass by others mostly.
DIRECT = 4096
# A graph cannot forget: removed vectors stay until they are this share, then it is built anew.
DEAD_SHARE = 0.2
_MORE = 32  # neighbours fetched beyond k, so that ties at the cut rarely ask for a second search


class FaissBackend:
    """See `asen_tf.retrieval.backends.Backend` for the methods.

    With kind "exact", FAISS proposes in float32 and scores are computed again in float64; FAISS
    is asked for more until its rounding cannot have hidden a better vector. With kind "hnsw" the
    proposals come from the graph, some of the best may be missing, but never while fewer than k
    were found; scores and order of what is found are exact.

    With dtype "float16" vectors take half the memory. A stored vector is then off by at most
    2^-11 + 2^-25 sqrt(D) in length, and so a score by the same: 0.0005 for D up to 100,000.

    Building a graph runs on one thread: the same vectors give the same graph.

    Attributes:
        kind: "exact" or "hnsw".
        exact: whether the kind is "exact".
        dimension: D.
        dtype: "float32" or "float16".
    """

    def __init__(self, dimension: int, *, kind: str = "exact", dtype: str = "float32") -> None:
        """Start without vectors; see the class for the arguments."""
        self.kind, self.exact = kind, kind == "exact"
        self.dimension, self.dtype = dimension, dtype
        self._index = new_index(kind, dimension, dtype)
        self._ids = np.zeros(0, np.int64)  # of each place in the FAISS index; -1: removed
        self._mapped = False
        self._remember_places()

    def __len__(self) -> int:
        """Return N."""
        return len(self._sorted)

    @property
    def ids(self) -> np.ndarray:
        """See `Backend.ids`."""
        return self._sorted

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """See `Backend.add`."""
        ids, vectors = check_new(ids, vectors, self.dimension, taken=self._sorted)
        if self._mapped:
            self._index, self._mapped = owned(self._index), False
        with one_thread():
            self._index.add(vectors)
        self._ids = np.concatenate([self._ids, ids])
        self._remember_places()

    def remove(self, ids: np.ndarray) -> None:
        """See `Backend.remove`."""
        places = self._places(ids)
        left = self._ids.copy()
        left[places] = -1
        alive = np.flatnonzero(left >= 0)
        if self.exact or len(left) - len(alive) > DEAD_SHARE * len(left):
            vectors, left = self._decode(alive), left[alive]
            self._index, self._mapped = new_index(self.kind, self.dimension, self.dtype), False
            with one_thread():
                self._index.add(vectors)
        self._ids = left
        self._remember_places()

    def search(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Backend.search`."""
        queries = check_queries(queries, k, self.dimension)
        scores = np.full((len(queries), k), -np.inf)
        ids = np.full((len(queries), k), -1, np.int64)
        mask = self._ids >= 0
        if allowed is not None:
            mask &= np.isin(self._ids, allowed)
        for row, places in enumerate(self._candidates(queries, k, mask)):
            found = exact_scores(self._decode(places), queries[row])
            best = best_first(found, self._ids[places], k)
            scores[row, : len(best)] = found[best]
            ids[row, : len(best)] = self._ids[places[best]]
        return scores, ids

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """See `Backend.vectors`."""
        return self._decode(self._places(ids))

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """See `Backend.save`."""
        write_index(self._index, folder / f"{stem}.faiss")
        np.save(folder / f"{stem}.ids.npy", self._ids, allow_pickle=False)
        return {
            "kind": self.kind,
            "dimension": self.dimension,
            "dtype": self.dtype,
            "places": len(self._ids),
        }

    @classmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        """See `Backend.load`."""
        kind, dimension, dtype, count = check_settings(settings, folder)
        backend = cls(dimension, kind=kind, dtype=dtype)
        backend._ids = read_ids(folder / f"{stem}.ids.npy", count)
        path = folder / f"{stem}.faiss"
        backend._index = read_index(
            path, kind=kind, dimension=dimension, dtype=dtype, count=count, mapped=mapped
        )
        backend._mapped = mapped
        backend._remember_places()
        return backend

    def drop(self) -> None:
        """See `Backend.drop`."""
        self.remove(self.ids)

    def _remember_places(self) -> None:
        alive = np.flatnonzero(self._ids >= 0)
        order = np.argsort(self._ids[alive])
        self._sorted, self._place = self._ids[alive][order], alive[order]

    def _places(self, ids: np.ndarray) -> np.ndarray:
        """Return the places of ids in the FAISS index."""
        ids = check_ids(ids)
        at = np.searchsorted(self._sorted, ids)
        known = self._sorted[np.minimum(at, len(self) - 1)] == ids if len(self) else ids < 0
        if not known.all():
            raise RetrievalError(f"id {ids[~known][0]} is not in the index; `ids` lists those")
        return self._place[at]

    def _decode(self, places: np.ndarray) -> np.ndarray:
        """Return `(n, D)` float32."""
        if not len(places):
            return np.zeros((0, self.dimension), np.float32)
        storage = faiss.downcast_index(self._index.storage) if not self.exact else self._index
        return storage.reconstruct_batch(places)

    def _candidates(self, queries: np.ndarray, k: int, mask: np.ndarray) -> list[np.ndarray]:
        """Return, for each query, places that hold the k best of the mask, and maybe more."""
        everything = np.flatnonzero(mask)
        found: list[np.ndarray | None] = [None] * len(queries)
        open_rows, fetch = np.arange(len(queries)), k + _MORE
        slack = 2 * self.dimension * 2.0**-23  # twice what float32 sums of D products are off by
        allowed = None if mask.all() else mask
        while len(everything) > (fetch if self.exact else max(DIRECT, fetch)) and len(open_rows):
            parameters = search_parameters(self.kind, fetch, allowed)
            scores, places = self._index.search(queries[open_rows], fetch, params=parameters)
            if self.exact:  # what was not fetched scores at most as the last, but for rounding
                done = scores[:, -1] < scores[:, k - 1] - slack
            else:
                done = places[:, k - 1] >= 0
            for row in np.flatnonzero(done):
                found[open_rows[row]] = places[row][places[row] >= 0]
            open_rows, fetch = open_rows[~done], 4 * fetch
        for row in open_rows:
            found[row] = self._promising(everything, queries[row], k, slack)
        return found

    def _promising(self, places: np.ndarray, query: np.ndarray, k: int, slack: float) -> np.ndarray:
        """Return those of the places that can be among the k best, by scores in float32."""
        if k >= len(places):
            return places
        scores = np.zeros(len(places), np.float32)
        for first in range(0, len(places), DIRECT):
            block = slice(first, first + DIRECT)
            scores[block] = self._decode(places[block]) @ query
        return places[scores >= np.partition(scores, -k)[-k] - slack]
