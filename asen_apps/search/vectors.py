"""The vectors of items, embedded when an attribute is first asked for, and kept in step since.

A query image in whatever form it comes, as something that image files are read from.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from asen_apps.search.backends import (
    OUTSIDE,
    Backend,
    check_choice,
    new_backend,
    outgrown,
)
from asen_apps.search.errors import RetrievalError, absolute, is_address, nearest
from asen_apps.search.items import Items

QueryImage = Path | str | BinaryIO | np.ndarray


class _InMemory(io.BytesIO):
    """Bytes of an image; messages about it name it as what it is."""

    def __repr__(self) -> str:
        return "the query image"

    __str__ = __repr__


def query_file(image: QueryImage) -> Path | BinaryIO:
    """Return a query as a path or an open file, for `Embedder.embed` and `Embedder.attend`.

    Args:
        image: path of an image file; a binary file opened for reading, which is read to its end
            and left open; or pixels, `(H, W, 3)` or grey `(H, W)`, uint8.

    Raises:
        RetrievalError: it is something else.
    """
    if isinstance(image, str | Path):
        return Path(image)
    if isinstance(image, np.ndarray):
        grey, colour = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
        if image.dtype != np.uint8 or not (grey or colour) or 0 in image.shape:
            raise RetrievalError(
                "pixels must be (height, width, 3), 8-bit, dtype uint8; "
                f"got shape {image.shape}, {image.dtype}"
            )
        stored = _InMemory()
        Image.fromarray(np.ascontiguousarray(image)).save(stored, "PPM")  # lossless
        return stored
    content = image.read() if hasattr(image, "read") else None
    if not isinstance(content, bytes):
        raise RetrievalError(
            "a query must be the path of an image, a file opened with mode 'rb', or an array of "
            f"pixels; got {type(image).__name__}"
        )
    return _InMemory(content)


if TYPE_CHECKING:
    from asen_tf.data.images import ImageError
    from asen_tf.embedder import Embedder

Skip = Callable[["ImageError"], None]


class LazyVectors:
    """One backend per attribute that was asked for.

    Attributes:
        embedder: embeds images and queries.
        embedding: "global", "local" or "fused": which of the model's embeddings is compared.
        backend: the choice of backend, as given to `AttributeIndex.build`; a path is absolute.
        dtype: of stored vectors, "float32" or "float16".
        skip: called with the error of each image that cannot be read; when None, it raises.
        backends: attribute -> its vectors; all hold the same ids.
        owners: attribute -> the folder of the first index that was saved with its vectors, "" if
            that is unknown; for saved vectors in Milvus.

    Where a method raises, it has changed nothing; vectors in Milvus may differ if Milvus went away
    in the middle, and an index that was saved before is then refused.
    """

    def __init__(
        self, embedder: Embedder, embedding: str | None, backend: str, dtype: str, skip: Skip | None
    ) -> None:
        """Start without vectors; RetrievalError for a choice that there is not."""
        check_choice(backend, dtype)
        names = embedder.model.embedding_names
        if embedding is not None and embedding not in names:
            raise RetrievalError(f"embedding must be one of {', '.join(names)}; got {embedding!r}")
        self.embedder, self.embedding = embedder, embedding or names[-1]
        self.backend = absolute(backend) if is_address(backend) else backend
        self.dtype, self.skip = dtype, skip
        self.backends: dict[str, Backend] = {}
        self.owners: dict[str, str] = {}

    def check(self, attributes: Sequence[str]) -> None:
        """Raise RetrievalError for an attribute that the model does not know."""
        known = self.embedder.attribute_names
        for name in attributes:
            if name not in known:
                raise RetrievalError(
                    f"the model knows no attribute {name!r}; {nearest(name, known)}"
                )

    def prepare(self, items: Items, attributes: Sequence[str], *, progress: bool) -> None:
        """Embed all items for those attributes that are missing; drop unreadable ones if skipping.

        Either all of it happens or, when something raises, nothing: then what was made is dropped.
        """
        self.check(attributes)
        missing = [name for name in dict.fromkeys(attributes) if name not in self.backends]
        if not missing or not len(items):
            return
        usable, vectors = self._embed(items.images, missing, progress)
        if not usable.any():
            self.remove(items.ids)
            items.keep(usable)
            return
        made = {}
        with ExitStack() as undo:
            for place, name in enumerate(missing):
                made[name] = self._filled(name, items.ids[usable], vectors[usable, place])
                undo.callback(made[name].drop)
            if not usable.all():
                self.remove(items.ids[~usable])
                items.keep(usable)
            undo.pop_all()
        self.backends |= made

    def add(self, new: Items, *, progress: bool) -> None:
        """Embed new items for every attribute that is there; drop unreadable ones from `new`."""
        names = list(self.backends)
        if not names or not len(new):
            return
        usable, vectors = self._embed(new.images, names, progress)
        new.keep(usable)
        if not len(new):
            return
        with ExitStack() as undo:
            for place, name in enumerate(names):
                self.backends[name].add(new.ids, vectors[usable, place])
                undo.callback(self.backends[name].remove, new.ids)
            undo.pop_all()
        for name, backend in self.backends.items():
            if outgrown(self.backend, backend):
                ids = backend.ids
                self.backends[name] = self._filled(name, ids, backend.vectors(ids))

    def remove(self, ids: np.ndarray) -> None:
        """Forget the vectors of ids."""
        with ExitStack() as undo:
            for backend in self.backends.values():
                vectors = backend.vectors(ids)
                backend.remove(ids)
                undo.callback(backend.add, ids, vectors)
            undo.pop_all()

    def drop_unsaved(self) -> None:
        """Drop vectors outside this process that were never saved: nobody would find them again."""
        for name, backend in list(self.backends.items()):
            if backend.kind in OUTSIDE and name not in self.owners:
                self.backends.pop(name).drop()

    def query(self, image: QueryImage, attributes: Sequence[str]) -> dict[str, np.ndarray]:
        """Return attribute -> `(D,)` float32 of one image; the backbone sees it once."""
        vectors = self.embedder.embed_all(
            [query_file(image)], attributes=attributes, embedding=self.embedding
        )
        return dict(zip(attributes, vectors[0], strict=True))

    def _embed(
        self, images: Sequence[Path], attributes: Sequence[str], progress: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return which images are usable, `(n,)` bool, and `(n, A, D)` float32 vectors."""
        vectors = self.embedder.embed_all(
            images,
            attributes=attributes,
            embedding=self.embedding,
            progress=progress,
            skip=self.skip,
        )
        if not vectors.shape[2]:  # no file could be used
            return np.zeros(len(images), bool), vectors
        return np.isfinite(vectors).all(axis=(1, 2)), vectors

    def _filled(self, attribute: str, ids: np.ndarray, vectors: np.ndarray) -> Backend:
        backend = new_backend(
            self.backend,
            attribute=attribute,
            dimension=vectors.shape[1],
            count=len(ids),
            dtype=self.dtype,
        )
        with ExitStack() as undo:
            undo.callback(backend.drop)
            backend.add(ids, vectors)
            undo.pop_all()
        return backend
