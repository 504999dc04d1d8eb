"""Vectors in Milvus, for catalogues beyond one machine: Milvus Lite on disk, or a server.

The vectors live in Milvus, not in the saved index: that keeps the collection's name and address, so
that many machines search the same vectors. `asen_tf.retrieval.addresses` says which addresses in a
file are trusted.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any, Self

import numpy as np

from asen_tf.retrieval.addresses import absolute, check_trusted
from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.milvus_collection import MOST, Collection
from asen_tf.retrieval.scoring import best_first, exact_scores
from asen_tf.retrieval.vector_checks import check_ids, check_new, check_queries

_MORE = 32  # neighbours fetched beyond k, so that ties at the cut rarely ask for a second search


class MilvusBackend:
    """See `asen_tf.retrieval.backends.Backend` for the methods.

    Milvus compares all vectors (index type FLAT) in float32 and proposes; scores are computed again
    in float64 from the stored vectors, and more is asked for until rounding cannot have hidden a
    better one. Where Milvus gives no more, all allowed vectors are fetched and compared here.

    A change reaches Milvus at once, saved or not. An index that was saved before an unsaved change
    is therefore refused when it is loaded, whatever the change was, and must be built again.

    Attributes:
        kind: "milvus".
        exact: True.
        dimension: D.
        collection: where the vectors are.
    """

    kind, exact = "milvus", True

    def __init__(self, collection: Collection, dimension: int, ids: np.ndarray) -> None:
        """Take a collection and the `(N,)` int64 ids in it, ascending."""
        self.collection, self.dimension, self._sorted = collection, dimension, ids

    @classmethod
    def create(cls, address: str, *, attribute: str, dimension: int) -> Self:
        """Make an empty collection under a name of its own.

        Args:
            address: as for `asen_tf.retrieval.milvus_collection.Collection`.
            attribute: goes into the collection's name.
            dimension: D.
        """
        word = re.sub("[^A-Za-z0-9_]", "_", attribute)
        collection = Collection(address, f"a_{word}_{uuid.uuid4().hex[:12]}")
        collection.create(dimension)
        return cls(collection, dimension, np.zeros(0, np.int64))

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
        try:
            self.collection.write(ids, vectors)
        except BaseException:
            self.collection.delete(ids)
            raise
        self._sorted = np.sort(np.concatenate([self._sorted, ids]))

    def remove(self, ids: np.ndarray) -> None:
        """See `Backend.remove`."""
        ids = self._known(ids)
        vectors = self.vectors(ids)
        try:
            self.collection.delete(ids)
        except BaseException:
            self.collection.write(ids, vectors, again=True)
            raise
        self._sorted = np.setdiff1d(self._sorted, ids, assume_unique=True)

    def search(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Backend.search`."""
        queries = check_queries(queries, k, self.dimension)
        among = self._sorted if allowed is None else np.intersect1d(self._sorted, allowed)
        scores = np.full((len(queries), k), -np.inf)
        ids = np.full((len(queries), k), -1, np.int64)
        for row, query in enumerate(queries):
            candidates, vectors = self._candidates(query, k, among)
            found = exact_scores(vectors, query)
            best = best_first(found, candidates, k)
            scores[row, : len(best)], ids[row, : len(best)] = found[best], candidates[best]
        return scores, ids

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """See `Backend.vectors`."""
        return self.collection.vectors(self._known(ids), self.dimension)

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """See `Backend.save`; writes no file.

        Raises:
            RetrievalError: another index was saved in its place since: its vectors are gone.
        """
        self.collection.check_there()
        return {
            "address": absolute(self.collection.address),
            "collection": self.collection.name,
            "dimension": self.dimension,
        }

    @classmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        """See `Backend.load`; addresses are checked by `check_trusted`."""
        address, name, dimension = _checked(settings, folder)
        check_trusted(address, folder)
        if "://" not in address and not Path(address).exists():
            raise RetrievalError(f"{address}: no such Milvus Lite database; build the index again")
        collection = Collection(address, name)
        return cls(collection, dimension, collection.open())

    def drop(self) -> None:
        """See `Backend.drop`; removes the collection."""
        self.collection.drop()
        self._sorted = np.zeros(0, np.int64)

    @staticmethod
    def drop_saved(folder: Path, settings: dict[str, Any], *, trusted: str) -> None:
        """Remove the collection of a saved backend that is no longer needed.

        Args:
            folder: of the saved index's version, as for `load`.
            settings: what `save` returned, from a file: values are to be checked.
            trusted: an address that needs no check: the user named it.
        """
        address, name, _ = _checked(settings, folder)
        if address != trusted:
            check_trusted(address, folder)
        if "://" in address or Path(address).exists():
            Collection(address, name).drop()

    def _known(self, ids: np.ndarray) -> np.ndarray:
        ids = check_ids(ids)
        unknown = ids[~np.isin(ids, self._sorted)]
        if len(unknown):
            raise RetrievalError(f"id {unknown[0]} is not in the index; `ids` lists those")
        return ids

    def _candidates(
        self, query: np.ndarray, k: int, among: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids, and their vectors, that hold the k best of those among which to choose."""
        fetch, slack = k + _MORE, 2 * self.dimension * 2.0**-23
        while fetch < min(len(self), MOST) and fetch < len(among):
            scores, ids, vectors = self.collection.search(query, fetch)
            usable = np.isin(ids, among)
            # What was not fetched scores at most as the last, but for rounding in float32.
            if usable.sum() >= k and scores[-1] < scores[usable][k - 1] - slack:
                return ids[usable], vectors[usable]
            fetch *= 4
        return among, self.vectors(among)


def _checked(settings: dict[str, Any], folder: Path) -> tuple[str, str, int]:
    """Return address, collection and dimension of a saved backend, or raise RetrievalError."""
    address, name, dimension = (settings.get(key) for key in ("address", "collection", "dimension"))
    fit = isinstance(address, str) and isinstance(name, str) and re.fullmatch(r"a_\w{1,200}", name)
    if not fit or type(dimension) is not int:
        raise RetrievalError(f"{folder}: unusable Milvus settings; build the index again")
    return address, name, dimension
