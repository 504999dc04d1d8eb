"""Pixels: a source image shrunk to the global branch's input, and scaled for a backbone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
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
    return _resized(images, (size, size))


def released_view(images: tf.Tensor, size: int) -> tf.Tensor:
    """Return the global input as the release makes it, to one grey level.

    The shorter side is resized to `size` (the longer one truncated to whole pixels), then the
    centre is cropped, its offset rounded half to even. `global_view` crops first: up to 0.8 px off.

    Args:
        images: `(B, H, W, 3)` uint8, whole upright images.
        size: side of the view in pixels.

    Returns:
        `(B, size, size, 3)` uint8.

    Example:
        100 x 251 px at size 50: resized to 50 x 125 px, of which the columns 38 to 87 are seen.
    """
    shape = tf.shape(images)[1:3]
    resized = size * shape // tf.reduce_min(shape)
    top, left = tf.unstack(tf.cast(tf.round((resized - size) / 2), tf.int32))
    return _resized(images, resized)[:, top : top + size, left : left + size]


def released_crops(
    images: tf.Tensor, rows: tf.Tensor, boxes: tf.Tensor, *, map_size: int, crop_size: int
) -> tf.Tensor:
    """Cut regions out of whole images as the release does, to one grey level.

    The box of the centre square is truncated to whole pixels of the image (start and side each; at
    least one pixel), cut, and resized with a filter as wide as it is shrunk.

    Args:
        images: `(B, H, W, 3)` uint8, whole upright images.
        rows: `(P,)` int32, the image of each region.
        boxes: `(P, 4)` int32 squares: top, left, bottom, right in pixels of a `map_size` frame.
        map_size: px, side of the frame of `boxes`.
        crop_size: px, side of the crops.

    Returns:
        `(P, crop_size, crop_size, 3)` uint8.

    Example:
        Of 90 x 151 px, the box (1, 2, 3, 4) of a frame of 8 px: its side of 22.5 px becomes 22, its
        start (11.25, 22.5) becomes (11, 22), and 30 more to the right, where the square begins.
    """
    shape = tf.shape(images)[1:3]
    short = tf.reduce_min(shape)
    given = tf.concat([boxes[:, :2], boxes[:, 2:3] - boxes[:, :1]], axis=1)  # top, left, side
    # Divided here: TensorFlow's graph optimiser would multiply by the reciprocal, which is rounded.
    shares = tf.gather(np.arange(map_size + 1) / map_size, given)
    pixels = tf.cast(shares * tf.cast(short, tf.float64), tf.int32)
    starts, sides = pixels[:, :2] + (shape - short) // 2, tf.maximum(pixels[:, 2], 1)

    def cut(region: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        row, (top, left), side = region[0], tf.unstack(region[1]), region[2]
        part = images[row, top : top + side, left : left + side]
        return _resized(part, (crop_size, crop_size))

    crop = tf.TensorSpec((crop_size, crop_size, 3), tf.uint8)
    return tf.map_fn(cut, (rows, starts, sides), fn_output_signature=crop)


def _resized(images: tf.Tensor, shape: tuple[int, int] | tf.Tensor) -> tf.Tensor:
    resized = tf.image.resize(images, shape, method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
