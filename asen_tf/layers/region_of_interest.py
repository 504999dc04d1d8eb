"""The region of interest: from an attention map to a crop of the source image."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def region_boxes(attention: tf.Tensor, *, map_size: int, threshold: float) -> tf.Tensor:
    """Return the square around everything that an attention map regards.

    The map is resized bilinearly to the global input's frame, stretched to 0..1, quantised to
    0..255, and cut: pixels above `255 * threshold` are kept. The bounding box of all kept pixels
    grows to a square of its longer side about its centre (odd differences go to the lower right),
    which is then shifted inside the frame. A flat map regards everything: the whole frame.

    Args:
        attention: `(B, h, w)` float.
        map_size: px, side of the frame.
        threshold: in [0, 1).

    Returns:
        `(B, 4)` int32: top, left, bottom, right; half-open.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), region of interest, as released (which
        divides by zero on a flat map).
    """
    heat = tf.cast(attention, tf.float32)[..., None]
    heat = tf.image.resize(heat, (map_size, map_size), method="bilinear")[..., 0]
    low = tf.reduce_min(heat, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(heat, axis=(1, 2), keepdims=True)
    level = tf.floor(255.0 * tf.math.divide_no_nan(heat - low, high - low))
    kept = (level > 255.0 * threshold) | (high <= low)
    top, bottom = _extent(tf.reduce_any(kept, axis=2))
    left, right = _extent(tf.reduce_any(kept, axis=1))
    side = tf.maximum(bottom - top, right - left)
    top = tf.clip_by_value(top - (side - (bottom - top)) // 2, 0, map_size - side)
    left = tf.clip_by_value(left - (side - (right - left)) // 2, 0, map_size - side)
    return tf.stop_gradient(tf.stack([top, left, top + side, left + side], axis=1))


def _extent(kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First kept index and one past the last, of `(B, n)` flags with at least one set."""
    flags = tf.cast(kept, tf.int32)
    first = tf.argmax(flags, axis=1, output_type=tf.int32)
    last = tf.argmax(flags[:, ::-1], axis=1, output_type=tf.int32)
    return first, tf.shape(flags)[1] - last


def crop_regions(
    images: tf.Tensor, boxes: tf.Tensor, *, map_size: int, crop_size: int
) -> tf.Tensor:
    """Cut square regions out of source images and resize them.

    Every crop pixel is the mean of 2 x 2 bilinear samples, so that a region larger than the crop
    is not aliased. Sample `i` lies at `start + (i + 0.5) * step - 0.5` (pixel centres are at half
    integers); the first and the last are held inside the image, which moves samples by at most
    half a source pixel, and only where a magnified region touches the border.

    Args:
        images: `(B, S, S, 3)` uint8 or float, of any size.
        boxes: `(B, 4)` squares: top, left, bottom, right in pixels of a `map_size` frame.
        map_size: px, side of the frame of `boxes`.
        crop_size: px, side of the crops.

    Returns:
        `(B, crop_size, crop_size, 3)` float32.
    """
    samples = 2 * crop_size
    size = tf.cast(tf.shape(images)[1], tf.float32)
    edges = tf.cast(boxes, tf.float32) * (size / map_size)
    start, stop = edges[:, :2], edges[:, 2:]
    half_step = (stop - start) / (2 * samples)
    first = tf.clip_by_value(start + half_step - 0.5, 0.0, size - 1.0)
    last = tf.clip_by_value(stop - half_step - 0.5, 0.0, size - 1.0)
    # The op wants its first and last sample as shares of the last pixel's index. It reads 8-bit
    # images as they are: casting whole sources to float would cost more than the crop.
    spans = tf.concat([first, last], axis=1) / tf.maximum(size - 1.0, 1.0)
    rows = tf.range(tf.shape(images)[0])
    sampled = tf.image.crop_and_resize(images, spans, rows, (samples, samples))
    return tf.stop_gradient(tf.nn.avg_pool2d(sampled, 2, 2, "VALID"))


@keras.saving.register_keras_serializable(package="asen_tf")
class RegionOfInterest(keras.layers.Layer):
    """Cuts out of each source image the square that its attention map regards.

    No gradient flows through the box, as in the paper: the global branch's attention learns from
    the global loss and the alignment alone.

    Args:
        map_size: px, side of the global input, the frame in which boxes are computed.
        crop_size: px, side of the local input.
        threshold: share of the map's range above which a pixel is kept; 0.1 in the release.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        attention: `(B, h, w)` float maps; any `h` and `w`.
        images: `(B, S, S, 3)` uint8 or float source images; any `S`.

    Returns:
        A pair: crops `(B, crop_size, crop_size, 3)` float32 in the images' range, and boxes
        `(B, 4)` int32: top, left, bottom, right in the `map_size` frame.

    Raises:
        ValueError: for a size below 1 or a threshold outside [0, 1).

    Example:
        >>> crops, boxes = RegionOfInterest(224, 112)([attention, images])

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), local branch.
    """

    def __init__(
        self, map_size: int, crop_size: int, threshold: float = 0.1, **kwargs: Any
    ) -> None:
        """Create the layer; see the class for the arguments."""
        super().__init__(**{"autocast": False, **kwargs})
        if map_size < 1 or crop_size < 1 or not 0.0 <= threshold < 1.0:
            raise ValueError(
                "map_size and crop_size must be positive and threshold in [0, 1); got "
                f"map_size={map_size!r}, crop_size={crop_size!r}, threshold={threshold!r}"
            )
        self.map_size = map_size
        self.crop_size = crop_size
        self.threshold = threshold

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the crops and their boxes; see the class."""
        attention, images = inputs
        boxes = region_boxes(attention, map_size=self.map_size, threshold=self.threshold)
        crops = crop_regions(images, boxes, map_size=self.map_size, crop_size=self.crop_size)
        return crops, boxes

    def compute_output_shape(self, input_shape: Any) -> tuple[tuple, tuple]:
        """Return the shapes of the crops and of the boxes."""
        batch = input_shape[0][0]
        return (batch, self.crop_size, self.crop_size, 3), (batch, 4)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "map_size": self.map_size,
            "crop_size": self.crop_size,
            "threshold": self.threshold,
        }
