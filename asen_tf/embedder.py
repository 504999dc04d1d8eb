"""Your own images: from a saved model and image files to embeddings, maps and regions."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from asen_tf.data.fitting import Frame, frame_of
from asen_tf.data.images import ImageError, load_image, upright_size
from asen_tf.models import ModelFileError, SimilarityModel, load_saved
from asen_tf.models.base import attribute_index, chosen_embedding

# Images embedded together. Larger batches are slower on a CPU: what a layer passes on to the next
# one no longer fits into its caches.
_BATCH = 8
_AHEAD = 4 * _BATCH  # images that may be decoded and wait for the network

ImageFile = Path | str | BinaryIO  # a path, or a seekable file opened for reading


class EmbedderError(ValueError):
    """A model file cannot be used."""


@dataclass(frozen=True)
class Attention:
    """What a model attends to for an attribute.

    Attributes:
        map: `(h, w)` float32, non-negative, sum 1; it covers `crop`.
        region: left, top, right, bottom in pixels of the upright image: what the local branch
            sees, or would see. It may reach beyond the image, where the model sees padding.
        crop: `(S, S, 3)` uint8, the square that the model sees, at its source size, for drawing:
            the image's centre, or the whole image on padding, as the model's `settings.fit` says.
        frame: where `crop` lies in the upright image.
    """

    map: np.ndarray
    region: tuple[float, float, float, float]
    crop: np.ndarray
    frame: Frame


class Embedder:
    """Embeds image files with a saved model, which knows its attributes and image size.

    Args:
        model: any method of this package.

    Example:
        >>> embedder = Embedder.load("model.keras")
        >>> vector = embedder.embed("photo.jpg", "neckline_design")
    """

    def __init__(self, model: SimilarityModel) -> None:
        self.model = model

    @classmethod
    def load(cls, path: Path | str) -> Embedder:
        """Load a model that a run, `asen weights` or `save` wrote.

        No code from the file is run; see `asen_tf.models.load_saved`.

        Raises:
            EmbedderError: there is no such file, or it holds no model of this package.
        """
        try:
            return cls(load_saved(path))
        except ModelFileError as error:
            raise EmbedderError(str(error)) from error

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes that the model knows, in the order in which `embed_all` returns them."""
        return self.model.attribute_names

    def embed(self, path: ImageFile, attribute: str, *, embedding: str | None = None) -> np.ndarray:
        """Embed one image file for one attribute.

        Args:
            path: an image file, or one opened for reading.
            attribute: one of `attribute_names`.
            embedding: "global", "local" or "fused"; the best one that the model has by default.

        Returns:
            `(D,)` float32 of length 1: the dot product of two is the similarity, in [-1, 1].

        Raises:
            asen_tf.data.ImageError: the file cannot be used.
            ValueError: the model does not know the attribute or embedding.
        """
        images = self._prepared(path)[None]
        return _unit(self.model.embed(images, [attribute], embedding=embedding))[0]

    def embed_all(
        self,
        paths: Iterable[ImageFile],
        *,
        attributes: Sequence[str] | None = None,
        embedding: str | None = None,
        progress: bool = False,
        skip: Callable[[ImageError], None] | None = None,
    ) -> np.ndarray:
        """Embed image files for several attributes; the backbone sees each image once.

        Files are decoded in threads while the network runs. Vectors do not depend on which images
        are embedded together, up to rounding (1e-5).

        Args:
            paths: N image files.
            attributes: A names; None means all that the model knows.
            embedding: as for `embed`.
            progress: show a progress bar.
            skip: called with the error of each file that cannot be used, in the order of the
                files; its vectors are NaN. If None, the first such file raises.

        Returns:
            `(N, A, D)` float32, vectors of length 1; D is 0 if no file can be used.

        Raises:
            asen_tf.data.ImageError: a file cannot be used, and `skip` is None.
            ValueError: the model does not know an attribute or the embedding.
        """
        names = self.attribute_names if attributes is None else tuple(attributes)
        indices = np.array([attribute_index(self.attribute_names, name) for name in names])
        chosen = chosen_embedding(self.model.embedding_names, embedding)
        paths = list(paths)
        found = np.zeros((len(paths), len(names), 0), np.float32)  # D is known with a first vector
        with tqdm(total=len(paths), desc="embedding", unit="image", disable=not progress) as bar:
            for places, images in self._batches(paths, skip):
                rows = np.repeat(np.arange(len(images)), len(names))
                columns = np.tile(indices, len(images))
                outputs = self.model.embed_pairs(images, rows, columns, wanted=(chosen,))
                vectors = _unit(outputs[chosen]).reshape(len(images), len(names), -1)
                if not found.size:
                    found = np.full((len(paths), *vectors.shape[1:]), np.nan, np.float32)
                found[places] = vectors
                bar.update(places[-1] + 1 - bar.n)
        return found

    def attend(self, path: ImageFile, attribute: str) -> Attention:
        """Show what the model attends to for an attribute.

        Args:
            path: an image file, or one opened for reading.
            attribute: one of `attribute_names`.

        Raises:
            asen_tf.data.ImageError: the file cannot be used.
            ValueError: the model does not know the attribute, or has no attention.
        """
        images = self._prepared(path)[None]
        outputs = self.model.embed_pairs(
            images, [0], [attribute_index(self.attribute_names, attribute)]
        )
        if "attention" not in outputs:
            raise ValueError(f"a {type(self.model).__name__} has no attention; nothing to show")
        frame = frame_of(upright_size(path), self.model.source_size, self.model.settings.fit)
        top, left, bottom, right = (outputs["boxes"][0] / self.model.global_size).tolist()
        region = frame.pixels((left, top, right, bottom))
        return Attention(outputs["attention"][0], region, images[0], frame)

    def _prepared(self, path: ImageFile) -> np.ndarray:
        """Return an image file as the model takes it, `(S, S, 3)` uint8."""
        return load_image(path, self.model.source_size, fit=self.model.settings.fit)

    def _batches(
        self, paths: Sequence[ImageFile], skip: Callable[[ImageError], None] | None
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield places among the paths, and images `(B, S, S, 3)` of files that can be used."""
        places: list[int] = []
        images: list[np.ndarray] = []
        for place, image in enumerate(_decoded(paths, self._prepared)):
            if isinstance(image, ImageError):
                if skip is None:
                    raise image
                skip(image)
                continue
            places.append(place)
            images.append(image)
            if len(places) == _BATCH:
                yield places, np.stack(images)
                places, images = [], []
        if places:
            yield places, np.stack(images)


def _decoded(
    paths: Sequence[ImageFile], load: Callable[[ImageFile], np.ndarray]
) -> Iterator[np.ndarray | ImageError]:
    """Decode images in threads, a few ahead of the caller; yield them, or errors, in order."""

    def decode(path: ImageFile) -> np.ndarray | ImageError:
        try:
            return load(path)
        except ImageError as error:
            return error

    # An open file may be listed twice, and two threads cannot share its position.
    several = all(isinstance(path, str | Path) for path in paths)
    threads = ThreadPoolExecutor(min(os.cpu_count() or 1, _BATCH) if several else 1)
    waiting: deque[Future[np.ndarray | ImageError]] = deque()
    try:
        for path in paths:
            waiting.append(threads.submit(decode, path))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
