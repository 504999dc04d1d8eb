"""The manifest of a saved index: what its files are, and their checksums."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from asen_tf.files import file_digest
from asen_tf.retrieval.errors import RetrievalError

MANIFEST = "manifest.json"
FORMAT = 1
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AGAIN = "build the index again, or save it again from where it is whole"
_TYPES = {
    "model": str,
    "embedding": str,
    "backend": str,
    "dtype": str,
    "count": int,
    "next_id": int,
    "attributes": dict,
    "files": dict,
}


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write what `read_manifest` gives back; it adds format, sizes and checksums of the files."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
    }
    text = json.dumps({"format": FORMAT, **content, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="ascii", newline="\n")


def read_manifest(folder: Path, digest: str, *, verify: bool) -> dict[str, Any]:
    """Return a manifest that was found right, and so were the files that it lists.

    Args:
        folder: a version of a saved index.
        digest: the SHA-256 that the manifest must have.
        verify: compare the files' checksums, too, which reads them once; their names and sizes
            are compared in any case.

    Raises:
        RetrievalError: something is missing, truncated, changed, or not an index.
    """
    path = folder / MANIFEST
    text = _read(path)
    if hashlib.sha256(text).hexdigest() != digest:
        raise RetrievalError(f"{path}: not the file that was saved (wrong checksum); {_AGAIN}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RetrievalError(f"{path}: not JSON ({error}); {_AGAIN}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else content
        raise RetrievalError(f"{path}: must be of format {FORMAT}; got {found!r:.100}; {_AGAIN}")
    for name, kind in _TYPES.items():
        if type(content.get(name)) is not kind:
            found = f"{content.get(name)!r:.100}"
            raise RetrievalError(f"{path}: {name!r} must be {kind.__name__}; got {found}; {_AGAIN}")
    for name, entry in content["files"].items():
        _check_file(folder, name, entry, verify)
    return content


def _check_file(folder: Path, name: str, entry: Any, verify: bool) -> None:
    """Raise unless a file lies in the folder itself and is the one that was saved."""
    path = folder / name
    if not _FILE.fullmatch(name) or path.is_symlink():
        raise RetrievalError(f"{folder}: {name!r:.100} must be a file inside the folder; {_AGAIN}")
    if not isinstance(entry, dict) or not path.is_file():
        raise RetrievalError(f"{path}: missing, or not described; {_AGAIN}")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise RetrievalError(
            f"{path}: truncated or changed: {size} bytes instead of {entry.get('bytes')!r:.20}; "
            f"{_AGAIN}"
        )
    if verify and file_digest(path) != entry.get("sha256"):
        raise RetrievalError(f"{path}: not the file that was saved (wrong checksum); {_AGAIN}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RetrievalError(f"{path}: unreadable ({error.strerror}); {_AGAIN}") from error
