"""What is searched with: a test image, or an uploaded file that is checked before it is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from asen_apps.explorer import LARGEST_BYTES, ExplorerError
from asen_tf.data.images import ImageError, load_image

LARGEST_PIXELS = 50_000_000  # a phone's photograph has 12 to 50 million
# Pillow reads many more formats, some by starting other programs: none of those here.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_NAME_SHOWN = 60  # characters


@dataclass(frozen=True)
class Query:
    """The image that is searched with.

    Attributes:
        title: its name on the page.
        image: its file index in the test split; None for an uploaded one.
        content: the bytes of an uploaded file.
    """

    title: str
    image: int | None = None
    content: bytes = b""


def check(name: str, content: bytes, size: int | None = None) -> None:
    """Check an uploaded file by its length and its header, without decoding it.

    Args:
        name: the file's name on the visitor's machine; only shown.
        content: its bytes.
        size: its length as the browser gives it: the browser holds back a file that is too large.

    Raises:
        ExplorerError: it is empty, too large, of no format in `FORMATS`, or has too many pixels.
    """
    shown, size = _shorten(name), max(size or 0, len(content))
    if size > LARGEST_BYTES:
        raise ExplorerError(
            f"{shown} is too large: it has {size / 2**20:.1f} MB, and the limit is "
            f"{LARGEST_BYTES / 2**20:.0f} MB. Choose a smaller copy."
        )
    if not content:
        raise ExplorerError(f"{shown} is empty. Choose another file.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            width, height = opened.size
    except Image.DecompressionBombError:
        raise ExplorerError(f"{shown} has far too many pixels. Choose a smaller copy.") from None
    except (OSError, ValueError, SyntaxError):
        raise _unreadable(shown) from None
    if width * height > LARGEST_PIXELS:
        raise ExplorerError(
            f"{shown} is too large: it has {width} x {height} pixels, and the limit is "
            f"{LARGEST_PIXELS // 10**6} million. Choose a smaller copy."
        )


def decode(name: str, content: bytes, side: int, fit: str = "square") -> np.ndarray:
    """Check an uploaded file, then decode it the way the dataset's own images are decoded.

    Args:
        name: the file's name on the visitor's machine; only shown.
        content: its bytes.
        side: px.
        fit: how it becomes a square, as for `asen_tf.data.load_image`.

    Returns:
        `(side, side, 3)` uint8.

    Raises:
        ExplorerError: as for `check`, or the file is damaged.
    """
    check(name, content)
    try:
        return load_image(io.BytesIO(content), side, fit=fit)
    except ImageError:
        raise _unreadable(_shorten(name)) from None


def _unreadable(name: str) -> ExplorerError:
    kinds = ", ".join(FORMATS[:-1])
    return ExplorerError(
        f"{name} is not an image that can be read. Choose a {kinds} or {FORMATS[-1]} file."
    )


def _shorten(name: str) -> str:
    printable = "".join(letter for letter in name if letter.isprintable()) or "The file"
    if len(printable) <= _NAME_SHOWN:
        return printable
    return printable[: _NAME_SHOWN - 3] + "..."
