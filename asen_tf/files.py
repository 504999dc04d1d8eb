"""Files that are written completely or not at all, and notes that say what an error interrupted."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(OSError):
    """There is no room for a file; nothing of it was left behind."""


@contextmanager
def replacing(
    path: Path,
    *,
    needed: int = 0,
    alone: bool = False,
    remedy: str = "make room, or choose another folder",
) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` unless the block raises.

    The temporary path has the final suffix (some writers choose their format by it), and may become
    a file or a directory. Nothing is left behind if the block raises.

    Args:
        path: the final place; its directory is created. An existing file is replaced, an existing
            directory is an error.
        needed: bytes that will be written, if that is known: compared with what is free first.
        alone: no other process writes this path now; what killed ones left of it is removed.
        remedy: what to do about a full disk, for the error.

    Yields:
        The temporary path, in the same directory.

    Raises:
        DiskFullError: there is not enough room, or none is left while the block writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        for left in path.parent.glob(f".tmp-????????-{glob.escape(path.name)}"):
            _remove(left)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        if needed > shutil.disk_usage(path.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        _remove(temporary)
        if not _is_full(error):
            raise
        free, wanted = shutil.disk_usage(path.parent).free, f"{needed:,} needed, " if needed else ""
        raise DiskFullError(
            f"{path.parent}: no room for {path.name}: {wanted}{free:,} bytes free; {remedy}"
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_full(error: BaseException) -> bool:
    """Return whether a disk or a quota is full; HDF5 and TensorFlow have errors of their own."""
    full = isinstance(error, OSError) and error.errno in _FULL
    return full or any(os.strerror(number) in str(error) for number in _FULL)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with LF line ends; a kill leaves no partial file.

    Characters that UTF-8 cannot encode, as in file names of another encoding, are escaped.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented, in the given order of keys."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal; the file is read in pieces."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_NOTE = "_asen_tf_activity"


@contextmanager
def during(activity: str) -> Iterator[None]:
    """Add a note of what was being done to an error that leaves the block; the innermost counts.

    As a decorator, it treats each call of the function as the block.
    """
    try:
        yield
    except Exception as error:
        if activity_of(error) is None:
            setattr(error, _NOTE, activity)
        raise


def activity_of(error: BaseException) -> str | None:
    """Return what `during` noted on an error; None if it noted nothing."""
    return getattr(error, _NOTE, None)
