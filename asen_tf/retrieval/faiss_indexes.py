"""The FAISS indexes that a backend is made of: exact or HNSW, in float32 or float16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np

from asen_tf.retrieval.errors import RetrievalError

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
