"""The region of interest: one graph for a batch against a loop over images with PIL."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from asen_tf.layers import RegionOfInterest

BATCH, SOURCE, GLOBAL, LOCAL, MAP = 48, 640, 224, 112, 14  # the paper's sizes, 16 triplets
THRESHOLD = 0.1


def box_of(heat: np.ndarray) -> np.ndarray:
    """Return left, top, right, bottom of one map's region, in the global frame."""
    resized = np.asarray(Image.fromarray(heat).resize((GLOBAL, GLOBAL), Image.BILINEAR))
    level = 255 * (resized - resized.min()) / (resized.max() - resized.min())
    rows, columns = np.nonzero(np.floor(level) > 255 * THRESHOLD)
    top, left = rows.min(), columns.min()
    height, width = rows.max() + 1 - top, columns.max() + 1 - left
    side = max(height, width)
    top = np.clip(top + height // 2 - side // 2, 0, GLOBAL - side)
    left = np.clip(left + width // 2 - side // 2, 0, GLOBAL - side)
    return np.array([left, top, left + side, top + side])


def cut_by_pil(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Let PIL cut and resize by the same filter, in compiled code of its own."""
    resized = Image.fromarray(image).resize((LOCAL, LOCAL), Image.BILINEAR, box=tuple(box))
    return np.asarray(resized, np.float32)


def one_by_one(maps: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do for each image what the layer does for the batch; return crops and boxes."""
    boxes = [box_of(heat) for heat in maps]
    crops = [
        cut_by_pil(one, box * (SOURCE / GLOBAL)) for one, box in zip(images, boxes, strict=True)
    ]
    return np.stack(crops), np.stack(boxes)


def some_input() -> tuple[np.ndarray, np.ndarray]:
    """Return maps with one hill each, and noise for images."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:MAP, :MAP]
    centres = rng.uniform(3, MAP - 3, (BATCH, 2, 1, 1))
    maps = np.exp(-((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / 6.0)
    images = rng.integers(0, 256, (BATCH, SOURCE, SOURCE, 3), np.uint8)
    return maps.astype(np.float32), images


def test_region_against_a_loop_over_images(paired: Any, notes: Any) -> None:
    """Boxes and crops of 48 images: the same boxes, and the same pixels to a grey level."""
    maps, images = some_input()
    layer = RegionOfInterest(GLOBAL, LOCAL, THRESHOLD)
    compiled = tf.function(lambda a, b: layer([a, b]))
    tensors = tf.constant(maps), tf.constant(images)
    crops, boxes = (part.numpy() for part in compiled(*tensors))
    theirs, same = one_by_one(maps, images)
    np.testing.assert_array_equal(boxes[:, [1, 0, 3, 2]], same)
    np.testing.assert_allclose(crops, theirs, atol=1.1)  # Pillow rounds twice
    ours, loop = paired(
        lambda: compiled(*tensors)[0].numpy(), lambda: one_by_one(maps, images), rounds=9
    )
    notes.add(
        "Region of interest of 48 images of 640 px, against a loop over images with Pillow",
        ours=f"{1000 * ours:.1f} ms",
        against=f"loop {1000 * loop:.1f} ms",
        ratio=loop / ours,
        goal="10x",
        met=loop / ours >= 10,
    )
