"""Random changes of training images that leave every attribute's value as it is.

For the pretraining step alone: the paper trains its two stages without augmentation.
"""

from __future__ import annotations

import tensorflow as tf

_SCALE = 0.05  # zoom by up to this share, in or out
_SHIFT = 0.06  # move by up to this share of the side


def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirror, zoom and move images, each in its own way.

    Args:
        images: `(B, H, W, 3)` uint8.
        seed: `(2,)` integers; the result is a pure function of images and seed.

    Returns:
        `(B, H, W, 3)` uint8. Where a moved image ends, its edge is repeated.
    """
    batch, side = tf.shape(images)[0], tf.cast(tf.shape(images)[2], tf.float32)
    noise = tf.random.stateless_uniform((batch, 4), seed, -1.0, 1.0)
    mirror, zoom, x, y = tf.unstack(noise, axis=1)
    step_y = tf.exp(_SCALE * zoom)
    step_x = step_y * tf.where(mirror < 0.0, -1.0, 1.0)
    centre, zero = (side - 1.0) / 2.0, tf.zeros_like(x)
    offset_x = centre - step_x * centre + _SHIFT * side * x
    offset_y = centre - step_y * centre + _SHIFT * side * y
    # Rows map output pixels to input pixels: x' = a0 x + a2, y' = b1 y + b2.
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([step_x, zero, offset_x, zero, step_y, offset_y, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.cast(tf.round(moved), tf.uint8)
