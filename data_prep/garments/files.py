"""One image of the data set as a file, with a note of its labels until the set is complete."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

from PIL import Image

from data_prep.garments.render import Box, Rendering, render

Made = tuple[int, dict[str, int], dict[str, Box]]


def image_path(number: int) -> str:
    """Return the path of image ``number`` inside the folder of the data set."""
    return f"images/{number // 1000:03d}/{number:06d}.jpg"


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _encode(rendering: Rendering) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rendering.pixels).save(stream, "JPEG", quality=rendering.quality)
    return stream.getvalue()


def make_image(task: tuple[str, int, int, int]) -> Made:
    """Render one image unless it is finished; return its number, labels and boxes.

    ``task`` is (folder of the data set, seed, number, size). The note is written after the image:
    an image without a note is rendered again, to the same bytes.
    """
    root, seed, number, size = task
    path = Path(root) / image_path(number)
    note = path.with_suffix(".json")
    if path.exists() and note.exists():
        known = json.loads(note.read_text())
        return number, known["labels"], known["boxes"]
    rendering = render(seed, number, size)
    _write(path, _encode(rendering))
    _write(note, json.dumps({"labels": rendering.labels, "boxes": rendering.boxes}).encode())
    return number, rendering.labels, rendering.boxes
