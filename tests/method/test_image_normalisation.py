from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_tf.layers import ImageNormalisation


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("mode", "preprocess"),
    [
        ("imagenet", keras.applications.densenet.preprocess_input),
        ("signed", keras.applications.resnet_v2.preprocess_input),
        ("caffe", keras.applications.resnet.preprocess_input),
        ("pixels", keras.applications.efficientnet.preprocess_input),
    ],
)
def test_each_mode_is_what_networks_of_keras_applications_see(
    mode: str, preprocess, dtype: type
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(dtype)
    scaled = ImageNormalisation(mode)(images)
    assert scaled.dtype == tf.float32
    np.testing.assert_allclose(scaled, preprocess(images.astype(np.float32)), atol=2e-4)


def test_a_hand_worked_pixel() -> None:
    # Green 255: (1 - 0.456) / 0.224; black: -mean / std.
    scaled = ImageNormalisation()(np.array([[[[0, 255, 0]]]], np.uint8))[0, 0, 0]
    np.testing.assert_allclose(scaled, [-2.117904, 2.428571, -1.804444], atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_comes_after_the_scaling(policy: str) -> None:
    images = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1).repeat(3, axis=-1) + 0.3
    layer = ImageNormalisation(dtype=policy)
    scaled = layer(images)
    assert scaled.dtype == layer.compute_dtype
    # Rounding the pixels first would be off by up to half a grey level, not by half a digit.
    exact = tf.cast(ImageNormalisation()(images), layer.compute_dtype)
    np.testing.assert_array_equal(tf.cast(scaled, tf.float32), tf.cast(exact, tf.float32))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="imagenet, signed, caffe, pixels, centred; got 'torch'"):
        ImageNormalisation("torch")
