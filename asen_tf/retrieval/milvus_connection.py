"""Where a Milvus answers, and which addresses in a file are trusted."""

from __future__ import annotations

import os
from pathlib import Path

from pymilvus import MilvusClient

from asen_tf.retrieval.errors import RetrievalError

TRUSTED = "ASEN_TF_MILVUS"  # the environment variable that names an address to be trusted


def connect(address: str) -> MilvusClient:
    """Connect to a Milvus.

    Args:
        address: `http://host:19530` of a server, or the path of a Milvus Lite database, which ends
            in `.db` and is made if need be.

    Raises:
        RetrievalError: nothing answers there.
    """
    try:
        return MilvusClient(address, timeout=10)
    except Exception as error:  # Milvus, gRPC and the operating system raise their own kinds
        raise RetrievalError(
            f"{address}: no Milvus answers there ({error}); start the server, or name a Milvus "
            "Lite database, a path that ends in .db"
        ) from error


def check_trusted(address: str, folder: Path) -> None:
    """Check that an address which a saved index names may be opened.

    An index is a file from somewhere, and an address in it could lead anywhere. A Milvus Lite
    database is trusted when it lies in the directory that holds the saved index, or below; any
    other address only when the environment variable `ASEN_TF_MILVUS` is that address.

    Args:
        address: what the saved index says.
        folder: of the version that is read, inside the saved index.

    Raises:
        RetrievalError: it is not trusted, or there is no such database.
    """
    if address == os.environ.get(TRUSTED):
        return
    home = folder.resolve().parent.parent  # of the saved index, whose versions are folders
    if "://" not in address and Path(address).resolve().is_relative_to(home):
        if Path(address).exists():
            return
        raise RetrievalError(f"{address}: no such Milvus Lite database; build the index again")
    raise RetrievalError(
        f"{folder}: the vectors are said to be in Milvus at {address!r}, which a file alone may "
        f"not decide; if you know the address, set the environment variable {TRUSTED} to it"
    )
