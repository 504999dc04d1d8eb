"""The vectors of items: embedded when an attribute is first asked for, and kept in step since.

Which backend holds them is decided here, by name, size or address; so is which attributes and
weights may be asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from asen_apps.search.backend import Backend, SearchIndexError, absolute, is_address
from asen_apps.search.faiss_backend import DTYPES, KINDS, FaissBackend
from asen_apps.search.items import Items
from asen_tf.config import did_you_mean

if TYPE_CHECKING:
    from asen_tf.data.images import ImageError
    from asen_tf.embedder import Embedder, ImageFile

Skip = Callable[["ImageError"], None]

# === Attributes and weights ===


def check_attributes(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise SearchIndexError for an attribute that the model does not know."""
    for name in names:
        if name not in known:
            hint = did_you_mean(name, sorted(known))
            raise SearchIndexError(f"the model does not know the attribute {name!r}; {hint}")


def check_weights(
    attributes: str | Mapping[str, float], known: Sequence[str], *, positive: bool = False
) -> dict[str, float]:
    """Return attribute -> weight as given, in the given order; 1 for a single name.

    Args:
        attributes: a name, or name -> weight.
        known: the attributes that the model knows.
        positive: refuse weights of 0 and below; without it, they must not all be 0.

    Raises:
        SearchIndexError: no attribute, an unknown one, or an invalid weight.
    """
    if isinstance(attributes, str):
        attributes = {attributes: 1.0}
    if not isinstance(attributes, Mapping) or not attributes:
        raise SearchIndexError(
            "ask for an attribute by its name, or for several as {name: weight}; "
            f"got {attributes!r}"
        )
    wanted = "a finite number above 0" if positive else "a finite number"
    for name, weight in attributes.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or (positive and weight <= 0):
            raise SearchIndexError(f"a weight must be {wanted}; got {weight!r} for {name!r}")
    if not any(attributes.values()):
        raise SearchIndexError(f"at least one weight must not be 0; got {dict(attributes)!r}")
    check_attributes(list(attributes), known)
    return {name: float(weight) for name, weight in attributes.items()}


# === The choice of a backend ===

# From this many items on, "auto" takes HNSW instead of exact search, whose time grows with them.
HNSW_FROM = 50_000
BACKENDS = ("auto", *KINDS)
OUTSIDE = ("milvus",)  # kinds whose vectors lie outside the saved index
_BLOCK = 1024  # images whose vectors are in memory beside the backends, where those grow


def new_backend(backend: str, *, attribute: str, dimension: int, count: int, dtype: str) -> Backend:
    """Return an empty backend.

    Args:
        backend: "auto", "exact", "hnsw" or an address, as for `AttributeIndex.build`.
        attribute: whose vectors it will hold.
        dimension: of the vectors.
        count: how many it will take at first, which is what "auto" decides by.
        dtype: "float32" or "float16".
    """
    if is_address(backend):
        return milvus().create(backend, attribute=attribute, dimension=dimension)
    if backend == "auto":
        backend = "hnsw" if count >= HNSW_FROM else "exact"
    return FaissBackend(dimension, kind=backend, dtype=dtype)


def load_backend(
    kind: str, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool
) -> Backend:
    """Return a saved backend; arguments as for `Backend.load`, and the `kind` that was saved."""
    if kind in KINDS:
        return FaissBackend.load(folder, stem, settings, mapped=mapped)
    if kind in OUTSIDE:
        return milvus().load(folder, stem, settings, mapped=mapped)
    raise SearchIndexError(f"{folder}: unknown kind of backend {kind!r}; build the index again")


def milvus() -> Any:
    """Return `MilvusBackend`; SearchIndexError if the optional extra is not installed."""
    try:
        from asen_apps.search.milvus_backend import MilvusBackend
    except ImportError as error:
        raise SearchIndexError(
            "this index needs the optional extra milvus; in the project's folder, run "
            f".venv/bin/pip install -e '.[milvus]' ({error})"
        ) from error
    return MilvusBackend


# === Vectors ===


class LazyVectors:
    """One backend per attribute that was asked for.

    Where a method raises, it has changed nothing. Vectors in Milvus may differ if Milvus went away
    in the middle; an index that was saved before is then refused.

    Attributes:
        embedder: embeds images and queries.
        embedding: "global", "local" or "fused": which of the model's embeddings is compared.
        backend: the choice of backend, as given to `AttributeIndex.build`; a path is absolute.
        dtype: of stored vectors, "float32" or "float16".
        skip: called with the error of each image that cannot be read; when None, it raises.
        backends: attribute -> its vectors; all hold the same ids.
        owners: attribute -> the folder of the first index that was saved with its vectors, "" if
            that is unknown; only for saved vectors in Milvus.
    """

    def __init__(self, embedder: Embedder, embedding: str | None, backend: str, dtype: str) -> None:
        if backend not in BACKENDS and not is_address(backend):
            raise SearchIndexError(
                f"backend must be one of {', '.join(BACKENDS)}, a Milvus address (http://...) or "
                f"a Milvus Lite file (....db); got {backend!r}"
            )
        if dtype not in DTYPES:
            raise SearchIndexError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
        from asen_tf.models.base import chosen_embedding  # TensorFlow: an embedder is there

        try:
            self.embedding = chosen_embedding(embedder.model.embedding_names, embedding)
        except ValueError as error:
            raise SearchIndexError(str(error)) from None
        self.embedder = embedder
        self.backend = absolute(backend) if is_address(backend) else backend
        self.dtype = dtype
        self.skip: Skip | None = None
        self.backends: dict[str, Backend] = {}
        self.owners: dict[str, str] = {}

    def prepare(self, items: Items, attributes: Sequence[str], *, progress: bool) -> None:
        """Embed all items for those attributes that are missing; drop unreadable ones if skipping.

        If something raises, nothing changes: what was made is dropped. Exact backends in this
        process are filled block by block, so that nothing else holds all vectors. A graph depends
        on what it is given together, and a Milvus would keep what a kill leaves there: they get
        all vectors at once.
        """
        check_attributes(attributes, self.embedder.attribute_names)
        missing = [name for name in dict.fromkeys(attributes) if name not in self.backends]
        if not missing or not len(items):
            return
        usable, made = np.zeros(len(items), bool), {}
        growing = self.backend == "exact" or (self.backend == "auto" and len(items) < HNSW_FROM)
        most = _BLOCK if growing else len(items)
        with ExitStack() as undo:
            for places, columns in self._embedded(items.images, missing, most, progress):
                usable[places] = True
                for name, vectors in zip(missing, columns, strict=True):
                    if name in made:
                        made[name].add(items.ids[places], vectors)
                    else:
                        made[name] = self._filled(name, items.ids[places], vectors)
                        undo.callback(made[name].drop)
            if not usable.all():
                self.remove(items.ids[~usable])
                items.keep(usable)
            undo.pop_all()
        self.backends |= made

    def add(self, new: Items, *, progress: bool) -> None:
        """Embed new items for every attribute that is there; drop unreadable ones from `new`."""
        if not self.backends or not len(new):
            return
        usable = np.zeros(len(new), bool)
        with ExitStack() as undo:
            together = self._embedded(new.images, list(self.backends), len(new), progress)
            for places, columns in together:
                usable[places] = True
                for backend, vectors in zip(self.backends.values(), columns, strict=True):
                    backend.add(new.ids[places], vectors)
                    undo.callback(backend.remove, new.ids[places])
            undo.pop_all()
        new.keep(usable)
        for name, backend in self.backends.items():
            if self.backend == "auto" and backend.kind == "exact" and len(backend) >= HNSW_FROM:
                vectors = backend.vectors(backend.ids)
                self.backends[name] = self._filled(name, backend.ids, vectors)

    def remove(self, ids: np.ndarray) -> None:
        """Forget the vectors of ids."""
        with ExitStack() as undo:
            for backend in self.backends.values():
                vectors = backend.vectors(ids)
                backend.remove(ids)
                undo.callback(backend.add, ids, vectors)
            undo.pop_all()

    def drop_unsaved(self) -> None:
        """Drop vectors outside this process that were never saved: they would be lost."""
        for name, backend in list(self.backends.items()):
            if backend.kind in OUTSIDE and name not in self.owners:
                self.backends.pop(name).drop()

    def query(self, image: ImageFile, attributes: Sequence[str]) -> dict[str, np.ndarray]:
        """Return attribute -> `(D,)` float32 of one image; the backbone sees it once."""
        vectors = self.embedder.embed_all([image], attributes=attributes, embedding=self.embedding)
        return dict(zip(attributes, vectors[0], strict=True))

    def _embedded(
        self, images: Sequence[Path], attributes: Sequence[str], most: int, progress: bool
    ) -> Iterator[tuple[np.ndarray, Iterator[np.ndarray]]]:
        """Yield places of some `most` usable images, and each attribute's `(n, D)` float32."""
        places: list[int] = []
        blocks: list[np.ndarray] = []

        def columns() -> Iterator[np.ndarray]:
            for column in range(len(attributes)):
                yield np.concatenate([block[:, column] for block in blocks])

        with tqdm(total=len(images), desc="embedding", unit="image", disable=not progress) as bar:
            for found, vectors in self.embedder.batches(
                images, attributes, self.embedding, self.skip
            ):
                finite = np.isfinite(vectors).all(axis=(1, 2))
                places += np.array(found)[finite].tolist()
                blocks.append(vectors[finite])
                bar.update(found[-1] + 1 - bar.n)
                if len(places) >= most:
                    yield np.array(places), columns()
                    places, blocks = [], []
        if places:
            yield np.array(places), columns()

    def _filled(self, attribute: str, ids: np.ndarray, vectors: np.ndarray) -> Backend:
        dimension, count = vectors.shape[1], len(ids)
        backend = new_backend(
            self.backend, attribute=attribute, dimension=dimension, count=count, dtype=self.dtype
        )
        with ExitStack() as undo:
            undo.callback(backend.drop)
            backend.add(ids, vectors)
            undo.pop_all()
        return backend
