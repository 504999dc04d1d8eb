"""From a shop's table or folder to an index: resumable, and brought up to date in place.

What has been embedded is kept in a journal beside the index until that is saved: after a kill the
same command goes on, and no image is embedded twice.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
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
from asen_apps.search.journal import AT_ONCE, MISSING, Journal, ResumingEmbedder
from asen_apps.search.storage import FILES, MODEL, SOURCES
from asen_apps.search.vectors import check_attributes
from asen_apps.search.versions import check_ours
from asen_tf.data.tables import IMAGE
from asen_tf.embedder import model_file
from asen_tf.files import file_digest, replacing

UNREADABLE = "{}.unreadable.csv"  # beside the index: what is left out, and why


@dataclass
class Outcome:
    """What a command did.

    Attributes:
        added: paths.
        dropped: likewise.
        changed: likewise, embedded again.
        relabelled: how many other items have new metadata.
        total: items of the index now.
        attributes: for which they are embedded.
        unreadable: path and reason of each image that is left out.
    """

    total: int = 0
    attributes: int = 0
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
    check_ours(out)
    paths, metadata, broken, notes = sources.read()
    for note in notes:
        say(note)
    model = model_file(model)
    part = beside(out, ".{}.part").absolute()
    part.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{part}.lock")
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
            _check_there(sources, index.images, paths)
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
            files.look_at(dict(zip(paths, index.ids.tolist(), strict=True)))
            embedder.fill(paths, names, embedding)
            for name in names:
                index.prepare([name], progress=False)
            outcome.added = index.images
        if not len(index):
            raise SearchIndexError(f"{out}: not written: no image can be used")
        outcome.total, outcome.attributes = len(index), len(index.store.backends)
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
        # Unlinked first, or one command could hold the file that goes and another a new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _check_there(sources: Sources, before: Iterable[Path], now: Iterable[Path]) -> None:
    """Raise if a folder has lost all its images: a disk may be away, and come back."""
    known, there = ([os.path.abspath(path) for path in paths] for paths in (before, now))
    for source in map(os.path.abspath, sources.images):
        below = os.path.join(source, "")
        if any(path.startswith(below) for path in known) and not any(
            path.startswith(below) for path in there
        ):
            raise SearchIndexError(
                f"{source}: images of the index are from there, and now there are none; bring them "
                "back, or, if that is right, name the model and all other folders, too"
            )


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
    files.look_at(known)
    new = [path for path in paths if known[path] is None]
    changed = [path for path in paths if known[path] is not None and files.changed(path)]
    gone = [path for path in old if path not in rows or not path.exists()]
    changed = [path for path in changed if path.exists()]
    for path in paths:
        if known[path] is not None and not path.exists():
            files.refuse(UnusableError(path, MISSING))
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
        self._refused: set[Path] = set()
        self.digests: dict[Path, str] = {}

    def look_at(self, paths: dict[Path, int | None]) -> None:
        """Take what is on disk for each path; the id is that of the item, None for a new one."""
        slow = len(paths) > AT_ONCE
        for path, number in tqdm(
            paths.items(), desc="reading", unit="image", disable=not slow, leave=False
        ):
            before = self._before.get(str(number)) if number is not None else None
            try:
                about = path.stat()
                same = before and before[:2] == [about.st_size, about.st_mtime_ns]
                digest = before[2] if same else file_digest(path)
            except FileNotFoundError:
                continue  # what embeds it says so
            except OSError as error:
                if before is None:
                    self.refuse(UnusableError(path, f"cannot be read ({error.strerror})"))
                continue
            self._now[path] = [about.st_size, about.st_mtime_ns, digest]
            self.digests[path] = digest
            if before is None or before[2] != digest:
                self._changed.add(path)

    def changed(self, path: Path) -> bool:
        """Return whether a file's content is not what it was."""
        return path in self._changed

    def refuse(self, error: UnusableError) -> None:
        """Take the error of an image that cannot be used; its first one counts."""
        if error.path not in self._refused:
            self._refused.add(error.path)
            self._unreadable.append((error.path, error.reason))

    def notes(self, items: Iterable[tuple[int, Path]]) -> dict[str, Any]:
        """Return what the index remembers: id -> size, time in ns, digest."""
        return {str(number): self._now[path] for number, path in items if path in self._now}


def beside(out: Path, form: str) -> Path:
    """Return a file beside an index and named after it, also where that is `.` or `..`.

    Args:
        out: the folder of the index.
        form: of the file's name, such as `{}.unreadable.csv`.
    """
    named = out.resolve() if out.name in ("", "..") else out
    return named.with_name(form.format(named.name))


def _list_unreadable(out: Path, unreadable: list[tuple[Path, str]]) -> None:
    path = beside(out, UNREADABLE)
    if not unreadable:
        path.unlink(missing_ok=True)
        return
    # Escaped: names in other encodings.
    form = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with replacing(path) as temporary, open(temporary, "w", **form) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([IMAGE, "reason"])
        writer.writerows(sorted(unreadable))


def sources_of(notes: dict[str, Any], folder: Path | str) -> Sources:
    """Return where an index's images come from; SearchIndexError if it does not remember that."""
    known = notes.get(SOURCES)
    try:
        return Sources(**{**known, "images": tuple(known["images"])})
    except (TypeError, KeyError):
        raise SearchIndexError(
            f"{folder}: does not remember where its images come from; name them"
        ) from None
