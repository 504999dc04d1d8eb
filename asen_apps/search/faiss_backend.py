"""Vectors in this process, by FAISS: exact inner product, or HNSW for large catalogues.

The FAISS indexes that a backend is made of: exact or HNSW, in float32 or float16.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from asen_apps.search.errors import (
    RetrievalError,
    best_first,
    check_ids,
    check_new,
    check_queries,
    check_settings,
    exact_scores,
    read_ids,
)

KINDS = ("exact", "hnsw")
DTYPES = ("float32", "float16")

# HNSW (Malkov and Yashunin, IEEE TPAMI 2020, arXiv 1603.09320). Neighbours per node: 2M on the
# lowest layer, so M * 8 bytes and a little more per item. 16 is enough at these dimensions.
HNSW_NEIGHBOURS = 16
# Candidates kept while a node is linked. More: a better graph, and a longer build.
HNSW_BUILD_CANDIDATES = 80
# Candidates kept while a query descends (efSearch), at least; searches take twice k if that is
# more. benchmarks/search_index.py says what recall and speed follow.
HNSW_SEARCH_CANDIDATES = 128


def new_index(kind: str, dimension: int, dtype: str) -> faiss.Index:
    """Return an empty index by inner product, ready to take vectors.

    Raises:
        RetrievalError: for another kind or dtype than those of `KINDS` and `DTYPES`.
    """
    if kind not in KINDS or dtype not in DTYPES:
        raise RetrievalError(
            f"an index is one of {', '.join(KINDS)} with vectors of {' or '.join(DTYPES)}; "
            f"got {kind!r}, {dtype!r}"
        )
    metric, half = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_fp16
    if kind == "exact":
        if dtype == "float32":
            return faiss.IndexFlatIP(dimension)
        return faiss.IndexScalarQuantizer(dimension, half, metric)
    if dtype == "float32":
        index = faiss.IndexHNSWFlat(dimension, HNSW_NEIGHBOURS, metric)
    else:
        index = faiss.IndexHNSWSQ(dimension, half, HNSW_NEIGHBOURS, metric)
        index.train(np.zeros((1, dimension), np.float32))  # nothing is learned; FAISS insists
    index.hnsw.efConstruction = HNSW_BUILD_CANDIDATES
    index.hnsw.efSearch = HNSW_SEARCH_CANDIDATES
    return index


def search_parameters(kind: str, fetch: int, allowed: np.ndarray | None) -> faiss.SearchParameters:
    """Return FAISS' parameters of a search that looks for `fetch` neighbours.

    Args:
        kind: of the index.
        fetch: how many neighbours.
        allowed: `(N,)` bool, the places to choose among; all when None.
    """
    chosen = {}
    if allowed is not None:
        bits = np.packbits(allowed, bitorder="little")
        chosen["sel"] = faiss.IDSelectorBitmap(bits)
    if kind == "exact":
        return faiss.SearchParameters(**chosen)
    return faiss.SearchParametersHNSW(efSearch=max(HNSW_SEARCH_CANDIDATES, 2 * fetch), **chosen)


def write_index(index: faiss.Index, path: Path) -> None:
    """Write an index to a file; RetrievalError, where the disk is full for instance."""
    # FAISS' own writer does not notice what fails when a file is closed; Python's does.
    try:
        with open(path, "wb") as stream:
            faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write))
    except (OSError, RuntimeError) as error:
        raise RetrievalError(f"{path}: cannot be written ({error}); is the disk full?") from error


def read_index(
    path: Path, *, kind: str, dimension: int, dtype: str, count: int, mapped: bool
) -> faiss.Index:
    """Read an index whose checksum was found right, and check that it is what it should be.

    FAISS trusts what it reads: hand it no file from elsewhere.

    Args:
        path: the file.
        kind: what it must be, as for `new_index`.
        dimension: what its vectors must have.
        dtype: as for `new_index`.
        count: how many vectors there must be.
        mapped: leave vectors and graph on disk until they are used. Such an index cannot be added
            to; `owned` makes one that can.

    Raises:
        RetrievalError: it is something else.
    """
    expected = new_index(kind, dimension, dtype)
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except (RuntimeError, MemoryError) as error:
        raise RetrievalError(f"{path}: FAISS cannot read it ({error}); build it again") from error
    found, wanted = (_shape(each) for each in (index, expected))
    if found != wanted or index.ntotal != count:
        raise RetrievalError(
            f"{path}: the manifest promises {count} vectors in {wanted}; the file holds "
            f"{index.ntotal} in {found}; build the index again"
        )
    return index


@contextmanager
def one_thread() -> Iterator[None]:
    """Have FAISS work on one thread: threads would link a graph in another order every time."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def owned(index: faiss.Index) -> faiss.Index:
    """Return a copy in memory, which may be added to; FAISS aborts on adding to a mapped one."""
    return faiss.deserialize_index(faiss.serialize_index(index))


def _shape(index: faiss.Index) -> tuple[str, int, int, int]:
    """Return class, dimension, metric and bytes per vector."""
    storage = faiss.downcast_index(index.storage) if hasattr(index, "hnsw") else index
    return type(index).__name__, index.d, index.metric_type, storage.code_size


# Up to so many allowed ids, a graph is not asked: their vectors are compared one by one. That is
# quick, and no neighbour is missed; a walk through the graph would pass by others mostly.
DIRECT = 4096
# A graph cannot forget: removed vectors stay until they are this share, then it is built anew.
DEAD_SHARE = 0.2
_MORE = 32  # neighbours fetched beyond k, so that ties at the cut rarely ask for a second search


class FaissBackend:
    """See `asen_apps.search.backends.Backend` for the methods.

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
