from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from naive_regions import naive_crop

from asen_tf.layers import RegionOfInterest, crop_regions


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


BOXES = [  # of a frame of 12: corners, edges, the middle, one pixel, the whole
    (0, 0, 3, 3),
    (0, 9, 3, 12),
    (9, 0, 12, 3),
    (9, 9, 12, 12),
    (4, 0, 8, 4),
    (3, 5, 9, 11),
    (11, 6, 12, 7),
    (0, 0, 12, 12),
]


@pytest.mark.parametrize("compiled", [False, True], ids=["sampling", "xla"])
@pytest.mark.parametrize("size", [5, 12, 31])  # magnified, equal, shrunk
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_crops_follow_the_naive_loop(size: int, dtype: type, compiled: bool) -> None:
    images = noise(len(BOXES), size, size, 3).astype(dtype)
    crop = tf.function(
        lambda images, boxes: crop_regions(images, boxes, map_size=12, crop_size=7),
        jit_compile=compiled,
    )
    crops = crop(images, tf.constant(BOXES))
    assert crops.shape == (len(BOXES), 7, 7, 3) and crops.dtype == tf.float32
    for image, box, found in zip(images, BOXES, crops.numpy(), strict=True):
        np.testing.assert_allclose(found, naive_crop(image * 1.0, box, 12, 7), atol=0.01)


def test_the_worked_example() -> None:
    image = np.tile(np.array([0, 10, 20, 30], np.uint8)[None, None, :, None], (1, 4, 1, 3))
    crop = crop_regions(image, tf.constant([[0, 0, 224, 224]]), map_size=224, crop_size=2)
    np.testing.assert_allclose(crop[0, :, :, 0], [[5, 25], [5, 25]], atol=1e-4)


def test_a_crop_of_one_pixel_and_a_source_of_one_pixel() -> None:
    image = noise(1, 2, 2, 3)
    whole = tf.constant([[0, 0, 4, 4]])
    one = crop_regions(image, whole, map_size=4, crop_size=1)
    np.testing.assert_allclose(one[0, 0, 0], image[0].mean(axis=(0, 1)), atol=1e-3)
    flat = crop_regions(image[:, :1, :1], whole, map_size=4, crop_size=3)
    np.testing.assert_allclose(flat, np.tile(image[:, :1, :1], (1, 3, 3, 1)), atol=1e-3)


def test_fine_stripes_turn_grey_when_a_whole_frame_shrinks() -> None:
    # Stripes of one pixel, shrunk to a quarter: without smoothing they would stay black or white.
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_regions(stripes, tf.constant([[0, 0, 8, 8]]), map_size=8, crop_size=16)
    np.testing.assert_allclose(crop, np.full((1, 16, 16, 3), 127.5), atol=0.05)


def test_source_and_map_sizes_may_be_known_only_when_run() -> None:
    layer = RegionOfInterest(map_size=12, crop_size=7)
    run = tf.function(
        lambda attention, images: layer([attention, images]),
        input_signature=[
            tf.TensorSpec((None, None, None), tf.float32),
            tf.TensorSpec((None, None, None, 3), tf.uint8),
        ],
    )
    shapes = [tuple(output.shape) for output in run.get_concrete_function().outputs]
    assert shapes == [(None, 7, 7, 3), (None, 4)]
    for size, cells in ((9, 3), (40, 5)):
        attention = np.random.default_rng(size).random((2, cells, cells + 1)).astype(np.float32)
        images = noise(2, size, size, 3)
        for found, expected in zip(run(attention, images), layer([attention, images]), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_layer_compiles_with_xla() -> None:
    layer = RegionOfInterest(map_size=12, crop_size=7)
    attention = np.random.default_rng(3).random((4, 5, 6)).astype(np.float32) ** 6
    images = noise(4, 33, 33, 3)
    compiled = tf.function(lambda *inputs: layer(list(inputs)), jit_compile=True)
    crops, boxes = compiled(attention, images)
    expected_crops, expected_boxes = layer([attention, images])
    np.testing.assert_array_equal(boxes, expected_boxes)
    np.testing.assert_allclose(crops, expected_crops, atol=0.01)
