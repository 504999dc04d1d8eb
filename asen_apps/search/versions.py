"""The folder of a saved index: replaced as a whole, and checked file by file when it is read.

    index/CURRENT               "v0002 <SHA-256 of its manifest.json>": the version that counts
    index/v0002/                complete before CURRENT names it, never changed afterwards
    index/v0002/manifest.json   what the index is, and size and SHA-256 of every other file
    index/.lock                 held while a version is written

Renaming a file over another is atomic; renaming a folder over another is impossible. So each save
makes a new sub-folder under a temporary name, and its last step replaces the one small file: after
a kill, the old version counts or the new one. What a killed save left behind is removed by the next
one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from asen_apps.search.backend import SearchIndexError
from asen_tf.files import file_digest, replacing

POINTER, LOCK = "CURRENT", ".lock"
_TEMPORARY = ".tmp-"  # how names of unfinished files and folders begin, see `replacing`
_LINE = re.compile(r"(v\d{4,9}) ([0-9a-f]{64})\n")
_VERSION = re.compile(r"v(\d{4,9})")

MANIFEST = "manifest.json"
FORMAT = 1
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AGAIN = "build the index again, or save it again from an intact copy"
_TYPES = {
    **dict.fromkeys(("model", "embedding", "backend", "dtype"), str),
    **dict.fromkeys(("count", "next_id"), int),
    **dict.fromkeys(("attributes", "files"), dict),
}


# === Versions ===


@contextmanager
def new_version(folder: Path, needed: int = 0) -> Iterator[Path]:
    """Give an empty folder to fill, manifest included; it then becomes the version that counts.

    Everything is on disk before it counts. If the block raises, the old version stays.

    Args:
        folder: of the index.
        needed: bytes that will be written at least.

    Raises:
        SearchIndexError: the folder holds something other than an index.
        asen_tf.files.DiskFullError: there is no room, which is known before anything is written.
    """
    check_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        try:
            version = folder / f"v{_last_number(folder) + 1:04d}"
            with replacing(version, needed=needed) as temporary:
                temporary.mkdir()
                yield temporary
                for path in (*temporary.iterdir(), temporary):
                    _to_disk(path)
            _to_disk(folder)
            with replacing(folder / POINTER) as temporary:
                line = f"{version.name} {file_digest(version / MANIFEST)}\n"
                temporary.write_text(line, encoding="ascii", newline="\n")
                _to_disk(temporary)
            _to_disk(folder)
        finally:
            _clear(folder)


def current_version(folder: Path) -> tuple[Path, str]:
    """Return the version that counts, and the SHA-256 that its manifest must have.

    Raises:
        SearchIndexError: no saved index, or `CURRENT` is not as `new_version` writes it.
    """
    pointer = folder / POINTER
    try:
        text = pointer.read_bytes()[:200].decode("ascii", errors="replace")
    except OSError as error:
        raise SearchIndexError(
            f"{folder}: no saved index here ({error.strerror}); `save` writes one"
        ) from error
    line = _LINE.fullmatch(text)
    if line is None:
        raise SearchIndexError(
            f"{pointer}: must be a version and its checksum, one line; got {text!r:.100}; "
            "save the index again"
        )
    version = folder / line[1]
    if version.is_symlink():
        raise SearchIndexError(f"{version}: must be a folder, not a link; save the index again")
    return version, line[2]


def check_ours(folder: Path) -> None:
    """Raise unless a folder is absent, empty, an index, or what a killed first save left.

    Files that file managers leave in every folder do not count.
    """
    if folder.exists() and not folder.is_dir():
        raise SearchIndexError(f"{folder}: is a file; save to a folder")
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    ours = (POINTER, LOCK, ".DS_Store", "Thumbs.db", "desktop.ini")
    foreign = [
        name
        for name in names
        if name not in ours and not name.startswith(_TEMPORARY) and not _VERSION.fullmatch(name)
    ]
    if foreign:
        raise SearchIndexError(
            f"{folder}: holds other things ({min(foreign)}); move them away, or take a new folder"
        )


def _last_number(folder: Path) -> int:
    numbers = [_VERSION.fullmatch(path.name) for path in folder.iterdir()]
    return max((int(number[1]) for number in numbers if number), default=0)


def _clear(folder: Path) -> None:
    """Remove what does not count; readers that have it open keep it until they close it."""
    try:
        counts = current_version(folder)[0].name
    except SearchIndexError:
        counts = None
    for path in folder.iterdir():
        if path.name.startswith(_TEMPORARY) or (_VERSION.fullmatch(path.name) and counts):
            if path.is_dir() and not path.is_symlink():
                if path.name != counts:
                    shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# === The manifest ===


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write what `read_manifest` gives back; it adds format, sizes and checksums of the files."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
    }
    text = json.dumps({"format": FORMAT, **content, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="ascii", newline="\n")


def read_manifest(folder: Path, digest: str, *, verify: bool) -> dict[str, Any]:
    """Return a manifest after checking it and the files that it lists.

    Args:
        folder: a version of a saved index.
        digest: the SHA-256 that the manifest must have.
        verify: compare the files' checksums, too, which reads them once; their names and sizes
            are always compared.

    Raises:
        SearchIndexError: something is missing, truncated, changed, or not an index.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SearchIndexError(f"{path}: unreadable ({error.strerror}); {_AGAIN}") from error
    if hashlib.sha256(text).hexdigest() != digest:
        raise SearchIndexError(f"{path}: not the file that was saved (wrong checksum); {_AGAIN}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SearchIndexError(f"{path}: not JSON ({error}); {_AGAIN}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else content
        raise SearchIndexError(f"{path}: must be of format {FORMAT}; got {found!r:.100}; {_AGAIN}")
    for name, kind in _TYPES.items():
        if type(content.get(name)) is not kind:
            found = f"{content.get(name)!r:.100}"
            raise SearchIndexError(
                f"{path}: {name!r} must be {kind.__name__}; got {found}; {_AGAIN}"
            )
    for name, entry in content["files"].items():
        _check_file(folder, name, entry, verify)
    return content


def _check_file(folder: Path, name: str, entry: Any, verify: bool) -> None:
    """Raise unless a file lies in the folder itself and is the one that was saved."""
    path = folder / name
    if not _FILE.fullmatch(name) or path.is_symlink():
        raise SearchIndexError(
            f"{folder}: {name!r:.100} must be a file inside the folder; {_AGAIN}"
        )
    if not isinstance(entry, dict) or not path.is_file():
        raise SearchIndexError(f"{path}: missing, or not described; {_AGAIN}")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise SearchIndexError(
            f"{path}: truncated or changed: {size} bytes instead of {entry.get('bytes')!r:.20}; "
            f"{_AGAIN}"
        )
    if verify and file_digest(path) != entry.get("sha256"):
        raise SearchIndexError(f"{path}: not the file that was saved (wrong checksum); {_AGAIN}")
