"""Search indexes, one per method: made on first use, and kept for the next start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from asen_apps.explorer.catalogue import Catalogue
from asen_apps.explorer.errors import ExplorerError
from asen_apps.explorer.methods import Method
from asen_apps.search import AttributeIndex, SearchIndexError
from asen_tf.data import AnnotationError, fingerprint
from asen_tf.data.images import ImageError
from asen_tf.embedder import Embedder

FOLDER = ".explorer"  # in the study's folder
_AT_ONCE = 2000  # images; of larger catalogues only the attributes that are asked for are embedded
_CHUNK = 32  # images between two reports of progress

Progress = Callable[[int, int], None]  # images done, images in all


class ReportingEmbedder(Embedder):
    """An embedder that says how far it is.

    Attributes:
        report: called with the numbers of images done and in all, after every few images.
    """

    report: Progress | None = None

    def embed_all(
        self,
        paths: Iterable[Path | str],
        *,
        attributes: Sequence[str] | None = None,
        embedding: str | None = None,
        progress: bool = False,
        skip: Callable[[ImageError], None] | None = None,
    ) -> np.ndarray:
        """Embed image files as `Embedder` does, and report on the way."""
        paths, parts = list(paths), []
        for first in range(0, max(len(paths), 1), _CHUNK):
            chunk = paths[first : first + _CHUNK]
            parts.append(
                super().embed_all(chunk, attributes=attributes, embedding=embedding, skip=skip)
            )
            if self.report is not None:
                self.report(first + len(chunk), len(paths))
        width = max(part.shape[2] for part in parts)  # 0 where no file of a chunk could be used
        return np.concatenate(
            [
                part if part.shape[2] else np.full((*part.shape[:2], width), np.nan, np.float32)
                for part in parts
            ]
        )


class Indexes:
    """The indexes of a study's methods over one dataset's test images.

    Args:
        place: the study's directory; indexes are kept in `.explorer` inside it.
        data_dir: the directory of meta.json and the datasets.
    """

    def __init__(self, place: Path, data_dir: str | Path) -> None:
        """Remember the places; nothing is made yet."""
        self._place, self._data_dir = place, data_dir
        self._open: dict[str, AttributeIndex] = {}
        self._ready: dict[str, set[str]] = {}

    def ready(self, method: Method, attributes: Iterable[str]) -> bool:
        """Return whether a search needs no embedding of the catalogue."""
        return set(attributes) <= self._ready.get(method.name, set())

    def get(
        self,
        method: Method,
        embedder: ReportingEmbedder,
        catalogue: Catalogue,
        attributes: Iterable[str],
        report: Progress | None = None,
    ) -> AttributeIndex:
        """Return a method's index, with the attributes embedded.

        Images that cannot be read are not in it; each start tries them again.

        Args:
            method: whose embeddings it holds.
            embedder: of the same method.
            catalogue: what it searches.
            attributes: names that are about to be searched.
            report: called with images done and images in all while the catalogue is embedded.

        Raises:
            ExplorerError: no image of the catalogue can be read, or the data broke a rule since.
        """
        if method.name not in self._open:
            kept = _load(self._folder(method), embedder, catalogue)
            self._open[method.name] = kept or _build(embedder, catalogue)
        index, ready = self._open[method.name], self._ready.setdefault(method.name, set())
        wanted = set(attributes)
        if len(catalogue.ids) <= _AT_ONCE:
            wanted |= set(embedder.attribute_names)
        if wanted <= ready:
            return index
        embedded = False

        def note(done: int, total: int) -> None:
            nonlocal embedded
            embedded = True
            if report is not None:
                report(done, total)

        embedder.report = note
        try:
            names = [name for name in embedder.attribute_names if name in wanted]
            index.prepare(names, progress=False)
        finally:
            embedder.report = None
        if not len(index):
            del self._open[method.name]  # tried again at the next search
            raise ExplorerError(
                f"None of the {len(catalogue.ids)} test images of {method.dataset} can be read. "
                f"Put readable files into {self._data_dir}, or run `make study` again."
            )
        ready |= wanted
        if embedded:
            _save(index, self._folder(method))
        return index

    def _folder(self, method: Method) -> Path:
        try:
            data = fingerprint(self._data_dir, method.dataset)[:10]
        except AnnotationError as error:
            raise ExplorerError(f"The data cannot be read any more. {error}") from error
        return self._place / FOLDER / f"{method.name}-{data}"


def _load(folder: Path, embedder: Embedder, catalogue: Catalogue) -> AttributeIndex | None:
    """Return the index that an earlier start has kept; None if there is none to be used."""
    if not folder.exists():
        return None
    try:
        index = AttributeIndex.load(folder, embedder, skip=_tell)
        images, known, ids = _items(catalogue, set(catalogue.ids) - set(index.ids.tolist()))
        if ids and len(index.add(images, known, ids)):  # once unreadable, and repaired since
            _save(index, folder)
        return index
    except SearchIndexError as error:  # truncated, foreign, or of another version: made anew
        _tell(f"{folder}: not used, a new index is made ({error})")
        return None


def _build(embedder: Embedder, catalogue: Catalogue) -> AttributeIndex:
    images, known, ids = _items(catalogue, catalogue.ids)
    return AttributeIndex.build(embedder, images, known, ids=ids, skip=_tell)


def _items(
    catalogue: Catalogue, wanted: Iterable[int]
) -> tuple[list[Path], list[dict[str, bool]], list[int]]:
    """Return files, metadata and ids of images, as an index takes them."""
    ids = sorted(wanted)
    known = [{name: catalogue.knows(image, name) for name in catalogue.attributes} for image in ids]
    return [catalogue.path(image) for image in ids], known, ids


def _save(index: AttributeIndex, folder: Path) -> None:
    try:
        index.save(folder)
    except (OSError, SearchIndexError) as error:
        # A full or read-only disk, or a file that is not ours: the page works all the same, and
        # the next start is slower.
        _tell(f"{folder}: the index cannot be kept ({error})")


def _tell(what: object) -> None:
    with suppress(OSError):  # it may go to a file on the disk that is full
        print(what, file=sys.__stderr__)  # the terminal's: a page has replaced sys.stderr
