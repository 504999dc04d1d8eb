"""From an image file to a square source image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


class ImageError(ValueError):
    """An image file cannot be used."""


def load_image(path: str | Path, side: int) -> np.ndarray:
    """Decode an image file into the square that the models work on.

    The centre square of the upright image, resized to `side` with antialiasing. Cropping to the
    centre square first is the release's "short side to 224, then centre crop" in the other order.

    Args:
        path: a file in any format that Pillow reads; palettes, grey, alpha (over white), CMYK and
            rotation by EXIF are dealt with.
        side: pixels.

    Returns:
        `(side, side, 3)` uint8, RGB.

    Raises:
        ImageError: if the file is missing, empty, truncated or no image.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = Image.alpha_composite(
                    Image.new("RGBA", image.size, "white"), image.convert("RGBA")
                )
            image = image.convert("RGB")
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path and the data folder") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: not a readable image ({error}); replace or remove it") from error
    square = min(image.size)
    left, top = (image.width - square) // 2, (image.height - square) // 2
    box = (left, top, left + square, top + square)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))
