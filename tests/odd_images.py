"""Images as shops have them: unusual modes and formats under the usual names, and broken files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

EVERY = 7  # one image of so many is an odd one


def _saved(image: Image.Image, kind: str, **more: object) -> bytes:
    image.save(stream := io.BytesIO(), kind, **more)
    return stream.getvalue()


def _turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it back
    return _saved(image.rotate(90, expand=True), "JPEG", exif=exif)


def _transparent(image: Image.Image) -> bytes:
    image = image.convert("RGBA")
    image.putalpha(128)
    return _saved(image, "PNG")


def _sixteen(image: Image.Image) -> bytes:
    return _saved(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG")


USABLE: dict[str, Callable[[Image.Image], bytes]] = {
    "grey": lambda image: _saved(image.convert("L"), "JPEG"),
    "CMYK": lambda image: _saved(image.convert("CMYK"), "JPEG"),
    "palette": lambda image: _saved(image.convert("P"), "PNG"),
    "transparent": _transparent,
    "turned": _turned,
    "black and white": lambda image: _saved(image.convert("1"), "PNG"),
    "16 bits": _sixteen,
    "one pixel": lambda image: _saved(image.resize((1, 1)), "JPEG"),
    "12,000 pixels": lambda image: _saved(image.resize((12_000, 40)), "JPEG"),
    "WebP": lambda image: _saved(image, "WEBP"),
}

BROKEN: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "a page": lambda data: b"<html><body>404</body></html>",
    "noise": lambda data: bytes(range(256)) * 4,
    "missing": lambda data: None,
}


def content(path: Path, number: int) -> bytes:
    """Return the bytes of an image file; every seventh becomes an odd one."""
    if number % EVERY != EVERY - 1:
        return path.read_bytes()
    make = list(USABLE.values())[number // EVERY % len(USABLE)]
    with Image.open(path) as opened:
        return make(opened.convert("RGB"))


def break_files(paths: list[Path]) -> dict[Path, str]:
    """Break image files in place, one in each way; return the way by path."""
    done = {}
    for path, (way, change) in zip(paths, BROKEN.items(), strict=True):
        data = change(path.read_bytes())
        path.unlink()  # it may be a link
        if data is not None:
            path.write_bytes(data)
        done[path] = way
    return done
