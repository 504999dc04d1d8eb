"""Your own images: from a saved model and image files to embeddings, maps and regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from asen_tf.data.fitting import Frame, frame_of
from asen_tf.data.images import ImageError, load_image, upright
from asen_tf.models import ModelFileError, SimilarityModel, load_saved
from asen_tf.models.base import attribute_index, chosen_embedding

_BATCH = 32  # images embedded together

ImageFile = Path | str | BinaryIO  # a path, or a seekable file opened for reading


class EmbedderError(ValueError):
    """A model file cannot be used."""


@dataclass(frozen=True)
class Attention:
    """Where a model looks for an attribute.

    Attributes:
        map: `(h, w)` float32, non-negative, sum 1; it covers `crop`.
        region: left, top, right, bottom in pixels of the upright image: what the local branch
            sees, or would see. It may reach beyond the image, where the model sees padding.
        crop: `(S, S, 3)` uint8, the square that the model sees, at its source size, for drawing:
            the image's centre, or all of it on padding, as the model's `settings.fit` says.
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

        Args:
            paths: N image files.
            attributes: A names; None means all that the model knows.
            embedding: as for `embed`.
            progress: show a progress bar.
            skip: called with the error of each file that cannot be used; its vectors are NaN. If
                None, the first such file raises.

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
        found = np.zeros(
            (len(paths), len(names), 0), np.float32
        )  # D is unknown until the first vector
        steps = range(0, len(paths), _BATCH)
        for first in tqdm(steps, desc="embedding", unit="batch", disable=not progress):
            batch = paths[first : first + _BATCH]
            images, usable = self._load(batch, skip)
            if not usable:
                continue
            rows = np.repeat(np.arange(len(images)), len(names))
            outputs = self.model.embed_pairs(images, rows, np.tile(indices, len(images)))
            vectors = _unit(outputs[chosen]).reshape(len(images), len(names), -1)
            if not found.size:
                found = np.full((len(paths), *vectors.shape[1:]), np.nan, np.float32)
            found[first + np.array(usable)] = vectors
        return found

    def attend(self, path: ImageFile, attribute: str) -> Attention:
        """Show where the model looks for an attribute.

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
        with Image.open(path) as opened:
            frame = frame_of(upright(opened).size, self.model.source_size, self.model.settings.fit)
        top, left, bottom, right = (outputs["boxes"][0] / self.model.global_size).tolist()
        region = frame.pixels((left, top, right, bottom))
        return Attention(outputs["attention"][0], region, images[0], frame)

    def _prepared(self, path: ImageFile) -> np.ndarray:
        """Return an image file as the model takes it, `(S, S, 3)` uint8."""
        return load_image(path, self.model.source_size, fit=self.model.settings.fit)

    def _load(
        self, paths: Sequence[ImageFile], skip: Callable[[ImageError], None] | None
    ) -> tuple[np.ndarray, list[int]]:
        """Return the images that can be used, and their positions among the paths."""
        side = self.model.source_size
        images, usable = [np.zeros((0, side, side, 3), np.uint8)], []
        for place, path in enumerate(paths):
            try:
                images.append(self._prepared(path)[None])
            except ImageError as error:
                if skip is None:
                    raise
                skip(error)
                continue
            usable.append(place)
        return np.concatenate(images), usable


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
