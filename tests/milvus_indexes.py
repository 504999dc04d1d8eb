"""An index of two attributes that may lie in Milvus, and a server on the network to put it on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from known_vectors import KnownEmbedder, paths, random_vectors

from asen_apps.search import AttributeIndex

COUNT = 60
EMBEDDER = KnownEmbedder(
    neck=random_vectors(2 * COUNT, 8), sleeve=random_vectors(2 * COUNT, 8, seed=1)
)
WEIGHTS = {"neck": 0.7, "sleeve": 0.3}


def built(backend: str, embedder: KnownEmbedder = EMBEDDER) -> AttributeIndex:
    metadata = [{"brand": "ab"[row % 2]} for row in range(COUNT)]
    return AttributeIndex.build(embedder, paths(COUNT), metadata, backend=backend)


def ranked(index: AttributeIndex) -> list[tuple[int, float]]:
    found = index.search("5.png", WEIGHTS, 12, {"brand": "a"})
    return [(hit.id, hit.score) for hit in found]


def collections(address: str) -> list[str]:
    """Return what a database of Milvus Lite holds, as it is on the disk."""
    return sorted(path.name for path in (Path(address) / "collections").glob("*"))


class Log:
    """What the server was asked, and what it is to refuse.

    Attributes:
        created: the consistency levels of new collections.
        defaults: of each search or query, whether it left the level to the collection.
        deletes: how many requests to delete are granted before one is refused.
    """

    def __init__(self) -> None:
        self.created: list[int] = []
        self.defaults: list[bool] = []
        self.deletes = 10**9


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Log]]:
    """Run Milvus Lite as a server; give its address."""
    import grpc
    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import MilvusLite
    from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

    log = Log()

    class Listening(MilvusServicer):
        def CreateCollection(self, request, context):
            log.created.append(request.consistency_level)
            return super().CreateCollection(request, context)

        def Search(self, request, context):
            log.defaults.append(request.use_default_consistency)
            return super().Search(request, context)

        def Query(self, request, context):
            log.defaults.append(request.use_default_consistency)
            return super().Query(request, context)

        def Delete(self, request, context):
            log.deletes -= 1
            if log.deletes == -1:
                status = common_pb2.Status(code=65535, reason="not now")
                return milvus_pb2.MutationResult(status=status)
            return super().Delete(request, context)

    database = MilvusLite(str(folder))
    running = grpc.server(ThreadPoolExecutor(4))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Listening(database), running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"http://127.0.0.1:{port}", log
    finally:
        running.stop(grace=2).wait()
        database.close()
