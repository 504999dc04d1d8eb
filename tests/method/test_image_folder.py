"""An image by its content: whatever it is called, and however it is turned."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asen_tf.data import (
    AttributeTable,
    Split,
    load_upright,
)
from asen_tf.data.images import upright_size
from asen_tf.data.regions import boxes_in_square

PIXELS = np.zeros((20, 40, 3), np.uint8)
PIXELS[:10, :20], PIXELS[10:, 20:] = (250, 20, 20), (20, 20, 250)


def encoded(kind: str, orientation: int = 1, **more: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(stream := io.BytesIO(), kind, exif=exif, **more)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "more"), [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PNG", {})]
)
def test_an_image_is_turned_once_in_every_format(
    tmp_path: Path, orientation: int, kind: str, more: dict[str, str]
) -> None:
    path = tmp_path / "a.image"
    path.write_bytes(encoded(kind, orientation, **more))
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}  # quarters, after mirroring
    mirrored = PIXELS[:, ::-1] if orientation in (2, 4, 5, 7) else PIXELS
    expected = np.rot90(mirrored, turns[orientation])
    np.testing.assert_array_equal(np.asarray(load_upright(path)), expected)
    assert upright_size(path) == expected.shape[1::-1]
    table, nothing = AttributeTable(("hue",), (2,)), np.zeros((0, 3), np.int64)
    split = Split(tmp_path, "Tiny", "test", table, ("a.image",), nothing, nothing, nothing, ())
    height, width = expected.shape[:2]
    whole = {(0, 0): (0.0, 0.0, float(width), height / 2)}  # the upper half
    assert boxes_in_square(split, whole, side=20) == {(0, 0): (0.0, 0.0, 1.0, 0.5)}
