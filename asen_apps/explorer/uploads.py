"""One's own image: limits that are checked before anything is decoded."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from asen_apps.explorer.errors import FORMATS, LARGEST_BYTES, LARGEST_PIXELS, ExplorerError
from asen_tf.data.images import ImageError, load_image

_NAME_SHOWN = 60  # characters


def check(name: str, content: bytes, size: int | None = None) -> None:
    """Check an uploaded file by its length and its header; decode nothing.

    Args:
        name: what the reader's machine calls the file; only shown.
        content: its bytes.
        size: its length as the browser gives it, when the browser has kept the bytes back.

    Raises:
        ExplorerError: it is empty, too long, no image of `FORMATS`, or of too many pixels.
    """
    shown, size = _shorten(name), max(size or 0, len(content))
    if size > LARGEST_BYTES:
        raise ExplorerError(
            f"{shown} is too large: it has {size / 2**20:.1f} MB, and at most "
            f"{LARGEST_BYTES / 2**20:.0f} MB can be taken. Choose a smaller copy of the picture."
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
            f"{shown} is too large: {width} x {height} pixels, and at most "
            f"{LARGEST_PIXELS // 10**6} million can be taken. Choose a smaller copy of the picture."
        )


def decode(name: str, content: bytes, side: int) -> np.ndarray:
    """Check an uploaded file, then decode it as the data's own images are.

    Args:
        name: what the reader's machine calls the file; only shown.
        content: its bytes.
        side: px.

    Returns:
        `(side, side, 3)` uint8, the centre square.

    Raises:
        ExplorerError: as for `check`, or the file is damaged.
    """
    check(name, content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"  # never the name that came with it
        path.write_bytes(content)
        try:
            return load_image(path, side)
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
