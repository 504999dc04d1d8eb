"""The region of interest: one graph for a batch against a loop over images with PIL."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from asen_tf.layers import RegionOfInterest

BATCH, SOURCE, GLOBAL, LOCAL, MAP = 48, 640, 224, 112, 14  # the paper's sizes, 16 triplets
THRESHOLD = 0.1


def one_by_one(maps: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Do for each image what the layer does for the batch."""
    crops = []
    for heat, image in zip(maps, images, strict=True):
        resized = np.asarray(Image.fromarray(heat).resize((GLOBAL, GLOBAL), Image.BILINEAR))
        level = 255 * (resized - resized.min()) / (resized.max() - resized.min())
        rows, columns = np.nonzero(np.floor(level) > 255 * THRESHOLD)
        top, left = rows.min(), columns.min()
        height, width = rows.max() + 1 - top, columns.max() + 1 - left
        side = max(height, width)
        top = np.clip(top - (side - height) // 2, 0, GLOBAL - side)
        left = np.clip(left - (side - width) // 2, 0, GLOBAL - side)
        box = np.array([left, top, left + side, top + side]) * (SOURCE / GLOBAL)
        crop = Image.fromarray(image).resize((LOCAL, LOCAL), Image.BILINEAR, box=tuple(box))
        crops.append(np.asarray(crop, np.float32))
    return np.stack(crops)


def some_input() -> tuple[np.ndarray, np.ndarray]:
    """Return maps with one hill each, and noise for images."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:MAP, :MAP]
    centres = rng.uniform(3, MAP - 3, (BATCH, 2, 1, 1))
    maps = np.exp(-((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / 6.0)
    images = rng.integers(0, 256, (BATCH, SOURCE, SOURCE, 3), np.uint8)
    return maps.astype(np.float32), images


def test_region_against_a_loop_over_images(paired: Any, notes: Any) -> None:
    """Boxes and crops of 48 images: same boxes, nearly the same pixels, less time."""
    maps, images = some_input()
    layer = RegionOfInterest(GLOBAL, LOCAL, THRESHOLD)
    compiled = tf.function(lambda a, b: layer([a, b])[0])
    tensors = tf.constant(maps), tf.constant(images)
    ours, loop = paired(
        lambda: compiled(*tensors).numpy(), lambda: one_by_one(maps, images), rounds=9
    )
    notes.add(
        "Region of interest of 48 images of 640 px, against a loop with NumPy and PIL",
        ours=f"{1000 * ours:.1f} ms",
        against=f"loop {1000 * loop:.1f} ms",
        ratio=loop / ours,
        goal="10x",
        met=loop / ours >= 10,
    )
