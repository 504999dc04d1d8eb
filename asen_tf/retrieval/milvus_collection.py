"""One collection of a Milvus: vectors of length 1 under ids, and requests about them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from asen_tf.retrieval.errors import RetrievalError

_BLOCK = 1000  # rows of one message
MOST = 16_384  # neighbours that Milvus gives at once
# Milvus Lite has no clock: pymilvus says so whenever ids are listed, and there is nothing to do.
logging.getLogger("pymilvus.orm.iterator").addFilter(lambda record: "mvccTs" not in record.msg)


class Collection:
    """Asks Milvus, whose refusals become errors that say where.

    Attributes:
        address: `http://host:19530` of a server, or the path of a Milvus Lite database, which ends
            in `.db` and is made if need be.
        name: of the collection.
    """

    def __init__(self, address: str, name: str) -> None:
        """Connect; RetrievalError if nothing answers there."""
        self.address, self.name = address, name
        try:
            self._client = MilvusClient(address, timeout=10)
        except Exception as error:  # Milvus, gRPC and the operating system raise their own kinds
            raise RetrievalError(
                f"{address}: no Milvus answers there ({error}); start the server, or name a Milvus "
                "Lite database, a path that ends in .db"
            ) from error

    def create(self, dimension: int) -> None:
        """Make it, empty, for vectors of that dimension; if that fails, nothing is left of it.

        Its consistency is strong: a server's answers know of all that was written before. By
        default they may be some seconds old, and then a search is not exact.
        """
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="IP")
        options = {"schema": schema, "index_params": index, "consistency_level": "Strong"}
        try:
            self._ask("create_collection", **options)
        except BaseException:
            with contextlib.suppress(MilvusException, RetrievalError):  # the first error counts
                if self._client.has_collection(self.name):
                    self.drop()
            raise

    def check_there(self) -> None:
        """Check that nobody has dropped it."""
        if not self._ask("has_collection"):
            raise RetrievalError(
                f"{self.address}: the collection {self.name} is gone, as another index was saved "
                "in this one's place; load that one, or build this one again"
            )

    def open(self) -> np.ndarray:
        """Have Milvus load it, as one that another process made may rest; return its ids.

        Returns:
            `(N,)` int64, ascending.
        """
        self._ask("load_collection")
        found: list[int] = []
        options = {"batch_size": _BLOCK, "output_fields": ["id"], "filter": "id >= 0"}
        pages = self._ask("query_iterator", **options)
        try:
            while page := pages.next():
                found += [row["id"] for row in page]
        except MilvusException as error:
            raise self._refusal("query_iterator", error) from error
        return np.sort(np.array(found, np.int64))

    def write(self, ids: np.ndarray, vectors: np.ndarray, *, again: bool = False) -> None:
        """Store `(n, D)` float32 under new ids; `again`: ids that may be there are replaced."""
        for block in _blocks(len(ids)):
            pairs = zip(ids[block].tolist(), vectors[block], strict=True)
            rows = [{"id": i, "vector": vector} for i, vector in pairs]
            self._ask("upsert" if again else "insert", data=rows)

    def delete(self, ids: np.ndarray) -> None:
        """Forget ids; those that are not there count for nothing."""
        for block in _blocks(len(ids)):
            self._ask("delete", ids=ids[block].tolist())

    def vectors(self, ids: np.ndarray, dimension: int) -> np.ndarray:
        """Return `(n, D)` float32 in the order of ids; RetrievalError if one is gone."""
        found = np.empty((len(ids), dimension), np.float32)
        for block in _blocks(len(ids)):
            rows = self._ask("get", ids=ids[block].tolist(), output_fields=["id", "vector"])
            by_id = {row["id"]: row["vector"] for row in rows}
            missing = set(ids[block].tolist()) - set(by_id)
            if missing:
                what = f"id {min(missing)} is gone from {self.name}"
                raise RetrievalError(f"{self.address}: {what}; build the index again")
            found[block] = [by_id[i] for i in ids[block].tolist()]
        return found

    def search(self, query: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return float64 scores, best first, int64 ids and `(limit, D)` float32 vectors."""
        fields = ["id", "vector"]
        (hits,) = self._ask("search", data=[query], limit=limit, output_fields=fields)
        scores = np.array([hit["distance"] for hit in hits])
        ids = np.array([hit["id"] for hit in hits], np.int64)
        return scores, ids, np.array([hit["entity"]["vector"] for hit in hits], np.float32)

    def drop(self) -> None:
        """Remove it from Milvus, with all its vectors."""
        self._ask("drop_collection")

    def _ask(self, call: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, call)(self.name, **arguments)
        except MilvusException as error:
            raise self._refusal(call, error) from error

    def _refusal(self, call: str, error: MilvusException) -> RetrievalError:
        why = f"Milvus refused {call} of {self.name} ({error.message})"
        return RetrievalError(f"{self.address}: {why}; is it the right database?")


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, first + _BLOCK) for first in range(0, count, _BLOCK))
