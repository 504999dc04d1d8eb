"""Vectors in Milvus, for catalogues beyond one machine: Milvus Lite on disk, or a server.

The vectors live in Milvus, not in the saved index, which keeps the collection's name and address:
many machines search the same vectors. `check_trusted` says which addresses in a file are opened.
"""

from __future__ import annotations

import contextlib
import logging
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from asen_apps.search.backend import (
    MORE,
    Backend,
    SearchIndexError,
    absolute,
    check_trusted,
    find_ids,
)

_BLOCK = 1000  # rows of one message
MOST = 16_384  # neighbours that Milvus gives at once
# Milvus Lite has no clock. pymilvus warns of that whenever ids are listed; users cannot act on it.
logging.getLogger("pymilvus.orm.iterator").addFilter(lambda record: "mvccTs" not in record.msg)


class Collection:
    """One collection of a Milvus: vectors of length 1 under ids.

    What Milvus refuses becomes a SearchIndexError that names the address.

    Attributes:
        address: `http://host:19530` of a server, or the path of a Milvus Lite database, which ends
            in `.db` and is made if need be.
        name: of the collection.
    """

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        try:
            self._client = MilvusClient(address, timeout=10)
        except Exception as error:  # Milvus, gRPC and the operating system raise their own kinds
            raise SearchIndexError(
                f"{address}: no Milvus answers there ({error}); start the server, or name a Milvus "
                "Lite database, a path that ends in .db"
            ) from error

    def create(self, dimension: int) -> None:
        """Create it, empty, for vectors of that dimension; if that fails, nothing is left behind.

        Its consistency is strong: a server's answers include all that was written before. By
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
            with contextlib.suppress(MilvusException, SearchIndexError):  # the first error counts
                if self._client.has_collection(self.name):
                    self.drop()
            raise

    def check_there(self) -> None:
        """Raise SearchIndexError if someone has dropped the collection."""
        if not self._ask("has_collection"):
            raise SearchIndexError(
                f"{self.address}: the collection {self.name} is gone, as another index was saved "
                "in this one's place; load that one, or build this one again"
            )

    def open(self) -> np.ndarray:
        """Have Milvus load it (it may be released if another process made it); return its ids.

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
        """Store `(n, D)` float32 under new ids; with `again`, replace those that are there."""
        for block in _blocks(len(ids)):
            pairs = zip(ids[block].tolist(), vectors[block], strict=True)
            rows = [{"id": i, "vector": vector} for i, vector in pairs]
            self._ask("upsert" if again else "insert", data=rows)
        if "://" not in self.address:
            # Milvus Lite copies what is not yet in its files at every search: 30 times as slow.
            self._ask("flush")

    def delete(self, ids: np.ndarray) -> None:
        """Forget ids; those that are not there are ignored."""
        for block in _blocks(len(ids)):
            self._ask("delete", ids=ids[block].tolist())

    def vectors(self, ids: np.ndarray, dimension: int) -> np.ndarray:
        """Return `(n, D)` float32 in the order of ids; SearchIndexError if one is gone."""
        found = np.empty((len(ids), dimension), np.float32)
        for block in _blocks(len(ids)):
            rows = self._ask("get", ids=ids[block].tolist(), output_fields=["id", "vector"])
            by_id = {row["id"]: row["vector"] for row in rows}
            missing = set(ids[block].tolist()) - set(by_id)
            if missing:
                what = f"id {min(missing)} is gone from {self.name}"
                raise SearchIndexError(f"{self.address}: {what}; build the index again")
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

    def _refusal(self, call: str, error: MilvusException) -> SearchIndexError:
        why = f"Milvus refused {call} of {self.name} ({error.message})"
        return SearchIndexError(f"{self.address}: {why}; is it the right database?")


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, first + _BLOCK) for first in range(0, count, _BLOCK))


class MilvusBackend(Backend):
    """Vectors in a collection of Milvus; see `Backend` for the methods.

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
        self.collection, self.dimension, self.ids = collection, dimension, ids

    @classmethod
    def create(cls, address: str, *, attribute: str, dimension: int) -> Self:
        """Create an empty collection under a name of its own.

        Args:
            address: as for `Collection`.
            attribute: goes into the collection's name.
            dimension: D.
        """
        word = re.sub("[^A-Za-z0-9_]", "_", attribute)
        collection = Collection(address, f"a_{word}_{uuid.uuid4().hex[:12]}")
        collection.create(dimension)
        return cls(collection, dimension, np.zeros(0, np.int64))

    def remove(self, ids: np.ndarray) -> None:
        places = find_ids(ids, self.ids)
        ids, vectors = self.ids[places], self.vectors(ids)
        try:
            self.collection.delete(ids)
        except BaseException:
            self.collection.write(ids, vectors, again=True)
            raise
        self.ids = np.delete(self.ids, places)

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        return self.collection.vectors(self.ids[find_ids(ids, self.ids)], self.dimension)

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Return the settings; no file is written.

        Raises:
            SearchIndexError: another index was saved in its place since: its vectors are gone.
        """
        self.collection.check_there()
        return {
            "address": absolute(self.collection.address),
            "collection": self.collection.name,
            "dimension": self.dimension,
        }

    @classmethod
    def load(cls, folder: Path, stem: str, settings: dict[str, Any], *, mapped: bool) -> Self:
        address, name, dimension = _checked(settings, folder)
        check_trusted(address, folder)
        if "://" not in address and not Path(address).exists():
            raise SearchIndexError(
                f"{address}: no such Milvus Lite database; build the index again"
            )
        collection = Collection(address, name)
        return cls(collection, dimension, collection.open())

    def drop(self) -> None:
        self.collection.drop()
        self.ids = np.zeros(0, np.int64)

    @staticmethod
    def drop_saved(folder: Path, settings: dict[str, Any], *, trusted: str) -> None:
        """Remove the collection of a saved backend that is no longer needed.

        Args:
            folder: of the saved index's version, as for `load`.
            settings: what `save` returned, read from a file: the values are checked.
            trusted: an address that needs no check, because the user named it.

        Raises:
            SearchIndexError: the settings are unusable or not trusted, or Milvus refuses.
        """
        address, name, _ = _checked(settings, folder)
        if address != trusted:
            check_trusted(address, folder)
        if "://" in address or Path(address).exists():
            Collection(address, name).drop()

    def _add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        try:
            self.collection.write(ids, vectors)
        except BaseException:
            self.collection.delete(ids)
            raise
        self.ids = np.sort(np.concatenate([self.ids, ids]))

    def _candidates(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        among = self.ids if allowed is None else np.intersect1d(self.ids, allowed)
        return (self._proposed(query, k, among) for query in queries)

    def _proposed(
        self, query: np.ndarray, k: int, among: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        fetch = k + MORE
        while fetch < min(len(self), MOST) and fetch < len(among):
            scores, ids, vectors = self.collection.search(query, fetch)
            usable = np.isin(ids, among)
            # What was not fetched scores at most as much as the last, up to rounding in float32.
            if usable.sum() >= k and scores[-1] < scores[usable][k - 1] - self._slack:
                return ids[usable], vectors[usable]
            fetch *= 4
        return among, self.vectors(among)


def _checked(settings: dict[str, Any], folder: Path) -> tuple[str, str, int]:
    """Return address, collection and dimension of a saved backend, or raise SearchIndexError."""
    address, name, dimension = (settings.get(key) for key in ("address", "collection", "dimension"))
    fit = isinstance(address, str) and isinstance(name, str) and re.fullmatch(r"a_\w{1,200}", name)
    if not fit or type(dimension) is not int:
        raise SearchIndexError(f"{folder}: unusable Milvus settings; build the index again")
    return address, name, dimension
