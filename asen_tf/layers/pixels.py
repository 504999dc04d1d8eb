"""Pixels: a source image shrunk to the global branch's input, and scaled for a backbone."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels in 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (123.68, 116.779, 103.939)  # RGB, of pixels in 0..255; not 255 times the above


@keras.saving.register_keras_serializable(package="asen_tf")
class ImageNormalisation(keras.layers.Layer):
    """Scales RGB pixels in 0..255 to what a backbone expects.

    Args:
        mode: "imagenet": `(x / 255 - mean) / std`, as ASEN++ and torchvision's networks; "signed":
            `x / 127.5 - 1`; "caffe": BGR minus the ImageNet mean; "pixels": unchanged. These
            three are what the networks of `keras.applications` were trained with. "centred":
            `(x - 127) / 128`, as EfficientNet-Lite.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        images: `(B, H, W, 3)` uint8 or float, RGB in 0..255.

    Returns:
        `(B, H, W, 3)` in the compute dtype.

    Raises:
        ValueError: for an unknown mode.
    """

    MODES = ("imagenet", "signed", "caffe", "pixels", "centred")

    def __init__(self, mode: str = "imagenet", **kwargs: Any) -> None:
        # Keras must not cast 8-bit pixels, nor round float pixels to half precision first.
        super().__init__(**{"autocast": False, **kwargs})
        if mode not in self.MODES:
            raise ValueError(f"mode must be one of {', '.join(self.MODES)}; got {mode!r}")
        self.mode = mode

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Return the scaled images."""
        pixels = tf.cast(images, tf.float32)
        if self.mode == "imagenet":
            pixels = (pixels / 255.0 - IMAGENET_MEAN) / IMAGENET_STD
        elif self.mode == "signed":
            pixels = pixels / 127.5 - 1.0
        elif self.mode == "centred":
            pixels = (pixels - 127.0) / 128.0
        elif self.mode == "caffe":
            pixels = (pixels - CAFFE_MEAN)[..., ::-1]
        return tf.cast(pixels, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mode": self.mode}


def global_view(images: tf.Tensor, size: int) -> tf.Tensor:
    """Shrink square source images to the global input, as 8-bit pixels.

    Antialiased bilinear resizing followed by rounding, as an image library would do on disk. The
    rounding is part of the contract: the data pipeline can store this view, or the model compute it
    on the fly, with the same digits.

    Args:
        images: `(B, S, S, 3)` uint8 or float in 0..255, square source images.
        size: side of the view in pixels.

    Returns:
        `(B, size, size, 3)` uint8.
    """
    resized = tf.image.resize(images, (size, size), method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
