"""A catalogue of images that can be searched by attribute.

What a search returns.

One search: from an image, weights and filters to hits.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from asen_apps.search.errors import RetrievalError, check_k
from asen_apps.search.items import Items
from asen_apps.search.scoring import check_weights, matching, nearest_items
from asen_apps.search.stored import load_index, save_index
from asen_apps.search.vectors import LazyVectors, QueryImage, Skip


@dataclass(frozen=True)
class Hit:
    """One image that a search found.

    Attributes:
        id: of the item in the index.
        image: path of the file.
        score: the sum over attributes of weight times cosine; the cosine for a single attribute.
        parts: attribute name -> cosine, in [-1, 1], for every attribute that was asked for.
        metadata: of the item, a copy.
    """

    id: int
    image: Path
    score: float
    parts: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def search_items(
    items: Items,
    store: LazyVectors,
    image: QueryImage,
    attribute: str | Mapping[str, float],
    k: int,
    filters: Mapping[str, Any] | None,
) -> list[Hit]:
    """Return the hits; arguments and errors as for `AttributeIndex.search`."""
    check_k(k)
    weights = check_weights(attribute)
    store.check(list(weights))
    # The query first: when it cannot be read, nobody should wait for the catalogue.
    queries = store.query(image, list(weights))
    store.prepare(items, list(weights), progress=True)
    passed = matching(items.metadata, filters or {})
    if not passed.any():
        return []
    allowed = None if passed.all() else items.ids[passed]
    scores, ids, parts = nearest_items(store.backends, queries, weights, k, allowed)
    return [
        Hit(
            id=int(ids[at]),
            image=items.images[row],
            score=float(scores[at]),
            parts={name: float(part[at]) for name, part in parts.items()},
            metadata=copy.deepcopy(items.metadata[row]),
        )
        for at, row in enumerate(items.rows(ids))
    ]


if TYPE_CHECKING:
    from asen_tf.embedder import Embedder


class AttributeIndex:
    """Finds the images of a catalogue that are most alike a given one in chosen attributes.

    Nothing is embedded before an attribute is asked for: by `search`, `vectors` or `prepare`.

    Attributes:
        items: ids, images and metadata, row by row.
        store: the vectors, one backend per attribute that was asked for.
        embedder: of images and queries.

    Example:
        >>> index = AttributeIndex.build(Embedder.load("model.keras"), paths)
        >>> hits = index.search("photo.jpg", {"neckline_design": 0.7, "sleeve_length": 0.3}, k=5)
    """

    def __init__(self, items: Items, store: LazyVectors) -> None:
        """Keep the parts; `build` and `load` make them."""
        self.items, self.store, self.embedder = items, store, store.embedder

    @classmethod
    def build(
        cls,
        embedder: Embedder,
        images: Iterable[Path | str],
        metadata: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[int] | None = None,
        embedding: str | None = None,
        backend: str = "auto",
        dtype: str = "float32",
        skip: Skip | None = None,
    ) -> Self:
        """Make an index of image files; they are opened when an attribute is first asked for.

        Args:
            embedder: of the images, and of queries.
            images: N paths.
            metadata: one dict of JSON values per image, to filter by and to get back with hits.
            ids: N distinct integers from 0 up; 0 to N-1 when None.
            embedding: "global", "local" or "fused"; the best one that the model has when None.
            backend: "exact"; "hnsw": approximate and fast; "auto": exact below `HNSW_FROM` items;
                the address of a Milvus server, or a Milvus Lite file (`.db`): these change at
                once, so `save` after a change, or the saved index is refused from then on.
            dtype: of the stored vectors, "float32" or "float16": half the size, and scores off by
                up to 0.0005. A Milvus backend decides by itself.
            skip: called with the error of each image that cannot be read, which then leaves the
                index; when None, the first such image raises.

        Raises:
            RetrievalError: an argument is unfit.
        """
        store = LazyVectors(embedder, embedding, backend, dtype, skip)
        return cls(Items().plan(images, metadata, ids), store)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` int64, in the order in which items were added."""
        return self.items.ids.copy()

    @property
    def images(self) -> list[Path]:
        """N paths, in the order of `ids`."""
        return list(self.items.images)

    @property
    def metadata(self) -> list[dict[str, Any]]:
        """N dicts, in the order of `ids`."""
        return [dict(fields) for fields in self.items.metadata]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes that can be searched by: all that the model knows."""
        return self.embedder.attribute_names

    def prepare(self, attributes: Iterable[str] | None = None, *, progress: bool = True) -> None:
        """Embed all images for attributes, at once: the backbone sees each image one time.

        Args:
            attributes: names; all that the model knows when None. Those that are there already
                cost nothing.
            progress: show a progress bar.

        Raises:
            asen_tf.data.ImageError: an image cannot be read, and `skip` is None; nothing changes.
            RetrievalError: the model does not know an attribute.
        """
        if isinstance(attributes, str):
            raise RetrievalError(f"attributes must be a sequence; write [{attributes!r}]")
        names = self.attribute_names if attributes is None else tuple(attributes)
        self.store.prepare(self.items, names, progress=progress)

    def vectors(self, attribute: str) -> np.ndarray:
        """Return `(N, D)` float32 of length 1, rows in the order of `ids`; embeds if need be."""
        self.prepare([attribute])
        if attribute not in self.store.backends:
            return np.zeros((0, 0), np.float32)  # no item, no dimension
        return self.store.backends[attribute].vectors(self.items.ids)

    def search(
        self,
        image: QueryImage,
        attribute: str | Mapping[str, float],
        k: int = 10,
        filters: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """Find the items most alike an image in an attribute, or in several that are weighed.

        Args:
            image: a path, a binary file opened for reading, or `(H, W, 3)` uint8 pixels.
            attribute: a name, or name -> weight. A negative weight asks for unlike items.
            k: how many.
            filters: field of the metadata -> a value that it must equal, or a collection of values
                of which it must be one; all of them must be met.

        Returns:
            At most k hits, best first, the lower id first among equals; all that pass the filters
            if those are fewer. With exact backends, truly the best; with HNSW, some may be
            missed, but scores and order are exact.

        Raises:
            asen_tf.data.ImageError: the image cannot be read.
            RetrievalError: an attribute, weight, k, field or image is none.
        """
        return search_items(self.items, self.store, image, attribute, k, filters)

    def add(
        self,
        images: Iterable[Path | str],
        metadata: Iterable[Mapping[str, Any]] | None = None,
        ids: Iterable[int] | None = None,
    ) -> np.ndarray:
        """Add images, and embed them for the attributes that are there; arguments as for `build`.

        Returns:
            `(n,)` int64 ids of the new items; without `ids`, numbers that were never given before.

        Raises:
            asen_tf.data.ImageError, RetrievalError: as for `build` and `prepare`; nothing is added.
        """
        new = self.items.plan(images, metadata, ids)
        self.store.add(new, progress=len(new) > 1)
        self.items.extend(new)
        return new.ids.copy()

    def remove(self, ids: Iterable[int]) -> None:
        """Remove items; RetrievalError, and nothing is removed, if an id is not there."""
        rows = np.ones(len(self), bool)
        rows[self.items.rows(ids)] = False
        self.store.remove(self.items.ids[~rows])
        self.items.keep(rows)

    def save(self, folder: Path | str) -> None:
        """See `asen_apps.search.stored.save_index`."""
        save_index(Path(folder), self.items, self.store)

    def drop_unsaved(self) -> None:
        """Remove from Milvus what no saved index has; those attributes are lazy again."""
        self.store.drop_unsaved()

    @classmethod
    def load(
        cls,
        folder: Path | str,
        embedder: Embedder,
        *,
        root: Path | str | None = None,
        mapped: bool = True,
        verify: bool = True,
        skip: Skip | None = None,
    ) -> Self:
        """See `asen_apps.search.stored.load_index` for arguments and errors."""
        return cls(
            *load_index(Path(folder), embedder, root=root, mapped=mapped, verify=verify, skip=skip)
        )
