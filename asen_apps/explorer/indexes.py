"""Search indexes, one per method: made on first use, and kept for the next start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from asen_apps.explorer import ExplorerError
from asen_apps.explorer.gallery import Gallery
from asen_apps.explorer.methods import Method
from asen_apps.search import AttributeIndex, SearchIndexError
from asen_tf.data import AnnotationError, fingerprint
from asen_tf.data.images import ImageError
from asen_tf.embedder import Embedder, ImageFile

FOLDER = ".explorer"  # in the study's folder
_AT_ONCE = 2000  # images; larger galleries are only embedded for the attributes in use

ProgressCallback = Callable[[int, int], None]  # called with images done and images in all


class ReportingEmbedder(Embedder):
    """An embedder that reports its progress.

    Attributes:
        on_progress: called after every few images.
    """

    on_progress: ProgressCallback | None = None

    def batches(
        self,
        paths: Sequence[ImageFile],
        names: Sequence[str],
        embedding: str | None = None,
        skip: Callable[[ImageError], None] | None = None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embed image files as `Embedder` does, and report progress."""
        for places, vectors in super().batches(paths, names, embedding, skip):
            yield places, vectors
            if self.on_progress is not None:
                self.on_progress(places[-1] + 1, len(paths))
        if self.on_progress is not None:
            self.on_progress(len(paths), len(paths))


class Indexes:
    """The indexes of a study's methods over one dataset's test images.

    Args:
        place: the study's directory; indexes are kept in `.explorer` inside it.
        data_dir: the directory of meta.json and the datasets.
    """

    def __init__(self, place: Path, data_dir: str | Path) -> None:
        self._place, self._data_dir = place, data_dir
        self._open: dict[str, AttributeIndex] = {}

    def ready(self, method: Method, attributes: Iterable[str]) -> bool:
        """Return whether the gallery is already embedded for these attributes."""
        index = self._open.get(method.name)
        return index is not None and set(attributes) <= set(index.store.backends)

    def get(
        self,
        method: Method,
        embedder: ReportingEmbedder,
        gallery: Gallery,
        attributes: Iterable[str],
        on_progress: ProgressCallback | None = None,
    ) -> AttributeIndex:
        """Return a method's index, with the gallery embedded for some attributes.

        Images that cannot be read are left out; each start tries them again.

        Args:
            method: whose embeddings it holds.
            embedder: of the same method.
            gallery: the images that are indexed.
            attributes: names that are about to be searched.
            on_progress: called while the gallery is embedded.

        Raises:
            ExplorerError: no image of the gallery can be read, or the data is no longer valid.
        """
        if method.name not in self._open:
            self._open[method.name] = _load_or_build(self._folder(method), embedder, gallery)
        index, embedded = self._open[method.name], False
        wanted = attributes if len(gallery.ids) > _AT_ONCE else embedder.attribute_names

        def note(done: int, total: int) -> None:
            nonlocal embedded
            embedded = True
            if on_progress is not None:
                on_progress(done, total)

        embedder.on_progress = note
        try:
            index.prepare(wanted, progress=False)
        finally:
            embedder.on_progress = None
        if not len(index):
            del self._open[method.name]  # the next search tries again
            raise ExplorerError(
                f"None of the {len(gallery.ids)} test images of {method.dataset} can be read. "
                f"Put readable files into {self._data_dir}, or run `make study` again."
            )
        if embedded:
            _save(index, self._folder(method))
        return index

    def _folder(self, method: Method) -> Path:
        try:
            cache = self._place.parent / ".cache"  # as runs have it, for data that is read-only
            data = fingerprint(self._data_dir, method.dataset, cache)[:10]
        except AnnotationError as error:
            raise ExplorerError(f"The data can no longer be read. {error}") from error
        return self._place / FOLDER / f"{method.name}-{data}"


def _load_or_build(folder: Path, embedder: Embedder, gallery: Gallery) -> AttributeIndex:
    """Return the index that an earlier start has kept, or a new one if there is no usable one."""
    if folder.exists():
        try:
            index = AttributeIndex.load(folder, embedder, skip=_warn)
            # The project may have moved since.
            known = set(gallery.ids)
            index.items.images = [
                gallery.path(number) if number in known else path
                for number, path in zip(index.ids.tolist(), index.images, strict=True)
            ]
            images, labelled, ids = _items(gallery, set(gallery.ids) - set(index.ids.tolist()))
            if ids and len(index.add(images, labelled, ids)):  # unreadable then, repaired since
                _save(index, folder)
            return index
        except SearchIndexError as error:  # truncated, foreign or of another version
            _warn(f"{folder}: cannot be used, so a new index is made ({error})")
    images, labelled, ids = _items(gallery, gallery.ids)
    return AttributeIndex.build(embedder, images, labelled, ids=ids, skip=_warn)


def _items(
    gallery: Gallery, wanted: Iterable[int]
) -> tuple[list[Path], list[dict[str, bool]], list[int]]:
    """Return files, metadata (which attributes are labelled) and ids, as an index takes them."""
    ids, names = sorted(wanted), gallery.attributes
    labelled = [{name: gallery.is_labelled(image, name) for name in names} for image in ids]
    return [gallery.path(image) for image in ids], labelled, ids


def _save(index: AttributeIndex, folder: Path) -> None:
    try:
        index.save(folder)
    except (OSError, SearchIndexError) as error:
        # The disk is full or read-only, or the folder holds someone else's file: the page works
        # all the same, and the next start is slower.
        _warn(f"{folder}: the index cannot be kept ({error})")


def _warn(what: object) -> None:
    with suppress(OSError):  # the output may go to a file on the disk that is full
        print(what, file=sys.__stderr__)  # the terminal's: a page has replaced sys.stderr
