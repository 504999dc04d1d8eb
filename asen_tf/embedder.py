"""Your own images: from a saved model and image files to embeddings, maps and regions."""

from __future__ import annotations

import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from asen_tf.config import ExperimentConfig
from asen_tf.data.fitting import Frame, frame_of
from asen_tf.data.images import ImageError, as_rgb, load_image, upright_size
from asen_tf.models import ModelFileError, SimilarityModel, load_saved
from asen_tf.models.base import attribute_index, chosen_embedding

# Images embedded together. Larger batches are slower on a CPU: what a layer passes on to the next
# one no longer fits into its caches.
_BATCH = 8
_AHEAD = 4 * _BATCH  # images that may be decoded and wait for the network

_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # modes of Pillow that the format has
# A path, a file opened for reading, a Pillow image, or pixels: uint8, `(H, W, 3)` or grey `(H, W)`.
ImageFile = Path | str | BinaryIO | Image.Image | np.ndarray


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
        extent: where the map starts and ends on `crop`; see `asen_tf.backbones.map_extent`.
    """

    map: np.ndarray
    region: tuple[float, float, float, float]
    crop: np.ndarray
    frame: Frame
    extent: tuple[float, float] = (0.0, 1.0)


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

        Args:
            path: a `.keras` file, or the folder of a run or of a study; see `model_file`.

        Raises:
            EmbedderError: there is no such file, or it holds no model of this package.
        """
        try:
            return cls(load_saved(model_file(path)))
        except ModelFileError as error:
            raise EmbedderError(str(error)) from error

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes that the model knows, in the order in which `embed_all` returns them."""
        return self.model.attribute_names

    def embed(self, path: ImageFile, attribute: str, *, embedding: str | None = None) -> np.ndarray:
        """Embed one image file for one attribute.

        Args:
            path: an image file, one opened for reading, a Pillow image, or pixels.
            attribute: one of `attribute_names`.
            embedding: "global", "local" or "fused"; the best one that the model has by default.

        Returns:
            `(D,)` float32 of length 1: the dot product of two is the similarity, in [-1, 1].

        Raises:
            asen_tf.data.ImageError: the file cannot be used.
            ValueError: the model does not know the attribute or embedding.
        """
        return self.embed_all([path], attributes=[attribute], embedding=embedding)[0, 0]

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
            paths: N image files, Pillow images, or arrays of pixels.
            attributes: A names; None means all that the model knows.
            embedding: as for `embed`.
            progress: show a progress bar.
            skip: called with the error of each file that cannot be used, in the order of the
                files; its vectors are NaN. If None, the first such file raises.

        Returns:
            `(N, A, D)` float32, vectors of length 1; D is 0 if no file can be used.

        Raises:
            asen_tf.data.ImageError: a file cannot be used, and `skip` is None; or one image
                is given instead of several.
            ValueError: the model does not know an attribute or the embedding; or the attributes are
                one name, or none.
        """
        if isinstance(attributes, str) or (attributes is not None and not len(attributes)):
            raise ValueError(f"attributes must be several names; got {attributes!r}; write [...]")
        names = self.attribute_names if attributes is None else tuple(attributes)
        if isinstance(paths, str | Path | Image.Image) or getattr(paths, "ndim", 0) in (2, 3):
            raise ImageError(f"images must be several; got one {type(paths).__name__}; write [...]")
        paths = list(paths)
        found = np.zeros((len(paths), len(names), 0), np.float32)  # D is known with a first vector
        with tqdm(total=len(paths), desc="embedding", unit="image", disable=not progress) as bar:
            for places, vectors in self.batches(paths, names, embedding, skip):
                if not found.size:
                    found = np.full((len(paths), *vectors.shape[1:]), np.nan, np.float32)
                found[places] = vectors
                bar.update(places[-1] + 1 - bar.n)
        return found

    def batches(
        self,
        paths: Sequence[ImageFile],
        names: Sequence[str],
        embedding: str | None = None,
        skip: Callable[[ImageError], None] | None = None,
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield places among the paths and their vectors, `(B, A, D)`, as they are embedded.

        Arguments and errors are those of `embed_all`, which collects them.
        """
        indices = np.array([attribute_index(self.attribute_names, name) for name in names])
        chosen = chosen_embedding(self.model.embedding_names, embedding)
        for places, images in self._images(paths, skip):
            rows = np.repeat(np.arange(len(images)), len(names))
            columns = np.tile(indices, len(images))
            outputs = self.model.embed_pairs(images, rows, columns, wanted=(chosen,))
            yield places, _unit(outputs[chosen]).reshape(len(images), len(names), -1)

    def attend(self, path: ImageFile, attribute: str) -> Attention:
        """Show what the model attends to for an attribute.

        Args:
            path: as for `embed`.
            attribute: one of `attribute_names`.

        Raises:
            asen_tf.data.ImageError: the file cannot be used.
            ValueError: the model does not know the attribute, or has no attention.
        """
        path = image_file(path)
        side, fit = self.model.source_size, self.model.settings.fit
        outputs = self.model.embed_pairs(
            self._prepared(path)[None], [0], [attribute_index(self.attribute_names, attribute)]
        )
        if "attention" not in outputs:
            raise ValueError(f"a {type(self.model).__name__} has no attention; nothing to show")
        frame = frame_of(upright_size(path), side, fit)
        top, left, bottom, right = (outputs["boxes"][0] / self.model.global_size).tolist()
        region = frame.pixels((left, top, right, bottom))
        crop = load_image(path, side, fit=fit)
        return Attention(outputs["attention"][0], region, crop, frame, self.model.map_extent)

    def _prepared(self, path: ImageFile) -> np.ndarray:
        """Return an image file as the model takes it: `(S, S, 3)` uint8, or whole."""
        settings = self.model.settings
        side = None if settings.preprocessing == "release" else self.model.source_size
        return load_image(image_file(path), side, fit=settings.fit)

    def _images(
        self, paths: Sequence[ImageFile], skip: Callable[[ImageError], None] | None
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield places among the paths, and images `(B, S, S, 3)` of files that can be used.

        Whole images, which differ in size, come together with neighbours of the same size.
        """
        places: list[int] = []
        images: list[np.ndarray] = []
        for place, image in enumerate(_decoded(paths, self._prepared)):
            if isinstance(image, ImageError):
                if skip is None:
                    raise image
                skip(image)
                continue
            if places and (len(places) == _BATCH or image.shape != images[0].shape):
                yield places, np.stack(images)
                places, images = [], []
            places.append(place)
            images.append(image)
        if places:
            yield places, np.stack(images)


class _InMemory(io.BytesIO):
    """Bytes of an image, which messages call by a name that users understand."""

    def __repr__(self) -> str:
        return "the query image"

    __str__ = __repr__


def image_file(image: ImageFile) -> Path | BinaryIO:
    """Return an image as a path, or as a file that can be read more than once.

    Args:
        image: a path; a binary file opened for reading, which is read to its end and left open; a
            Pillow image; or pixels, `(H, W, 3)` or grey `(H, W)`, uint8.

    Raises:
        ImageError: it is something else, or cannot be read: it is closed, or cut off.
    """
    if isinstance(image, str | Path):
        return Path(image)
    try:
        return _in_memory(image)
    except ImageError:
        raise
    except Exception as error:  # closed, cut off, or whatever else Pillow's decoders raise
        what = f"the {type(image).__name__} cannot be read ({error}); open it again, or replace it"
        raise ImageError(what) from error


def _in_memory(image: BinaryIO | Image.Image | np.ndarray) -> _InMemory:
    """Return an image that is no path as a file in memory."""
    if isinstance(image, _InMemory):
        return image
    if isinstance(image, np.ndarray):
        flat = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        if image.dtype != np.uint8 or not flat or 0 in image.shape:
            got = f"got shape {image.shape}, {image.dtype}"
            raise ImageError(f"pixels must be (height, width, 3), 8-bit, dtype uint8; {got}")
        image = Image.fromarray(np.ascontiguousarray(image))
    if isinstance(image, Image.Image):
        stored = _InMemory()  # without loss, and read as any file is
        known = image if image.mode in _OF_PNG else as_rgb(image)
        known.save(stored, "PNG", exif=image.getexif(), compress_level=0)
        return stored
    seekable = image.seekable() if hasattr(image, "seekable") else hasattr(image, "seek")
    if seekable:
        image.seek(0)  # it may be listed twice
    content = image.read() if seekable else None
    if not isinstance(content, bytes):
        what = "the path of an image, a file opened with mode 'rb', a Pillow image, or pixels"
        raise ImageError(f"an image must be {what}; got {type(image).__name__}")
    return _InMemory(content)


def model_file(path: Path | str) -> Path:
    """Return the model's file: the path itself, or the one in the folder of a run or a study.

    Of a study's finished runs it is one of ASEN++, without a variation: its settings differ least
    from those of all others. Of several it is the one with the lowest seed, then the newest.

    Raises:
        EmbedderError: a folder holds no model, or it cannot be told which one is meant.
    """
    path = Path(path)
    if not path.is_dir() or (path / "model.keras").is_file():
        return path / "model.keras" if path.is_dir() else path
    found = sorted(path.glob("[!.]*/model.keras"))  # hidden folders are unfinished runs
    chosen = _plain(found) if len(found) > 1 else found
    if len(chosen) != 1:
        names = ", ".join(one.parent.name for one in chosen or found) or "none"
        raise EmbedderError(f"{path}: must hold one model.keras; found: {names}; give its path")
    return chosen[0]


def _plain(models: Sequence[Path]) -> list[Path]:
    """Return the one of ASEN++ that `model_file` means, or those among which it cannot tell."""
    runs = []
    for file in models:
        # What is not finished, or not as a run writes it, does not count.
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            made = str(json.loads(file.with_name("manifest.json").read_bytes())["created"])
            held = json.loads(file.with_name("config.json").read_bytes())
            settings = ExperimentConfig.from_dict(held).to_dict()
            seed = settings.pop("seed")
            settings["dataset"] = settings["dataset"].removesuffix(f"-{seed}")  # of a fold
            runs.append((settings, (-seed, made, file)))
    kinds = [one for n, (one, _) in enumerate(runs) if one not in [run[0] for run in runs[:n]]]
    apart = [sum(one[name] != other[name] for other in kinds for name in one) for one in kinds]
    own = [(many, n) for n, many in enumerate(apart) if kinds[n]["method"] == "asen_pp"]
    nearest = [kinds[n] for many, n in own if many == min(own)[0]] or kinds
    found = [run for settings, run in runs if settings in nearest]
    return [run[2] for run in ([max(found)] if len(nearest) == 1 else found)]


def _decoded(
    paths: Sequence[ImageFile], load: Callable[[ImageFile], np.ndarray]
) -> Iterator[np.ndarray | ImageError]:
    """Decode images in threads, a few ahead of the caller; yield them, or errors, in order."""

    def decode(path: ImageFile) -> np.ndarray | ImageError:
        try:
            return load(path)
        except ImageError as error:
            return error

    # An open file may be listed twice, and two threads cannot share its position; a Pillow image
    # that is not loaded yet is one, too.
    several = not any(hasattr(path, "read") or isinstance(path, Image.Image) for path in paths)
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
