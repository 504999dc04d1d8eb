"""What an index asks of the store of its vectors: one small interface, for one attribute.

An `AttributeIndex` holds one backend per attribute that was asked for. Everything else - images,
metadata, filters, weights, the order of ties between attributes - is the index's own business and
the same for all backends.

Where a Milvus is: which names are addresses, and which addresses in a file are trusted.

Which backend an index takes, by name, size or address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from asen_apps.search.errors import RetrievalError, is_address
from asen_apps.search.faiss_backend import DTYPES, KINDS, FaissBackend


class Backend(Protocol):
    """Unit vectors of one attribute under integer ids, searched by inner product.

    Shapes and dtypes, where N vectors of dimension D are stored:

    - ids: `(n,)` int64, non-negative, distinct, in no particular order;
    - vectors: `(n, D)` float32, of length 1 (within 1e-3);
    - scores: float64 inner products, in [-1, 1] up to rounding.

    Attributes:
        kind: the name under which a saved index finds the class again: "exact", "hnsw", "milvus".
        exact: whether `search` returns the true best, in the true order: by score, computed in
            float64 from the stored vectors, and ids ascending where scores are equal, also at the
            cut at k. An index re-scores and re-sorts what a backend that is not exact proposes,
            from its `vectors`.
        dimension: D.
        ids: `(N,)` int64, ascending.
    """

    kind: str
    exact: bool
    dimension: int

    @property
    def ids(self) -> np.ndarray:
        """See the class."""

    def __len__(self) -> int:
        """Return N."""

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Store vectors.

        Raises:
            RetrievalError: an id is there already, or shapes, lengths or values are unfit; nothing
                is added then.
        """

    def remove(self, ids: np.ndarray) -> None:
        """Forget vectors.

        Raises:
            RetrievalError: an id is not there, or the store refuses; nothing is removed then.
        """

    def search(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors of each query.

        Args:
            queries: `(Q, D)` float32, of length 1.
            k: how many, at least 1; may exceed N.
            allowed: `(n,)` int64 ids to choose among; all when None. Ids that are not stored
                count for nothing; an empty array allows none.

        Returns:
            `(Q, k)` float64 scores, best first, and `(Q, k)` int64 ids. Where fewer than k are
            there or allowed, the rows end in ids -1 with scores of -inf; never otherwise.
        """

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """Return `(n, D)` float32, as stored (float16 widened), in the order of the ids.

        Raises:
            RetrievalError: an id is not there.
        """

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Write what `load` needs.

        Args:
            folder: an existing, empty or shared folder that becomes the saved index once it is
                complete; the index computes checksums of the files afterwards.
            stem: what the names of this backend's files must begin with, such as "000"; they lie
                directly in the folder. A backend that lives elsewhere may write no file.

        Returns:
            JSON values, which `load` gets back; never secrets.
        """

    @classmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        """Open what `save` wrote. The files' checksums are right when this is called.

        Args:
            folder: as for `save`.
            stem: as for `save`.
            settings: what `save` returned, from a file: values are to be checked.
            mapped: leave vectors on disk, and read them as they are needed, where possible.

        Raises:
            RetrievalError: the content does not fit the settings.
        """

    def drop(self) -> None:
        """Remove the vectors for good, wherever they are, except from saved files.

        Raises:
            RetrievalError: the store refuses.
        """


# From so many items on, "auto" takes HNSW instead of exact search, whose time grows with them.
HNSW_FROM = 50_000
BACKENDS = ("auto", *KINDS)
OUTSIDE = ("milvus",)  # kinds whose vectors lie outside the saved index


def check_choice(backend: str, dtype: str) -> None:
    """Raise RetrievalError for a backend or dtype that there is not."""
    if backend not in BACKENDS and not is_address(backend):
        raise RetrievalError(
            f"backend must be one of {', '.join(BACKENDS)}, a Milvus address (http://...) or a "
            f"Milvus Lite file (....db); got {backend!r}"
        )
    if dtype not in DTYPES:
        raise RetrievalError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")


def new_backend(backend: str, *, attribute: str, dimension: int, count: int, dtype: str) -> Backend:
    """Return an empty backend.

    Args:
        backend: "auto", "exact", "hnsw" or an address, as for `AttributeIndex.build`.
        attribute: whose vectors it will hold.
        dimension: of the vectors.
        count: how many it is going to take at first: what "auto" decides by.
        dtype: "float32" or "float16".
    """
    if is_address(backend):
        return _milvus().create(backend, attribute=attribute, dimension=dimension)
    if backend == "auto":
        backend = "hnsw" if count >= HNSW_FROM else "exact"
    return FaissBackend(dimension, kind=backend, dtype=dtype)


def outgrown(choice: str, backend: Backend) -> bool:
    """Return whether "auto" was the choice, and would by now take HNSW instead."""
    return choice == "auto" and backend.kind == "exact" and len(backend) >= HNSW_FROM


def load_backend(
    kind: str, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool
) -> Backend:
    """Return a saved backend; arguments as for `Backend.load`, and the `kind` that was saved."""
    if kind in KINDS:
        return FaissBackend.load(folder, stem, settings, mapped=mapped)
    if kind == "milvus":
        return _milvus().load(folder, stem, settings, mapped=mapped)
    raise RetrievalError(f"{folder}: unknown kind of backend {kind!r}; build the index again")


def drop_saved(folder: Path, settings: dict[str, Any], *, trusted: str) -> None:
    """Remove what a saved backend, of a kind in `OUTSIDE`, has outside the saved index.

    Args:
        folder: as for `Backend.load`.
        settings: as for `Backend.load`.
        trusted: an address that needs no check: the user named it.

    Raises:
        RetrievalError: the settings are unusable or not trusted, or Milvus refuses.
    """
    _milvus().drop_saved(folder, settings, trusted=trusted)


def _milvus() -> Any:
    try:
        from asen_apps.search.milvus_backend import MilvusBackend
    except ImportError as error:
        raise RetrievalError(
            "this index needs the optional extra milvus; in the project's folder, run "
            f".venv/bin/pip install -e '.[milvus]' ({error})"
        ) from error
    return MilvusBackend
