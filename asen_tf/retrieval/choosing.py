"""Which backend an index takes, by name, size or address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asen_tf.retrieval.addresses import is_address
from asen_tf.retrieval.backends import Backend
from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.faiss_backend import FaissBackend
from asen_tf.retrieval.faiss_indexes import DTYPES, KINDS

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
        from asen_tf.retrieval.milvus_backend import MilvusBackend
    except ImportError as error:
        raise RetrievalError(
            "this index needs the optional extra milvus; in the project's folder, run "
            f".venv/bin/pip install -e '.[milvus]' ({error})"
        ) from error
    return MilvusBackend
