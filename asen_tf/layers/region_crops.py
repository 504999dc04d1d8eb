"""Square crops of source images, of one size."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

# Where the two samples of a crop pixel lie along an axis, as shares of the pixel.
_SAMPLES = (0.25, 0.75)


def crop_regions(
    images: tf.Tensor, boxes: tf.Tensor, *, map_size: int, crop_size: int
) -> tf.Tensor:
    """Cut square regions out of source images and resize them.

    Every crop pixel is the mean of 2 x 2 bilinear samples, so that a region larger than the crop
    is not aliased. Along each axis, with the region's start and side in source pixels, crop pixel
    `i` takes the samples `start + (i + q) * side / crop_size - 0.5`, q = 1/4 and 3/4 (pixel centres
    are at half integers). Outside the image its edge pixels go on. No gradient flows through.

    Args:
        images: `(B, S, S, 3)` uint8 or float, of any size.
        boxes: `(B, 4)` squares: top, left, bottom, right in pixels of a `map_size` frame.
        map_size: px, side of the frame of `boxes`.
        crop_size: px, side of the crops.

    Returns:
        `(B, crop_size, crop_size, 3)` float32.

    Example:
        A row of source pixels 0, 10, 20, 30, all of it cut to two pixels: the first one samples
        the row at 0 and 1 and is (0 + 10) / 2 = 5; the second is 25.

        >>> crops = crop_regions(images, boxes, map_size=224, crop_size=112)
    """
    # XLA has no kernel for crop_and_resize, and the matrices take five times as long without XLA.
    compiled = GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    crop = crop_by_matrices if compiled else crop_by_sampling
    edges = tf.cast(boxes, tf.float32) * (tf.cast(tf.shape(images)[1], tf.float32) / map_size)
    step = (edges[:, 2:] - edges[:, :2]) / crop_size
    return tf.stop_gradient(crop(images, edges[:, :2], step, crop_size))


def crop_by_sampling(
    images: tf.Tensor, start: tf.Tensor, step: tf.Tensor, crop_size: int
) -> tf.Tensor:
    """Crop by TensorFlow's sampling op, once for each of the four samples of a pixel.

    Four small grids that are added up cost half as much as one grid of twice the size and its
    pooling. The op reads 8-bit images as they are; casting whole sources would cost more than all
    else here.

    Args:
        images: `(B, S, S, 3)`.
        start: `(B, 2)` float32, top and left in source pixels.
        step: `(B, 2)` float32, source pixels per crop pixel.
        crop_size: px, side of the crops.

    Returns:
        `(B, crop_size, crop_size, 3)` float32.
    """
    # The op fills with a constant outside the image; samples lie at most half a pixel outside.
    images = tf.concat([images[:, :1], images, images[:, -1:]], axis=1)
    images = tf.concat([images[:, :, :1], images, images[:, :, -1:]], axis=2)
    last_index = tf.cast(tf.shape(images)[1] - 1, tf.float32)
    rows = tf.range(tf.shape(images)[0])
    total = tf.constant(0.0)
    for row_share in _SAMPLES:
        for column_share in _SAMPLES:
            first = start + step * (row_share, column_share) + 0.5  # - 0.5 + the border's pixel
            last = first + step * (crop_size - 1.0)
            spans = tf.concat([first, last], axis=1) / last_index  # the op's unit
            total += tf.image.crop_and_resize(images, spans, rows, (crop_size, crop_size))
    return total / len(_SAMPLES) ** 2


def crop_by_matrices(
    images: tf.Tensor, start: tf.Tensor, step: tf.Tensor, crop_size: int
) -> tf.Tensor:
    """Crop by one matrix per image and axis: a row holds the shares of a crop pixel's sources.

    Made of basic operations only, for XLA; arguments and result as of `crop_by_sampling`.
    """
    size = tf.shape(images)[1]
    index = tf.cast(tf.range(size), tf.float32)
    matrices = tf.constant(0.0)
    for share in _SAMPLES:
        position = (
            start[..., None] + (tf.range(crop_size, dtype=tf.float32) + share) * (step[..., None])
        )
        position = tf.clip_by_value(position - 0.5, 0.0, index[-1])
        matrices += tf.nn.relu(1.0 - tf.abs(position[..., None] - index)) / len(_SAMPLES)
    pixels = tf.cast(images, tf.float32)
    return tf.einsum("biy,byxc,bjx->bijc", matrices[:, 0], pixels, matrices[:, 1])
