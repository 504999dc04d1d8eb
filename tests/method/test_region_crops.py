from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from naive_regions import naive_crop
from PIL import Image

from asen_tf.layers import RegionOfInterest, crop_regions
from asen_tf.layers.region_of_interest import crop_by_matrices, crop_by_sampling


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
    row = [(3 * 10 + 20) / 7, (10 + 3 * 20 + 3 * 30) / 7]
    np.testing.assert_allclose(crop[0, :, :, 0], [row, row], atol=1e-4)


@pytest.mark.parametrize("crop", [crop_by_sampling, crop_by_matrices])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0, 3.0, 3.65, 4.5, 6.0])
def test_a_region_larger_than_its_crop_is_not_aliased(crop: Callable, ratio: float) -> None:
    """Stripes finer than the crop's pixels vanish, stripes it can show stay."""
    source, side = 240, 32
    start = (source - ratio * side) / 2

    def amplitude(cycles: float) -> float:
        """Return what remains of stripes of so many cycles per crop pixel."""
        phase = 2 * np.pi * cycles / ratio * (np.arange(source) + 0.5)
        waves = np.stack([np.cos(phase), np.sin(phase), np.zeros(source)], axis=-1)
        images = np.broadcast_to(waves, (1, source, source, 3)).astype(np.float32)
        found = crop(images, tf.fill((1, 2), start), tf.fill((1, 2), ratio), side)
        return float(np.hypot(found[0, ..., 0], found[0, ..., 1]).max())

    assert amplitude(0.0) == pytest.approx(1.0, abs=1e-4)
    assert amplitude(0.1) > 0.94
    # A source cannot hold finer stripes than one cycle in two of its pixels.
    if ratio >= 2:
        assert amplitude(1.0) < 0.02
    if ratio >= 3:
        assert amplitude(1.5) < 0.12 if ratio == 3 else amplitude(1.5) < 0.07


@pytest.mark.parametrize("crop", [crop_by_sampling, crop_by_matrices])
def test_crops_are_those_of_pillow_to_a_grey_level(crop: Callable) -> None:
    image = noise(90, 90, 3)
    for left, top, right, bottom in ((0, 0, 90, 90), (20, 31, 61, 72), (70, 0, 90, 20)):
        box = (left, top, right, bottom)
        expected = Image.fromarray(image).resize((17, 17), Image.Resampling.BILINEAR, box=box)
        start, step = tf.constant([[top, left]], tf.float32), tf.fill((1, 2), (right - left) / 17)
        found = crop(image[None], start, step, 17)[0]
        np.testing.assert_allclose(found, np.asarray(expected), atol=1.1)


def test_a_crop_of_one_pixel_and_a_source_of_one_pixel() -> None:
    image = noise(1, 2, 2, 3)
    whole = tf.constant([[0, 0, 4, 4]])
    one = crop_regions(image, whole, map_size=4, crop_size=1)
    np.testing.assert_allclose(one[0, 0, 0], image[0].mean(axis=(0, 1)), atol=1e-3)
    flat = crop_regions(image[:, :1, :1], whole, map_size=4, crop_size=3)
    np.testing.assert_allclose(flat, np.tile(image[:, :1, :1], (1, 3, 3, 1)), atol=1e-3)


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
