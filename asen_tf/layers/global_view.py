"""The global branch's view of a source image."""

from __future__ import annotations

import tensorflow as tf


def global_view(images: tf.Tensor, size: int) -> tf.Tensor:
    """Shrink square source images to the global input, as 8-bit pixels.

    Antialiased bilinear resizing followed by rounding, as an image library would do on disk. The
    rounding is part of the contract: it lets the data pipeline store this view once and the model
    compute it on the fly with the same digits.

    Args:
        images: `(B, S, S, 3)` uint8 or float in 0..255, square source images.
        size: side of the view in pixels.

    Returns:
        `(B, size, size, 3)` uint8.
    """
    resized = tf.image.resize(images, (size, size), method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
