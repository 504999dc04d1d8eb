"""One image of the dataset as a file, with a note of its labels until the set is complete."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from asen_tf.files import replacing, write_text
from data_prep.garments.render import Box, Rendering, render

Made = tuple[int, dict[str, int], dict[str, Box]]


def image_path(number: int) -> str:
    """Return the path of image `number` inside the folder of the dataset."""
    return f"images/{number // 1000:03d}/{number:06d}.jpg"


def _encode(rendering: Rendering) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rendering.pixels).save(stream, "JPEG", quality=rendering.quality)
    return stream.getvalue()


def make_image(task: tuple[str, int, int, int]) -> Made:
    """Render one image unless it is finished; return its number, labels and boxes.

    `task` is (folder of the dataset, seed, number, size). The note is written after the image:
    an image without a note is rendered again, to the same bytes.
    """
    root, seed, number, size = task
    path = Path(root) / image_path(number)
    note = path.with_suffix(".json")
    if path.exists() and note.exists():
        known = json.loads(note.read_text())
        return number, known["labels"], known["boxes"]
    rendering = render(seed, number, size)
    with replacing(path) as temporary:
        temporary.write_bytes(_encode(rendering))
    write_text(note, json.dumps({"labels": rendering.labels, "boxes": rendering.boxes}))
    return number, rendering.labels, rendering.boxes
