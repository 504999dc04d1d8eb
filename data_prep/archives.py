"""Unpacking zip files without trusting their names, their sizes, or that they are complete."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from asen_tf.data import AnnotationError
from asen_tf.files import write_text

MAX_BYTES = 200 * 2**30  # unpacked, of one archive; FashionAI's larger part has some 10 GB
MAX_FILES = 2_000_000
MAX_RATIO = 1000  # unpacked to packed size, of a file above a megabyte: JPEG hardly shrinks
_CHUNK = 2**20
_LONGEST_NAME = 255 - len("..part")  # bytes: file systems take 255, also for a temporary name
_UNSAFE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\\|[\x00-\x1f]")


def unpack(
    archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpack a zip file; after an interruption, a repeated call unpacks only what is missing.

    A member is written under a temporary name and renamed once its checksum is verified; an
    existing file is kept if size and checksum are right. When all members are there, a stamp is
    left, `.<archive>.unpacked`; unless the archive has changed since, the next call unpacks only
    members that are gone or of another size. What macOS adds, `__MACOSX/`, is left out.

    Args:
        archive: the zip file.
        folder: where to unpack to; made when absent.
        max_bytes: limit for all members together when unpacked.
        max_files: limit for their number.

    Raises:
        AnnotationError: the file is not a zip file, is damaged or encrypted, has a member that
            would leave the folder or is a link, exceeds the limits, or has names that this disk
            cannot hold.
    """
    try:
        identity = f"{archive.stat().st_size} {archive.stat().st_mtime_ns}\n"
    except OSError as error:
        raise AnnotationError(
            "cannot be read", path=archive, got=str(error), remedy="check the path and permissions"
        ) from None
    stamp = folder / f".{archive.name}.unpacked"
    stamped = stamp.is_file() and stamp.read_text(errors="replace") == identity
    with _opened(archive, folder) as opened:
        members = _files(opened)
        _check(archive, members, max_bytes, max_files)
        title = f"unpacking {archive.name}"
        for member in tqdm(members, desc=title, unit="file", mininterval=1.0):
            _unpack_member(opened, member, folder / member.filename, trusted=stamped)
        if not stamped:
            write_text(stamp, identity)


def members_of(archive: Path) -> list[str]:
    """Return the names of the files that `unpack` would unpack.

    Raises:
        AnnotationError: the file is not a complete zip file.
    """
    with _opened(archive, archive.parent) as opened:
        return [member.filename for member in _files(opened)]


@contextmanager
def _opened(archive: Path, folder: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever goes wrong with it becomes an error that names it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except AnnotationError:
        raise
    except OSError as error:
        raise AnnotationError(
            f"the archive must be readable and {folder} writable",
            path=archive,
            got=str(error),
            remedy="check whether the disk is full, or a name is taken by something else",
        ) from None
    except Exception as error:  # a damaged file raises errors of many kinds
        raise AnnotationError(
            "the archive must be a complete zip file",
            path=archive,
            got=str(error),
            remedy="compare its size with the source and download it again",
        ) from None


def _files(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [member for member in opened.infolist() if not member.is_dir()]
    return [member for member in members if not member.filename.startswith("__MACOSX/")]


def _check(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_files: int) -> None:
    def refuse(rule: str, got: object) -> None:
        raise AnnotationError(
            rule, path=archive, got=got, remedy="do not use this archive; get a trusted copy"
        )

    total = sum(member.file_size for member in members)
    if len(members) > max_files or total > max_bytes:
        refuse(
            f"an archive may hold {max_files:,} files and {max_bytes:,} bytes when unpacked",
            f"{len(members):,} files, {total:,} bytes",
        )
    places = [PurePosixPath(member.filename) for member in members]
    taken = {folder for place in places for folder in place.parents}  # "." among them
    for member, place in zip(members, places, strict=True):
        if _UNSAFE.search(member.orig_filename) or not member.filename:
            refuse("a member must stay inside the folder it is unpacked to", member.orig_filename)
        if place in taken:
            refuse("a member must have a name of its own, not that of another", member.filename)
        taken.add(place)
        if any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in place.parts):
            refuse(f"a name may have {_LONGEST_NAME} bytes", member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            refuse("a member must be a file, not a link", member.filename)
        if member.flag_bits & 0x1:
            refuse("a member must not be encrypted", member.filename)
        if member.file_size > max(_CHUNK, MAX_RATIO * member.compress_size):
            refuse(f"a member may grow to {MAX_RATIO} times its size", member.filename)


def _unpack_member(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, *, trusted: bool
) -> None:
    if target.is_file() and target.stat().st_size == member.file_size:
        if trusted or _checksum(target) == member.CRC:
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    written = 0
    with opened.open(member) as source, open(temporary, "wb") as sink:
        while chunk := source.read(_CHUNK):  # verifies the checksum at the end
            written += len(chunk)
            if written > member.file_size:  # the archive's directory lied
                raise zipfile.BadZipFile(f"{member.filename} is longer than it says")
            sink.write(chunk)
    if written < member.file_size:
        raise zipfile.BadZipFile(f"{member.filename} is shorter than it says")
    temporary.replace(target)  # its fixed name lets the next call overwrite what a kill has left


def _checksum(path: Path) -> int:
    found = 0
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found
