"""Where a Milvus is: which names are addresses, and which addresses in a file are trusted."""

from __future__ import annotations

import os
from pathlib import Path

from asen_tf.retrieval.errors import RetrievalError

TRUSTED = "ASEN_TF_MILVUS"  # the environment variable that names an address to be trusted


def is_address(backend: str) -> bool:
    """Return whether a backend's name is the address of a Milvus server, or a Milvus Lite file."""
    return "://" in backend or backend.endswith(".db")


def absolute(address: str) -> str:
    """Return an address that does not depend on the working directory."""
    return address if "://" in address else str(Path(address).resolve())


def check_trusted(address: str, folder: Path) -> None:
    """Check that an address which a saved index names may be opened.

    An index is a file from somewhere, and an address in it could lead anywhere. A Milvus Lite
    database is trusted when it lies in the directory that holds the saved index, or below; any
    other address only when the environment variable `ASEN_TF_MILVUS` is that address.

    Args:
        address: what the saved index says.
        folder: of the version that is read, inside the saved index.

    Raises:
        RetrievalError: it is not trusted.
    """
    home = folder.resolve().parent.parent  # of the saved index, whose versions are folders
    if address == os.environ.get(TRUSTED):
        return
    if "://" in address or not Path(address).resolve().is_relative_to(home):
        raise RetrievalError(
            f"{folder}: the vectors are said to be in Milvus at {address!r}, which a file alone "
            f"may not decide; if you know the address, set the environment variable {TRUSTED} to it"
        )
