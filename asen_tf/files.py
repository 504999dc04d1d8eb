"""Files that are written completely or not at all, and notes that say what an error interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` unless the block raises.

    The temporary path has the final suffix (some writers choose their format by it), and may become
    a file or a directory. Nothing is left behind if the block raises.

    Args:
        path: the final place; its directory is created. An existing file is replaced, an existing
            directory is an error.

    Yields:
        The temporary path, in the same directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with LF line ends; a kill leaves no partial file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


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
