"""Vectors in this process, by FAISS: exact inner product, or HNSW for large catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from asen_apps.search.backend import MORE, Backend, SearchIndexError, check_ids, find_ids

KINDS = ("exact", "hnsw")
DTYPES = ("float32", "float16")

# HNSW (Malkov and Yashunin, IEEE TPAMI 2020, arXiv 1603.09320). Neighbours per node: 2M on the
# lowest layer, so M * 8 bytes and a little more per item. 16 is enough at these dimensions.
HNSW_NEIGHBOURS = 16
# Candidates kept while a node is linked. More give a better graph and a longer build.
HNSW_BUILD_CANDIDATES = 80
# Candidates kept while a query descends (efSearch), at least; searches take twice k if that is
# more. benchmarks/search_index.py measures the recall and speed that follow.
HNSW_SEARCH_CANDIDATES = 128

# With up to this many allowed ids, their vectors are compared one by one instead of asking the
# graph. That is quick and misses none; a walk through the graph would mostly visit others.
DIRECT = 4096
# A graph cannot forget: removed vectors stay until they are this share, then it is rebuilt.
DEAD_SHARE = 0.2


class FaissBackend(Backend):
    """Vectors in a FAISS index; see `Backend` for the methods.

    With kind "exact", FAISS proposes in float32 and scores are computed again in float64; FAISS
    is asked for more until its rounding cannot have hidden a better vector. With kind "hnsw" the
    proposals come from the graph: some of the best may be missing, but at least k are found, and
    the scores and order of those found are exact.

    With dtype "float16" vectors take half the memory. A stored vector is then off by at most
    2^-11 + 2^-25 sqrt(D) in length, and so is a score: 0.0005 for D up to 100,000.

    A graph is built on one thread: the same vectors give the same graph.

    Attributes:
        kind: "exact" or "hnsw".
        exact: whether the kind is "exact".
        dimension: D.
        dtype: "float32" or "float16".
    """

    def __init__(self, dimension: int, *, kind: str = "exact", dtype: str = "float32") -> None:
        self.kind, self.exact = kind, kind == "exact"
        self.dimension, self.dtype = dimension, dtype
        self._hold(_new_index(kind, dimension, dtype), np.zeros(0, np.int64))

    def remove(self, ids: np.ndarray) -> None:
        left = self._ids.copy()
        left[self._places(ids)] = -1
        alive = np.flatnonzero(left >= 0)
        if self.exact or len(left) - len(alive) > DEAD_SHARE * len(left):
            index = _new_index(self.kind, self.dimension, self.dtype)
            with _one_thread():
                index.add(self._decode(alive))
            self._hold(index, left[alive])
        else:
            self._hold(self._index, left, mapped=self._mapped)

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        return self._decode(self._places(ids))

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        _write_index(self._index, folder / f"{stem}.faiss")
        np.save(folder / f"{stem}.ids.npy", self._ids, allow_pickle=False)
        return {
            "kind": self.kind,
            "dimension": self.dimension,
            "dtype": self.dtype,
            "places": len(self._ids),
        }

    @classmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        kind, dtype = settings.get("kind"), settings.get("dtype")
        dimension, count = settings.get("dimension"), settings.get("places")
        counts = all(type(size) is int and 0 <= size < 2**31 for size in (dimension, count))
        if not counts or dimension < 1 or not isinstance(kind, str) or not isinstance(dtype, str):
            raise SearchIndexError(f"{folder}: unusable settings {settings!r:.200}; build it again")
        backend = cls(dimension, kind=kind, dtype=dtype)
        ids = _read_ids(folder / f"{stem}.ids.npy", count)
        index = _read_index(folder / f"{stem}.faiss", backend._index, count, mapped)
        backend._hold(index, ids, mapped=mapped)
        return backend

    def drop(self) -> None:
        self.remove(self.ids)

    def _add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        index = _owned(self._index) if self._mapped else self._index
        with _one_thread():
            index.add(vectors)
        self._hold(index, np.concatenate([self._ids, ids]))

    def _hold(self, index: faiss.Index, ids: np.ndarray, *, mapped: bool = False) -> None:
        """Keep an index and the id of each place in it, -1 where one was removed."""
        self._index, self._ids, self._mapped = index, ids, mapped
        alive = np.flatnonzero(ids >= 0)
        order = np.argsort(ids[alive])
        self.ids, self._place = ids[alive][order], alive[order]

    def _places(self, ids: np.ndarray) -> np.ndarray:
        """Return the places of ids in the FAISS index."""
        return self._place[find_ids(ids, self.ids)]

    def _decode(self, places: np.ndarray) -> np.ndarray:
        """Return `(n, D)` float32."""
        if not len(places):
            return np.zeros((0, self.dimension), np.float32)
        storage = faiss.downcast_index(self._index.storage) if not self.exact else self._index
        return storage.reconstruct_batch(places)

    def _candidates(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        mask = self._ids >= 0
        if allowed is not None:
            mask &= np.isin(self._ids, allowed)
        everything = np.flatnonzero(mask)
        found: list[np.ndarray | None] = [None] * len(queries)
        open_rows, fetch = np.arange(len(queries)), k + MORE
        chosen = None if mask.all() else mask
        while len(everything) > (fetch if self.exact else max(DIRECT, fetch)) and len(open_rows):
            parameters = _search_parameters(self.kind, fetch, chosen)
            scores, places = self._index.search(queries[open_rows], fetch, params=parameters)
            # What was not fetched scores at most as much as the last, up to rounding.
            if self.exact:
                done = scores[:, -1] < scores[:, k - 1] - self._slack
            else:
                done = places[:, k - 1] >= 0
            for row in np.flatnonzero(done):
                found[open_rows[row]] = places[row][places[row] >= 0]
            open_rows, fetch = open_rows[~done], 4 * fetch
        for places, query in zip(found, queries, strict=True):
            if places is None:
                places = self._promising(everything, query, k)
            yield self._ids[places], self._decode(places)

    def _promising(self, places: np.ndarray, query: np.ndarray, k: int) -> np.ndarray:
        """Return those of the places that can be among the k best, by scores in float32."""
        if k >= len(places):
            return places
        scores = np.zeros(len(places), np.float32)
        for first in range(0, len(places), DIRECT):
            block = slice(first, first + DIRECT)
            scores[block] = self._decode(places[block]) @ query
        return places[scores >= np.partition(scores, -k)[-k] - self._slack]


def _new_index(kind: str, dimension: int, dtype: str) -> faiss.Index:
    """Return an empty index by inner product, ready to take vectors.

    Raises:
        SearchIndexError: the kind or dtype is not among `KINDS` and `DTYPES`.
    """
    if kind not in KINDS or dtype not in DTYPES:
        raise SearchIndexError(
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


def _search_parameters(kind: str, fetch: int, allowed: np.ndarray | None) -> faiss.SearchParameters:
    """Return FAISS' parameters for a search for `fetch` neighbours.

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


def _write_index(index: faiss.Index, path: Path) -> None:
    """Write an index to a file; SearchIndexError if that fails, on a full disk for example."""
    # FAISS' own writer does not notice an error on closing the file; Python's does.
    try:
        with open(path, "wb") as stream:
            faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write))
    except (OSError, RuntimeError) as error:
        raise SearchIndexError(f"{path}: cannot be written ({error}); is the disk full?") from error


def _read_index(path: Path, expected: faiss.Index, count: int, mapped: bool) -> faiss.Index:
    """Read an index whose checksum has been verified, and check that it is what it should be.

    FAISS trusts what it reads: never hand it a file of unknown origin.

    Args:
        path: the file.
        expected: an empty index of the kind that it must hold.
        count: how many vectors there must be.
        mapped: leave vectors and graph on disk until they are used. Nothing can be added to such
            an index; `_owned` makes a copy that can grow.

    Raises:
        SearchIndexError: it is something else.
    """
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except (RuntimeError, MemoryError) as error:
        raise SearchIndexError(f"{path}: FAISS cannot read it ({error}); build it again") from error
    found, wanted = (_shape(each) for each in (index, expected))
    if found != wanted or index.ntotal != count:
        raise SearchIndexError(
            f"{path}: the manifest promises {count} vectors in {wanted}; the file holds "
            f"{index.ntotal} in {found}; build the index again"
        )
    return index


def _read_ids(path: Path, count: int) -> np.ndarray:
    """Return `(count,)` int64 from a .npy file: distinct ids, and -1 where one was removed."""
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SearchIndexError(
            f"{path}: unreadable ids ({error}); build the index again"
        ) from error
    if not isinstance(ids, np.ndarray) or ids.shape != (count,) or ids.dtype != np.int64:
        raise SearchIndexError(f"{path}: must hold {count} int64 ids; build the index again")
    check_ids(ids[ids != -1])
    return ids


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have FAISS work on one thread: several would link a graph in a new order every time."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _owned(index: faiss.Index) -> faiss.Index:
    """Return a copy in memory that can grow; FAISS aborts on adding to a mapped one."""
    return faiss.deserialize_index(faiss.serialize_index(index))


def _shape(index: faiss.Index) -> tuple[str, int, int, int]:
    """Return class, dimension, metric and bytes per vector."""
    storage = faiss.downcast_index(index.storage) if hasattr(index, "hnsw") else index
    return type(index).__name__, index.d, index.metric_type, storage.code_size
