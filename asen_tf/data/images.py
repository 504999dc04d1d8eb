"""From an image file to a square source image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

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


class ImageError(ValueError):
    """An image file cannot be used."""


def load_image(path: str | Path, side: int) -> np.ndarray:
    """Decode an image file into the square that the models work on.

    The centre square of the upright image, resized to `side` with antialiasing. Cropping to the
    centre square first is the release's "short side to 224, then centre crop" in the other order.

    Args:
        path: a file in any format that Pillow reads; palettes, grey, alpha (over white), CMYK,
            16 bits per pixel and rotation by EXIF are dealt with.
        side: pixels.

    Returns:
        `(side, side, 3)` uint8, RGB.

    Raises:
        ImageError: if the file is missing, empty, truncated or no image.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            image = rgb(eight_bits(upright(opened)))
        square = min(image.size)
        left, top = (image.width - square) // 2, (image.height - square) // 2
        box = (left, top, left + square, top + square)
        return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path and the data folder") from error
    except Exception as error:  # Pillow's decoders let errors of many kinds through
        raise ImageError(f"{path}: not a readable image ({error}); replace or remove it") from error


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF data says; damaged EXIF data count as none."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # anything may stand there, and the pixels do not depend on it
        turn = None
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 16 bits with 8: Pillow would cut all above 255 off, to white."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image


def rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in RGB; what is transparent is laid over white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")
