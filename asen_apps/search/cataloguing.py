"""From a shop's table or folder to an index: resumable, and brought up to date in place.

What has been embedded is kept in a journal beside the index until that is saved: after a kill the
same command goes on, and no image is embedded twice.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from asen_apps.search.backend import SearchIndexError, is_address
from asen_apps.search.catalogue_table import Sources
from asen_apps.search.frozen import open_embedder
from asen_apps.search.index import AttributeIndex
from asen_apps.search.items import UnusableError
from asen_apps.search.storage import FILES, MODEL, SOURCES
from asen_apps.search.vectors import check_attributes
from asen_tf.data.images import ImageError
from asen_tf.data.tables import IMAGE
from asen_tf.embedder import Embedder, ImageFile, model_file
from asen_tf.files import DiskFullError, file_digest, replacing, write_json

_MISSING = "no such file; check the path"
_AT_ONCE = 256  # vectors that are taken from the journal together


@dataclass
class Outcome:
    """What a command did.

    Attributes:
        added: paths.
        dropped: likewise.
        changed: likewise, embedded again.
        relabelled: how many other items have new metadata.
        total: items of the index now.
        unreadable: path and reason of each image that is left out.
    """

    total: int = 0
    added: list[Path] = field(default_factory=list)
    dropped: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)
    relabelled: int = 0
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


def make_index(
    model: Path | str,
    sources: Sources,
    out: Path,
    *,
    attributes: Sequence[str] | None = None,
    update: bool = False,
    say: Callable[[object], None] = print,
    **choices: Any,
) -> Outcome:
    """Make an index of a catalogue, or bring one up to date; a killed call is resumed.

    The index remembers the model's file and digest, where its images come from, and size, time and
    digest of each file. Images that cannot be read are listed in `<out>.unreadable.csv`.

    Args:
        model: as for `Embedder.load`.
        sources: of the images.
        out: the folder of the index.
        attributes: names; all that the model knows when None. An update keeps the index's own.
        update: change the index that is there: add what is new, drop what is gone, and embed again
            the files whose content has changed.
        say: called with sentences on what happens.
        **choices: `embedding`, `backend` and `dtype`, as for `AttributeIndex.build`.

    Raises:
        AnnotationError: the table breaks a rule.
        asen_tf.data.ImageError: a folder or list cannot be read, or there is no name.
        SearchIndexError: sources or choices are invalid, no image can be used, or another process
            writes this index.
        asen_tf.files.DiskFullError: there is no room for the vectors; known with the first of them.
    """
    paths, metadata, broken, notes = sources.read()
    for note in notes:
        say(note)
    model = model_file(model)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    part = out.absolute().with_name(f".{out.name}.part")
    lock = FileLock(part.with_name(part.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SearchIndexError(f"{out}: another command is writing it; wait for it") from None
    try:
        outcome = Outcome()
        embedder = open_embedder(model, ResumingEmbedder)
        digest = file_digest(model)
        if update:
            index = AttributeIndex.load(out, embedder, mapped=False)
            names, embedding = tuple(index.store.backends), index.store.embedding
        else:
            index = AttributeIndex.build(embedder, paths, metadata, **choices)
            names, embedding = tuple(attributes or embedder.attribute_names), index.store.embedding
        check_attributes(names, embedder.attribute_names)
        embedder.journal = Journal(part, f"{digest} {embedding}", names, say)
        if not is_address(index.store.backend):
            width = np.dtype(index.store.dtype).itemsize
            embedder.journal.after = lambda size: len(paths) * len(names) * (size * width + 8)
        files = _Files(index.notes.get(FILES, {}) if update else {}, outcome.unreadable)
        embedder.digests = files.digests
        index.store.skip = files.refuse
        for error in broken:
            files.refuse(error)
        if update:
            _change(index, paths, metadata, files, outcome)
        else:
            files.look_at(dict(zip(paths, index.ids.tolist(), strict=True)), progress=True)
            embedder.fill(paths, names, embedding)
            for name in names:
                index.prepare([name], progress=False)
            outcome.added = index.images
        if not len(index):
            raise SearchIndexError(f"{out}: not written: no image can be used")
        outcome.total = len(index)
        index.notes = {
            MODEL: {"path": str(model.absolute()), "sha256": digest},
            SOURCES: sources.note(),
            FILES: files.notes(zip(index.ids.tolist(), index.images, strict=True)),
        }
        try:
            index.save(out)
        finally:
            index.drop_unsaved()  # from Milvus, where a failed save would leave them
        _list_unreadable(out, outcome.unreadable)
        shutil.rmtree(part, ignore_errors=True)
        return outcome
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _change(
    index: AttributeIndex,
    paths: list[Path],
    metadata: list[dict[str, Any]],
    files: _Files,
    outcome: Outcome,
) -> None:
    """Bring an index up to date with what is there now."""
    old = {
        Path(os.path.abspath(p)): n for p, n in zip(index.images, index.ids.tolist(), strict=True)
    }
    rows = dict(zip(paths, metadata, strict=True))
    known = {path: old.get(path) for path in paths}
    files.look_at(known, progress=True)
    new = [path for path in paths if known[path] is None]
    changed = [path for path in paths if known[path] is not None and files.changed(path)]
    gone = [path for path in old if path not in rows or not path.exists()]
    changed = [path for path in changed if path.exists()]
    for path in paths:
        if known[path] is not None and not path.exists():
            files.refuse(UnusableError(path, _MISSING))
    names, embedding = tuple(index.store.backends), index.store.embedding
    index.embedder.fill([*changed, *new], names, embedding)
    ids = {path: old[path] for path in changed}
    index.remove([old[path] for path in [*gone, *changed]])
    following = iter(range(index.items.next_id, index.items.next_id + len(new)))
    ids |= {path: next(following) for path in new}
    wanted = list(ids)
    added = set(index.add(wanted, [rows[path] for path in wanted], list(ids.values())).tolist())
    outcome.dropped = gone
    outcome.changed = [path for path in changed if ids[path] in added]
    outcome.added = [path for path in new if ids[path] in added]
    for place, path in enumerate(map(Path, map(os.path.abspath, index.images))):
        if path in rows and index.items.metadata[place] != rows[path]:
            index.items.metadata[place] = rows[path]
            outcome.relabelled += 1


# === Files ===


class _Files:
    """Size, time and digest of every file, so that what has changed is found without embedding.

    Attributes:
        digests: path -> SHA-256 of its content; absent where it cannot be read.
    """

    def __init__(self, notes: dict[str, Any], unreadable: list[tuple[Path, str]]) -> None:
        self._before, self._unreadable = notes, unreadable
        self._now: dict[Path, list[Any]] = {}
        self._changed: set[Path] = set()
        self.digests: dict[Path, str] = {}

    def look_at(self, paths: dict[Path, int | None], *, progress: bool) -> None:
        """Take what is on disk for each path; the id is that of the item, None for a new one."""
        slow = progress and len(paths) > _AT_ONCE
        for path, number in tqdm(
            paths.items(), desc="reading", unit="image", disable=not slow, leave=False
        ):
            before = self._before.get(str(number)) if number is not None else None
            try:
                about = path.stat()
                same = before and before[:2] == [about.st_size, about.st_mtime_ns]
                digest = before[2] if same else file_digest(path)
            except OSError:
                continue
            self._now[path] = [about.st_size, about.st_mtime_ns, digest]
            self.digests[path] = digest
            if before is None or before[2] != digest:
                self._changed.add(path)

    def changed(self, path: Path) -> bool:
        """Return whether a file's content is not what it was."""
        return path in self._changed

    def refuse(self, error: UnusableError) -> None:
        """Take the error of an image that cannot be used."""
        if (error.path, error.reason) not in self._unreadable:
            self._unreadable.append((error.path, error.reason))

    def notes(self, items: Iterable[tuple[int, Path]]) -> dict[str, Any]:
        """Return what the index remembers: id -> size, time in ns, digest."""
        return {str(number): self._now[path] for number, path in items if path in self._now}


def _list_unreadable(out: Path, unreadable: list[tuple[Path, str]]) -> None:
    path = out.with_name(f"{out.name}.unreadable.csv")
    if not unreadable:
        path.unlink(missing_ok=True)
        return
    # Escaped: names in other encodings.
    form = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with replacing(path) as temporary, open(temporary, "w", **form) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([IMAGE, "reason"])
        writer.writerows(sorted(unreadable))


# === What has been embedded ===


class Journal:
    """Vectors and unreadable images by the digest of the file, as they come; a kill loses nothing.

    `vectors.bin` holds `(n, A, D)` float32; `done.txt` has a line per file, in that order: digest,
    checksum and row, or digest and the reason why it cannot be used.

    Args:
        folder: created if need be; what another model or choice left there is removed.
        key: names the model and the embedding.
        names: the A attributes.
        say: called with a sentence if there is something to go on with.

    Attributes:
        rows: digest -> row.
        broken: digest -> reason.
        after: the bytes that the index itself will take on this disk, from the vectors' dimension.
    """

    def __init__(
        self, folder: Path, key: str, names: Sequence[str], say: Callable[[object], None]
    ) -> None:
        self.names, self.rows, self.broken = tuple(names), {}, {}
        self.after: Callable[[int], int] = lambda dimension: 0
        self._vectors, self._done = folder / "vectors.bin", folder / "done.txt"
        about = {"key": key, "attributes": list(names)}
        try:
            with open(folder / "about.json", encoding="utf-8") as stream:
                usable = json.load(stream) == about
        except (OSError, ValueError):
            usable = False
        if not usable:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write_json(folder / "about.json", about)
        self._dimension = 0
        self._read()
        if self.rows:
            say(f"going on: {len(self.rows)} images were embedded before the last stop")

    def _read(self) -> None:
        """Take the whole lines whose vectors are there; cut off what a kill left half-written."""
        self._done.touch()
        self._vectors.touch()
        text = self._done.read_bytes()
        size, good = self._vectors.stat().st_size, 0
        for line in text.splitlines(keepends=True):
            parts = line.decode("utf-8", errors="replace").rstrip("\n").split(" ", 3)
            if not line.endswith(b"\n") or len(parts) != 4 or len(parts[0]) != 64:
                break
            digest, check, width, reason = parts
            if check == "-":
                self.broken[digest] = reason
            else:
                self._dimension = int(width)
                end = (len(self.rows) + 1) * self._bytes
                if end > size or self._check(len(self.rows)) != check:
                    break
                self.rows[digest] = len(self.rows)
            good += len(line)
        os.truncate(self._done, good)
        os.truncate(self._vectors, len(self.rows) * self._bytes)

    @property
    def _bytes(self) -> int:
        return 4 * len(self.names) * self._dimension

    def _check(self, row: int) -> str:
        with open(self._vectors, "rb") as stream:
            stream.seek(row * self._bytes)
            return f"{zlib.crc32(stream.read(self._bytes)):08x}"

    def check_room(self, count: int, dimension: int) -> None:
        """Raise DiskFullError unless so many more files, and then the index, find room."""
        folder = self._vectors.parent
        needed = 4 * count * len(self.names) * dimension + self.after(dimension)
        if needed > (free := shutil.disk_usage(folder).free):
            raise DiskFullError(
                f"{folder.parent}: no room for the vectors of {count:,} images and the index: "
                f"{needed:,} bytes needed, {free:,} bytes free; make room, choose another folder "
                "by --out, or fewer attributes by --attribute; the same command then goes on"
            )

    def add(self, digests: Sequence[str], vectors: np.ndarray) -> None:
        """Take the vectors of files, `(n, A, D)` float32."""
        self._dimension = vectors.shape[2]
        with open(self._vectors, "ab") as stream:
            stream.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        lines = []
        for digest, one in zip(digests, vectors, strict=True):
            self.rows[digest] = len(self.rows)
            check = zlib.crc32(np.ascontiguousarray(one, "<f4").tobytes())
            lines.append(f"{digest} {check:08x} {self._dimension} ok\n")
        self._append("".join(lines))

    def refuse(self, digest: str, reason: str) -> None:
        """Take why a file cannot be used."""
        self.broken[digest] = " ".join(reason.split())
        self._append(f"{digest} - 0 {self.broken[digest]}\n")

    def _append(self, lines: str) -> None:
        form = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
        with open(self._done, "a", **form) as stream:
            stream.write(lines)

    def get(self, digests: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Return `(n, len(names), D)` float32 of files that are there."""
        shape = (len(self.rows), len(self.names), self._dimension)
        stored = np.memmap(self._vectors, "<f4", "r", shape=shape)
        columns = [self.names.index(name) for name in names]
        rows = [self.rows[digest] for digest in digests]
        return np.stack([stored[rows, column] for column in columns], axis=1)


class ResumingEmbedder(Embedder):
    """An embedder that looks into a journal first, and notes there what it embeds.

    Attributes:
        journal: of the attributes that it is asked for.
        digests: path -> digest, of the files that can be read.
    """

    journal: Journal
    digests: dict[Path, str]

    def fill(self, paths: Sequence[Path], names: Sequence[str], embedding: str) -> None:
        """Embed files into the journal, with a bar of images per second and the time left."""
        done = sum(self._known(path) for path in paths)
        with tqdm(total=len(paths), initial=done, desc="embedding", unit="image") as bar:
            for places, _ in self._new(list(paths), names, embedding, bar):
                bar.update(len(places))
            bar.update(bar.total - bar.n)  # copies, and what is missing

    def batches(
        self,
        paths: Sequence[ImageFile],
        names: Sequence[str],
        embedding: str | None = None,
        skip: Callable[[ImageError], None] | None = None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield vectors as `Embedder` does, those of the journal first."""
        paths = [Path(path) for path in paths]
        for _ in self._new(paths, names, embedding, None):
            pass
        usable = []
        for place, path in enumerate(paths):
            digest = self.digests.get(path)
            if digest in self.journal.rows:
                usable.append(place)
            elif skip is not None:
                skip(UnusableError(path, self.journal.broken.get(digest, _MISSING)))
        for first in range(0, len(usable), _AT_ONCE):
            places = usable[first : first + _AT_ONCE]
            yield places, self.journal.get([self.digests[paths[p]] for p in places], names)

    def _known(self, path: Path) -> bool:
        digest = self.digests.get(path)
        return digest in self.journal.rows or digest in self.journal.broken

    def _new(
        self,
        paths: list[Path],
        names: Sequence[str],
        embedding: str | None,
        bar: tqdm | None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embed each content that the journal lacks, once, and note it there."""
        first = {self.digests[p]: p for p in reversed(paths) if p in self.digests}
        wanted = [path for digest, path in first.items() if not self._known(path)][::-1]
        rest = iter(wanted)

        def refuse(error: ImageError) -> None:
            told = str(error)  # errors come in the order of the files
            path = next(path for path in rest if told.startswith(f"{path}: "))
            self.journal.refuse(self.digests[path], told[len(f"{path}: ") :])
            if bar is not None:
                bar.update()

        checked = False
        for places, vectors in super().batches(wanted, names, embedding, refuse):
            if not checked:  # the dimension is known with the first vectors
                self.journal.check_room(len(wanted), vectors.shape[2])
                checked = True
            self.journal.add([self.digests[wanted[place]] for place in places], vectors)
            yield places, vectors


def sources_of(notes: dict[str, Any], folder: Path | str) -> Sources:
    """Return where an index's images come from; SearchIndexError if it does not remember that."""
    known = notes.get(SOURCES)
    try:
        return Sources(**{**known, "images": tuple(known["images"])})
    except (TypeError, KeyError):
        raise SearchIndexError(
            f"{folder}: does not remember where its images come from; name them"
        ) from None
