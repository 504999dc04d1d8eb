"""Vectors in Milvus, for catalogues beyond one machine: Milvus Lite on disk, or a server.

The vectors live in Milvus, not in the saved index: that keeps the collection's name and address, so
that many machines search the same vectors. `asen_tf.retrieval.milvus_connection` says which
addresses in a file are trusted.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.milvus_connection import check_trusted, connect
from asen_tf.retrieval.scoring import best_first, exact_scores
from asen_tf.retrieval.vector_checks import check_ids, check_new, check_queries

_BLOCK = 1000  # rows of one message
_MORE = 32  # neighbours fetched beyond k, so that ties at the cut rarely ask for a second search
_MOST = 16_384  # neighbours that Milvus gives at once


class MilvusBackend:
    """See `asen_tf.retrieval.backends.Backend` for the methods.

    Milvus compares all vectors (index type FLAT) in float32 and proposes; scores are computed again
    in float64 from the stored vectors, and more is asked for until rounding cannot have hidden a
    better one. Where Milvus gives no more, all allowed vectors are fetched and compared here. A
    change reaches Milvus at once, saved or not; a saved index of other items is refused then.

    Attributes:
        kind: "milvus".
        exact: True.
        dimension: D.
        address: of the server, or the path of the Milvus Lite database.
        collection: its name in Milvus.
    """

    kind, exact = "milvus", True

    def __init__(self, address: str, collection: str, dimension: int) -> None:
        """Connect; RetrievalError if nothing answers there."""
        self.address, self.collection, self.dimension = address, collection, dimension
        self._client = connect(address)
        self._sorted = np.zeros(0, np.int64)

    @classmethod
    def create(cls, address: str, *, attribute: str, dimension: int) -> Self:
        """Make an empty collection under a name of its own.

        Args:
            address: as for `asen_tf.retrieval.milvus_connection.connect`.
            attribute: goes into the collection's name.
            dimension: D.
        """
        collection = f"{re.sub('[^A-Za-z0-9_]', '_', attribute)}_{uuid.uuid4().hex[:12]}"
        backend = cls(address, f"a_{collection}", dimension)
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="IP")
        backend._ask("create_collection", schema=schema, index_params=index)
        return backend

    def __len__(self) -> int:
        """Return N."""
        return len(self._sorted)

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` int64, ascending."""
        return self._sorted

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """See `Backend.add`."""
        ids, vectors = check_new(ids, vectors, self.dimension, taken=self._sorted)
        try:
            for block in _blocks(len(ids)):
                pairs = zip(ids[block].tolist(), vectors[block], strict=True)
                self._ask("insert", data=[{"id": i, "vector": vector} for i, vector in pairs])
        except RetrievalError:
            self._forget(ids)
            raise
        self._sorted = np.sort(np.concatenate([self._sorted, ids]))

    def remove(self, ids: np.ndarray) -> None:
        """See `Backend.remove`."""
        ids = self._known(ids)
        self._forget(ids)
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
        ids = self._known(ids)
        found = np.empty((len(ids), self.dimension), np.float32)
        for block in _blocks(len(ids)):
            rows = self._ask("get", ids=ids[block].tolist(), output_fields=["id", "vector"])
            by_id = {row["id"]: row["vector"] for row in rows}
            missing = set(ids[block].tolist()) - set(by_id)
            if missing:
                what = f"id {min(missing)} is gone from {self.collection}"
                raise RetrievalError(f"{self.address}: {what}; build the index again")
            found[block] = [by_id[i] for i in ids[block].tolist()]
        return found

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """See `Backend.save`; writes no file."""
        return {
            "address": self.address if "://" in self.address else str(Path(self.address).resolve()),
            "collection": self.collection,
            "dimension": self.dimension,
        }

    @classmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        """See `Backend.load`; addresses are checked by `check_trusted`."""
        names = ("address", "collection", "dimension")
        address, collection, dimension = (settings.get(name) for name in names)
        fit = isinstance(address, str) and isinstance(collection, str)
        if not fit or type(dimension) is not int or not re.fullmatch(r"a_\w{1,200}", collection):
            raise RetrievalError(f"{folder}: unusable Milvus settings; build the index again")
        check_trusted(address, folder)
        backend = cls(address, collection, dimension)
        backend._sorted = backend._stored_ids()
        return backend

    def drop(self) -> None:
        """Remove the collection from Milvus, with all its vectors."""
        self._ask("drop_collection")
        self._sorted = np.zeros(0, np.int64)

    def _ask(self, call: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, call)(self.collection, **arguments)
        except MilvusException as error:
            why = f"Milvus refused {call} of {self.collection} ({error.message})"
            raise RetrievalError(f"{self.address}: {why}; is it the right database?") from error

    def _forget(self, ids: np.ndarray) -> None:
        for block in _blocks(len(ids)):
            self._ask("delete", ids=ids[block].tolist())

    def _known(self, ids: np.ndarray) -> np.ndarray:
        ids = check_ids(ids)
        unknown = ids[~np.isin(ids, self._sorted)]
        if len(unknown):
            raise RetrievalError(f"id {unknown[0]} is not in the index; `ids` lists those")
        return ids

    def _stored_ids(self) -> np.ndarray:
        found: list[int] = []
        pages = self._ask("query_iterator", batch_size=_BLOCK, output_fields=["id"])
        while page := pages.next():
            found += [row["id"] for row in page]
        return np.sort(np.array(found, np.int64))

    def _candidates(
        self, query: np.ndarray, k: int, among: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids, and their vectors, that hold the k best of those among which to choose."""
        fetch, slack = k + _MORE, 2 * self.dimension * 2.0**-23
        while fetch < min(len(self), _MOST) and fetch < len(among):
            fields = ["id", "vector"]
            (hits,) = self._ask("search", data=[query], limit=fetch, output_fields=fields)
            scores = np.array([hit["distance"] for hit in hits])
            ids = np.array([hit["id"] for hit in hits], np.int64)
            usable = np.isin(ids, among)
            # What was not fetched scores at most as the last, but for rounding in float32.
            if usable.sum() >= k and scores[-1] < scores[usable][k - 1] - slack:
                vectors = [hit["entity"]["vector"] for hit in hits]
                return ids[usable], np.array(vectors, np.float32)[usable]
            fetch *= 4
        return among, self.vectors(among)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, first + _BLOCK) for first in range(0, count, _BLOCK))
