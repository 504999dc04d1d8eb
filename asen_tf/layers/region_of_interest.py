"""The region of interest: from an attention map to a crop of the source image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.layers.region_crops import crop_regions


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
        `(B, 4)` int32: top, left, bottom, right; half-open. No gradient flows through.

    Example:
        A 4 x 4 map in its own frame, zero but for two cells side by side: the box is one pixel high
        and two wide, so it grows by one pixel, downwards from the first row. On the last row it
        would leave the frame, and is shifted up.

        >>> region_boxes([[[0, 9, 9, 0]] + [[0] * 4] * 3], map_size=4, threshold=0.1)
        [[0, 1, 2, 3]]
        >>> region_boxes([[[0] * 4] * 3 + [[0, 9, 9, 0]]], map_size=4, threshold=0.1)
        [[2, 1, 4, 3]]

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
        boxes: optional, `(B, 4)` int32 in the `map_size` frame: cut these instead of what the map
            regards.

    Returns:
        A pair: crops `(B, crop_size, crop_size, 3)` float32 in the images' range, and boxes
        `(B, 4)` int32: top, left, bottom, right in the `map_size` frame.

    Raises:
        ValueError: for a size below 1 or a threshold outside [0, 1).

    Example:
        >>> crops, boxes = RegionOfInterest(224, 112)([attention, images])

        One cell of 14 x 14 alone, far from the border: resized to 224 px it is a tent of 32 px, of
        which 28 px are above a tenth; of a 640 px source the crop shows 28 / 224 * 640 = 80 px.

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

    def call(self, inputs: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the crops and their boxes; see the class."""
        attention, images, *given = inputs
        boxes = given[0] if given else self.boxes(attention)
        crops = crop_regions(images, boxes, map_size=self.map_size, crop_size=self.crop_size)
        return crops, boxes

    def boxes(self, attention: tf.Tensor, *, centred: bool = False) -> tf.Tensor:
        """Return the boxes of what the maps regard, or of the frame's middle half if `centred`."""
        if not centred:
            return region_boxes(attention, map_size=self.map_size, threshold=self.threshold)
        first = self.map_size // 4
        middle = tf.constant([[first, first, self.map_size - first, self.map_size - first]])
        return tf.repeat(middle, tf.shape(attention)[0], axis=0)

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
