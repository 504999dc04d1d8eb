"""From image files to square pixel arrays: the loader, and where a pipeline takes its pixels from.

Sources are files, shrunk views of other images, or a cache on the disk. Names that are drawn into
pictures get a font of this machine that has their letters.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import PIL
from filelock import FileLock
from PIL import Image, ImageFont
from tqdm import tqdm

from asen_tf.data.fitting import check_fit, fit_square
from asen_tf.files import replacing

# In the names of caches: raise it with every change to what becomes of a file's pixels.
PIXELS = f"1-pillow{PIL.__version__}"
_ORIENTATION = 0x0112  # EXIF's tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
_BLOCK = 256  # images that are decoded or shrunk together
_HEADER = 4096  # bytes: more than a `.npy` file has beside its array
_NO_ROOM = "make room, or set cache_images=False, which decodes the images at every use"


class ImageError(ValueError):
    """An image file cannot be used."""


# === The loader ===


def load_image(path: str | Path, side: int | None, *, fit: str = "square") -> np.ndarray:
    """Decode an image file into the square that the models work on.

    By default that is the centre square of the upright image, resized to `side` with antialiasing.
    The release's "short side to 224, then centre crop" is that in the other order; its very pixels
    are made of the whole image (`asen_tf.layers.released_view`).

    Args:
        path: the file; see `load_upright` for what is handled.
        side: pixels; None for the whole upright image as it is.
        fit: "square", or "whole_edge" or "whole_mean" for the whole image on padding; see
            `asen_tf.data.fitting`. A model's own is `model.settings.fit`.

    Returns:
        `(side, side, 3)` uint8, RGB; or `(height, width, 3)`.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
        ValueError: unknown fit.
    """
    check_fit(fit)
    image = load_upright(path)
    try:
        return np.asarray(image) if side is None else fit_square(image, side, fit)
    except Exception as error:  # an image without pixels, or too large for the memory
        raise _unreadable(path, error) from error


def load_upright(path: str | Path) -> Image.Image:
    """Decode an image file into the upright RGB image that everything else is cut from.

    Args:
        path: a file in any format that Pillow reads, whatever its suffix; palettes, grey, alpha
            (over white), CMYK, 16 bits per pixel and EXIF rotation are handled.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
    """
    try:
        with Image.open(path) as opened:
            opened.load()  # first: only this turns TIFF files upright and records that
            turn = _TURNS.get(_orientation(opened))
            return as_rgb(opened if turn is None else opened.transpose(turn))
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path and the data folder") from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise _unreadable(path, error) from error


def upright_size(path: str | Path | BinaryIO) -> tuple[int, int]:
    """Return width and height of the upright image, without decoding it.

    Args:
        path: a file, or one opened for reading.

    Raises:
        OSError: the file is missing or not an image.
    """
    with Image.open(path) as opened:
        # Pillow gives the upright size of TIFF files at once.
        turned = opened.format != "TIFF" and _orientation(opened) in _SIDEWAYS
        return opened.size[::-1] if turned else opened.size


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in RGB, with 8 bits; transparent parts are laid over white."""
    if image.mode.startswith("I;16") or (image.mode == "I" and _is_16_bit(image)):
        # 16-bit grey, of which Pillow would clip everything above 255 to white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _is_16_bit(image: Image.Image) -> bool:
    """Return whether 32-bit grey comes of a PGM file; of a copy, which has no format, by values."""
    if image.format is not None:
        return image.format == "PPM"
    low, high = image.getextrema()
    return low >= 0 and 255 < high < 2**16


def _orientation(image: Image.Image) -> int | None:
    try:
        turn = image.getexif().get(_ORIENTATION)
        return turn if turn in _TURNS else None
    except Exception:  # EXIF data may hold anything, and the pixels do not depend on it
        return None


def _unreadable(path: str | Path, error: Exception) -> ImageError:
    return ImageError(f"{path}: not a readable image ({error}); replace or remove it")


# === Letters in pictures ===

# The one draws a box for every letter, the other only pictures, which matplotlib cannot scale.
_NO_LETTERS = re.compile("Last ?Resort|Emoji", re.IGNORECASE)


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont | None:
    """Return a font of `size` px that has a text's letters; None if this machine has none."""
    if text.isascii():
        return ImageFont.load_default(size)
    letters = frozenset("".join(text.split()))
    found = font_with(letters)
    return ImageFont.truetype(found[1], size) if found and found[2] == letters else None


@functools.cache
def font_with(letters: frozenset[str]) -> tuple[str, str, frozenset[str]] | None:
    """Return name and file of the font that has most of some letters, and which; None without."""
    from matplotlib.font_manager import fontManager  # reads the fonts of the machine once

    fonts = [font for font in fontManager.ttflist if not _NO_LETTERS.search(font.name)]
    fonts.sort(key=lambda font: (font.name, font.weight != 400, font.style != "normal", font.fname))
    best = max(fonts, key=lambda font: len(letters & letters_of(font.fname)), default=None)
    which = frozenset() if best is None else letters & letters_of(best.fname)
    return (best.name, best.fname, which) if which else None


@functools.cache
def letters_of(file: str) -> frozenset[str]:
    """Return the letters of a font; none if its file cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(file).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


# === Sources of images ===


class ImageSource(Protocol):
    """Anything that gives `(n, side, side, 3)` uint8 images for `n` integer indices."""

    side: int

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`."""


class FileImages:
    """Images decoded from their files at every use.

    Args:
        paths: image files.
        side: as for `load_image`; with None, only images of one size can be read together.
        fit: likewise.
        absent: indices of files that are known to be missing; no label refers to them, and they
            are black if asked for.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        side: int | None,
        *,
        fit: str = "square",
        absent: frozenset[int] = frozenset(),
    ) -> None:
        self.paths, self.side, self.fit, self.absent = tuple(paths), side, fit, absent
        self._threads = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8; raises `asen_tf.data.ImageError` for a bad file."""
        return np.stack(list(self._threads.map(self._load, indices)))

    def _load(self, index: int) -> np.ndarray:
        if index in self.absent:
            return np.zeros((self.side, self.side, 3), np.uint8)
        return load_image(self.paths[index], self.side, fit=self.fit)


class GlobalViews:
    """The global inputs of other images, shrunk by the models' own `global_view`.

    Args:
        source: the images to shrink.
        side: px, side of the global input.
    """

    def __init__(self, source: ImageSource, side: int) -> None:
        self.source, self.side = source, side

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8 views."""
        # Imported here: code that only decodes files, such as data_prep, needs no TensorFlow.
        from asen_tf.layers.pixels import global_view

        return global_view(self.source[indices], self.side).numpy()


class CachedImages:
    """Images computed once, kept in a file, and mapped into memory.

    The file is renamed into place when complete, so a killed run leaves no half-written cache; one
    that is damaged is made anew. Its name must identify the content: the caller puts the data's
    fingerprint into it. Of several processes, one makes it and the others wait.

    Args:
        images: where the images come from.
        path: the `.npy` file.
        description: what the progress bar says.

    Raises:
        asen_tf.files.DiskFullError: there is no room for it, which is known before it is begun.
    """

    def __init__(self, images: ImageSource, path: Path, *, description: str) -> None:
        self.side, shape = images.side, (len(images), images.side, images.side, 3)
        array = _mapped(path, shape)
        if array is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock") as lock:
                array = _mapped(path, shape)  # another process was faster
                if array is None:
                    _write(images, path, shape, description)
                    array = np.lib.format.open_memmap(path, mode="r")
                Path(lock.lock_file).unlink(missing_ok=True)
        self.array = array

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.array)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8 images."""
        return self.array[indices]


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the images of a cache file; None if there is none, or it is damaged."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError):  # of a file that is cut short, too
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _write(images: ImageSource, path: Path, shape: tuple[int, ...], description: str) -> None:
    room = {"needed": math.prod(shape) + _HEADER, "remedy": _NO_ROOM}
    # Written, not mapped: where a mapped file finds no room, the process dies without a word.
    with replacing(path, alone=True, **room) as temporary, open(temporary, "wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        if hasattr(os, "posix_fallocate"):
            stream.flush()
            os.posix_fallocate(stream.fileno(), stream.tell(), max(math.prod(shape), 1))
        with tqdm(total=len(images), desc=description, unit="image", mininterval=1.0) as bar:
            for start in range(0, len(images), _BLOCK):
                block = np.arange(start, min(start + _BLOCK, len(images)))
                stream.write(np.ascontiguousarray(images[block]))
                bar.update(len(block))
        stream.flush()
        os.fsync(stream.fileno())
