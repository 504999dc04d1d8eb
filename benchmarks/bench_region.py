"""The region of interest: one graph for a batch against loops over images with NumPy and PIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from asen_tf.layers import RegionOfInterest

BATCH, SOURCE, GLOBAL, LOCAL, MAP = 48, 640, 224, 112, 14  # the paper's sizes, 16 triplets
THRESHOLD = 0.1

Crop = Callable[[np.ndarray, np.ndarray], np.ndarray]


def box_of(heat: np.ndarray) -> np.ndarray:
    """Return left, top, right, bottom of one map's region, in the global frame."""
    resized = np.asarray(Image.fromarray(heat).resize((GLOBAL, GLOBAL), Image.BILINEAR))
    level = 255 * (resized - resized.min()) / (resized.max() - resized.min())
    rows, columns = np.nonzero(np.floor(level) > 255 * THRESHOLD)
    top, left = rows.min(), columns.min()
    height, width = rows.max() + 1 - top, columns.max() + 1 - left
    side = max(height, width)
    top = np.clip(top - (side - height) // 2, 0, GLOBAL - side)
    left = np.clip(left - (side - width) // 2, 0, GLOBAL - side)
    return np.array([left, top, left + side, top + side])


def cut_by_pil(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Let PIL cut and resize: smoother pixels than the layer's, in compiled code of its own."""
    resized = Image.fromarray(image).resize((LOCAL, LOCAL), Image.BILINEAR, box=tuple(box))
    return np.asarray(resized, np.float32)


def cut_by_numpy(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Take the layer's samples, two by two of a crop pixel, and their mean."""
    shares = np.repeat(np.arange(LOCAL), 2) + np.tile([0.25, 0.75], LOCAL)
    y, x = (
        np.clip(box[at] + shares * (box[2] - box[0]) / LOCAL - 0.5, 0, SOURCE - 1) for at in (1, 0)
    )
    high, left = (np.minimum(axis.astype(int), SOURCE - 2) for axis in (y, x))
    down, right = (y - high)[:, None, None].astype("f4"), (x - left)[:, None].astype("f4")
    pixels = image[high] * (1 - down) + image[high + 1] * down
    pixels = pixels[:, left] * (1 - right) + pixels[:, left + 1] * right
    return pixels.reshape(LOCAL, 2, LOCAL, 2, 3).mean(axis=(1, 3))


def one_by_one(maps: np.ndarray, images: np.ndarray, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """Do for each image what the layer does for the batch; return crops and boxes."""
    boxes = [box_of(heat) for heat in maps]
    pairs = zip(images, boxes, strict=True)
    return np.stack([crop(image, box * (SOURCE / GLOBAL)) for image, box in pairs]), np.stack(boxes)


def some_input() -> tuple[np.ndarray, np.ndarray]:
    """Return maps with one hill each, and noise for images."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:MAP, :MAP]
    centres = rng.uniform(3, MAP - 3, (BATCH, 2, 1, 1))
    maps = np.exp(-((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / 6.0)
    images = rng.integers(0, 256, (BATCH, SOURCE, SOURCE, 3), np.uint8)
    return maps.astype(np.float32), images


@pytest.mark.parametrize("name", ["NumPy, the same pixels", "PIL, smoother pixels"])
def test_region_against_a_loop_over_images(paired: Any, notes: Any, name: str) -> None:
    """Boxes and crops of 48 images: the same boxes, and with NumPy the same pixels."""
    maps, images = some_input()
    crop = cut_by_numpy if name.startswith("NumPy") else cut_by_pil
    layer = RegionOfInterest(GLOBAL, LOCAL, THRESHOLD)
    compiled = tf.function(lambda a, b: layer([a, b]))
    tensors = tf.constant(maps), tf.constant(images)
    crops, boxes = (part.numpy() for part in compiled(*tensors))
    theirs, same = one_by_one(maps, images, crop)
    np.testing.assert_array_equal(boxes[:, [1, 0, 3, 2]], same)
    if crop is cut_by_numpy:
        np.testing.assert_allclose(crops, theirs, atol=0.05)  # of 255
    ours, loop = paired(
        lambda: compiled(*tensors)[0].numpy(), lambda: one_by_one(maps, images, crop), rounds=9
    )
    notes.add(
        f"Region of interest of 48 images of 640 px, against a loop over images with {name}",
        ours=f"{1000 * ours:.1f} ms",
        against=f"loop {1000 * loop:.1f} ms",
        ratio=loop / ours,
        goal="10x",
        met=loop / ours >= 10,
    )
