"""A query image in whatever form it comes, as something that image files are read from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from asen_tf.retrieval.errors import RetrievalError

QueryImage = Path | str | BinaryIO | np.ndarray


class _InMemory(io.BytesIO):
    """Bytes of an image; messages about it name it as what it is."""

    def __repr__(self) -> str:
        return "the query image"

    __str__ = __repr__


def query_file(image: QueryImage) -> Path | BinaryIO:
    """Return a query as a path or an open file, for `Embedder.embed` and `Embedder.attend`.

    Args:
        image: path of an image file; a binary file opened for reading, which is read to its end
            and left open; or pixels, `(H, W, 3)` or grey `(H, W)`, uint8.

    Raises:
        RetrievalError: it is something else.
    """
    if isinstance(image, str | Path):
        return Path(image)
    if isinstance(image, np.ndarray):
        grey, colour = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
        if image.dtype != np.uint8 or not (grey or colour) or 0 in image.shape:
            raise RetrievalError(
                "pixels must be (height, width, 3), 8-bit, dtype uint8; "
                f"got shape {image.shape}, {image.dtype}"
            )
        stored = _InMemory()
        Image.fromarray(np.ascontiguousarray(image)).save(stored, "PPM")  # lossless
        return stored
    content = image.read() if hasattr(image, "read") else None
    if not isinstance(content, bytes):
        raise RetrievalError(
            "a query must be the path of an image, a file opened with mode 'rb', or an array of "
            f"pixels; got {type(image).__name__}"
        )
    return _InMemory(content)
