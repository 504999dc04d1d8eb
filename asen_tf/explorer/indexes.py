"""Search indexes, one per method: made on first use, and kept for the next start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from asen_tf.annotations import fingerprint
from asen_tf.data import ImageError
from asen_tf.embedder import Embedder
from asen_tf.explorer.catalogue import Catalogue
from asen_tf.explorer.methods import Method
from asen_tf.retrieval import AttributeIndex, RetrievalError

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
        return np.concatenate(parts)


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

        Args:
            method: whose embeddings it holds.
            embedder: of the same method.
            catalogue: what it searches.
            attributes: names that are about to be searched.
            report: called with images done and images in all while the catalogue is embedded.

        Raises:
            asen_tf.retrieval.RetrievalError: an image of the catalogue cannot be used.
        """
        if method.name not in self._open:
            folder = self._folder(method)
            self._open[method.name] = _load(folder, embedder) or _build(embedder, catalogue)
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
        ready |= wanted
        if embedded:
            _save(index, self._folder(method))
        return index

    def _folder(self, method: Method) -> Path:
        data = fingerprint(self._data_dir, method.dataset)[:10]
        return self._place / FOLDER / f"{method.name}-{data}"


def _load(folder: Path, embedder: Embedder) -> AttributeIndex | None:
    """Return the index that an earlier start has kept; None if there is none to be used."""
    if not folder.exists():
        return None
    try:
        return AttributeIndex.load(folder, embedder)
    except RetrievalError as error:  # truncated, foreign, or of another version: made anew
        print(f"{folder}: not used, a new index is made ({error})", file=sys.stderr)
        return None


def _build(embedder: Embedder, catalogue: Catalogue) -> AttributeIndex:
    images = [catalogue.path(image) for image in catalogue.ids]
    known = [
        {name: catalogue.knows(image, name) for name in catalogue.attributes}
        for image in catalogue.ids
    ]
    return AttributeIndex.build(embedder, images, known, ids=catalogue.ids)


def _save(index: AttributeIndex, folder: Path) -> None:
    try:
        index.save(folder)
    except OSError as error:  # a read-only or full disk: the page works, the next start is slower
        print(f"{folder}: the index cannot be kept ({error})", file=sys.stderr)
