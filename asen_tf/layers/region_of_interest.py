"""The region of interest: from an attention map to a square crop of the source image.

The layer `RegionOfInterest` is three functions: `kept_pixels` reads where a map attends,
`region_boxes` finds the square around it, `crop_regions` cuts it out of the source image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from asen_tf.config import REGION_RULES, REGIONS, check_setting


def region_boxes(
    attention: tf.Tensor, *, map_size: int, least: float = 0.0, **reading: Any
) -> tf.Tensor:
    """Return the square around where an attention map attends.

    The bounding box of all kept pixels (see `kept_pixels`) grows to a square of its longer side,
    which starts at `first + length // 2 - side // 2` on each axis and is then shifted inside the
    frame.

    Args:
        attention: `(B, h, w)` float.
        map_size: px, side of the frame.
        least: the square's least side, as a share of the frame's.
        **reading: passed to `kept_pixels`, the threshold at least.

    Returns:
        `(B, 4)` int32: top, left, bottom, right; half-open. No gradient flows through.

    Example:
        A 4 x 4 map in its own frame, zero except for two cells side by side in its second row: the
        box is one pixel high and two wide, so it grows by one pixel, upwards. On the first row it
        would leave the frame, and is shifted down.

        >>> region_boxes([[[0] * 4, [0, 9, 9, 0], [0] * 4, [0] * 4]], map_size=4, threshold=0.1)
        [[0, 1, 2, 3]]
        >>> region_boxes([[[0, 9, 9, 0]] + [[0] * 4] * 3], map_size=4, threshold=0.1)
        [[0, 1, 2, 3]]

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), region of interest, as released (which
        divides by zero on a flat map).
    """
    _, kept = kept_pixels(attention, map_size=map_size, **reading)
    top, bottom = _span(tf.reduce_any(kept, axis=2))
    left, right = _span(tf.reduce_any(kept, axis=1))
    least_side = math.ceil(least * map_size - 1e-9)  # 0.07 * 100 is a little more than 7
    side = tf.maximum(tf.maximum(bottom - top, right - left), least_side)
    top = tf.clip_by_value(top + (bottom - top) // 2 - side // 2, 0, map_size - side)
    left = tf.clip_by_value(left + (right - left) // 2 - side // 2, 0, map_size - side)
    return tf.stack([top, left, top + side, left + side], axis=1)


def kept_pixels(
    attention: tf.Tensor,
    *,
    map_size: int,
    threshold: float,
    extent: tuple[float, float] = (0.0, 1.0),
    rule: str = "threshold",
    share: float = 0.7,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Read attention maps in a frame of pixels, and mark where they attend.

    A map is read bilinearly at every pixel, stretched to 0..1 and quantised to 0..255. Three rules
    say what is kept. "threshold": levels above `255 * threshold`. "mass": the fewest levels from
    the highest down whose pixels hold `share` of the sum over all pixels. "peak": as "threshold",
    after lowering all cells to the lowest one but the highest cell and those that are connected
    with it, side by side, by cells above the threshold. A flat map attends everywhere.

    Args:
        attention: `(B, h, w)` float.
        map_size: px, side of the frame.
        threshold: in [0, 1).
        extent: where the map starts and ends on each axis of the frame, in shares of its side;
            before its first cell's centre and after its last one's, a map goes on as it is there.
        rule: "threshold", "mass" or "peak".
        share: in (0, 1]; of rule "mass".

    Returns:
        The maps as they are read, `(B, map_size, map_size)` float32, and flags of the same shape.
        No gradient flows through.

    Raises:
        ValueError: for an unknown rule.
    """
    if rule not in REGION_RULES:
        raise ValueError(f"rule must be one of {', '.join(REGION_RULES)}; got {rule!r}")
    heat = tf.stop_gradient(tf.cast(attention, tf.float32))
    if rule == "peak":
        heat = _peak_alone(heat, threshold)
    for axis in (2, 1):  # the other way round copies single values
        cells = tf.cast(tf.shape(heat)[axis], tf.float32)
        place = (tf.range(map_size, dtype=tf.float32) + 0.5) / map_size
        place = (place - extent[0]) / (extent[1] - extent[0]) * cells - 0.5
        place = tf.clip_by_value(place, 0.0, cells - 1.0)
        before = tf.cast(place, tf.int32)
        low = tf.gather(heat, before, axis=axis)
        high = tf.gather(heat, tf.minimum(before + 1, tf.shape(heat)[axis] - 1), axis=axis)
        between = place - tf.floor(place)
        heat = low + (high - low) * (between[:, None] if axis == 1 else between)
    level, flat = _levels(heat)
    if rule != "mass":
        return heat, (level > 255.0 * threshold) | flat
    count = tf.shape(heat)[0]
    places = tf.cast(level, tf.int32) + 256 * tf.range(count)[:, None, None]
    sums = tf.math.unsorted_segment_sum(heat, places, 256 * count)  # of each map's levels
    held = tf.cumsum(tf.reshape(sums, (-1, 256)), axis=1, reverse=True)
    least = tf.reduce_sum(tf.cast(held >= share * held[:, :1], tf.float32), axis=1) - 1.0
    return heat, (level >= least[:, None, None]) | flat


def _levels(heat: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return maps as levels 0..255 from their lowest to their highest, and which are flat."""
    low = tf.reduce_min(heat, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(heat, axis=(1, 2), keepdims=True)
    return tf.floor(255.0 * tf.math.divide_no_nan(heat - low, high - low)), high <= low


def _peak_alone(cells: tf.Tensor, threshold: float) -> tf.Tensor:
    """Lower every cell that is not connected with the highest one by cells above the threshold."""
    shape = tf.shape(cells)
    kept = tf.cast(_levels(cells)[0] > 255.0 * threshold, tf.float32)[..., None]
    flat = tf.reshape(cells, (shape[0], -1))
    peak = tf.one_hot(tf.argmax(flat, axis=1), shape[1] * shape[2])

    def grow(found: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        high, wide = (tf.nn.max_pool2d(found, size, 1, "SAME") for size in ((3, 1), (1, 3)))
        return kept * tf.maximum(high, wide), found

    start = tf.reshape(peak, tf.shape(kept))
    start.set_shape(kept.shape)
    found, _ = tf.while_loop(
        lambda found, before: tf.reduce_any(found != before), grow, (start, tf.zeros_like(start))
    )
    return tf.where(found[..., 0] > 0.0, cells, tf.reduce_min(cells, axis=(1, 2), keepdims=True))


def jittered(boxes: tf.Tensor, draws: tf.Tensor, *, amount: float, map_size: int) -> tf.Tensor:
    """Scale and move squares at random; they stay inside the frame.

    Args:
        boxes: `(B, 4)` int32 squares: top, left, bottom, right in pixels of a `map_size` frame.
        draws: `(B, 3)` in [-1, 1]: how far to scale, and to move down and to the right.
        amount: in [0, 1): a side is scaled by `1 + amount * draw`, then rounded, and the centre
            moves by `amount * draw` old sides.
        map_size: px.

    Returns:
        `(B, 4)` int32.
    """
    edges = tf.cast(boxes, tf.float32)
    old = edges[:, 2:3] - edges[:, :1]
    side = tf.clip_by_value(tf.round(old * (1.0 + amount * draws[:, :1])), 1.0, float(map_size))
    start = tf.round(edges[:, :2] + old * (0.5 + amount * draws[:, 1:]) - side / 2)
    start = tf.clip_by_value(start, 0.0, map_size - side)
    return tf.cast(tf.concat([start, start + side], axis=1), tf.int32)


def _span(kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First kept index and one past the last, of `(B, n)` flags with at least one set."""
    flags = tf.cast(kept, tf.int32)
    first = tf.argmax(flags, axis=1, output_type=tf.int32)
    last = tf.argmax(flags[:, ::-1], axis=1, output_type=tf.int32)
    return first, tf.shape(flags)[1] - last


def crop_regions(
    images: tf.Tensor, boxes: tf.Tensor, *, map_size: int, crop_size: int
) -> tf.Tensor:
    """Cut square regions out of source images and resize them with a filter against aliasing.

    Along each axis, with `step` source pixels per crop pixel, crop pixel `i` is a weighted mean of
    the source pixels around `start + (i + 0.5) * step` (pixel centres are at half integers). The
    weights fall linearly to zero over `max(step, 1)` source pixels on either side and sum to 1;
    pixels beyond the image's edge have none. That is Pillow's bilinear `resize` with a `box`. No
    gradient flows through.

    Args:
        images: `(B, S, S, 3)` uint8 or float, of any size.
        boxes: `(B, 4)` squares: top, left, bottom, right in pixels of a `map_size` frame.
        map_size: px, side of the frame of `boxes`.
        crop_size: px, side of the crops.

    Returns:
        `(B, crop_size, crop_size, 3)` float32.

    Example:
        A row of source pixels 0, 10, 20, 30, cut as a whole to two pixels: the first one lies
        between 0 and 10 and weighs 0, 10 and 20 by 3/7, 3/7 and 1/7, which gives 7.1.

        >>> crops = crop_regions(images, boxes, map_size=224, crop_size=112)
    """
    images, boxes = tf.stop_gradient(images), tf.stop_gradient(boxes)
    edges = tf.cast(boxes, tf.float32) * (tf.cast(tf.shape(images)[1], tf.float32) / map_size)
    step = (edges[:, 2:] - edges[:, :2]) / crop_size
    # The sampling op has no kernel for XLA or GPUs; on a CPU, matrices take three times as long.
    compiled = GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    matrices = compiled or tf.config.list_physical_devices("GPU")
    crop = crop_by_matrices if matrices else crop_by_sampling
    return crop(images, edges[:, :2], step, crop_size)


def crop_by_sampling(
    images: tf.Tensor, start: tf.Tensor, step: tf.Tensor, crop_size: int
) -> tf.Tensor:
    """Crop by TensorFlow's filtering op, image by image: it takes one place and scale per call.

    The op reads 8-bit images as they are, and of them only what the crops need.

    Args:
        images: `(B, S, S, 3)`.
        start: `(B, 2)` float32, top and left in source pixels.
        step: `(B, 2)` float32, source pixels per crop pixel.
        crop_size: px, side of the crops.

    Returns:
        `(B, crop_size, crop_size, 3)` float32.
    """

    def crop(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, first, pixels = one
        return tf.raw_ops.ScaleAndTranslate(
            images=image[None],
            size=(crop_size, crop_size),
            scale=1.0 / pixels,
            translation=-first / pixels,
            kernel_type="triangle",
            antialias=True,
        )[0]

    kind = tf.TensorSpec((crop_size, crop_size, 3), tf.float32)
    return tf.map_fn(crop, (images, start, step), fn_output_signature=kind)


def crop_by_matrices(
    images: tf.Tensor, start: tf.Tensor, step: tf.Tensor, crop_size: int
) -> tf.Tensor:
    """Crop by one matrix per image and axis: a row holds the weights of a crop pixel's sources.

    Made of basic operations only; arguments and result are those of `crop_by_sampling`.
    """
    index = tf.range(tf.cast(tf.shape(images)[1], tf.float32)) + 0.5
    centre = start[..., None] + (tf.range(crop_size, dtype=tf.float32) + 0.5) * step[..., None]
    width = tf.maximum(step, 1.0)[..., None, None]
    weights = tf.nn.relu(1.0 - tf.abs(centre[..., None] - index) / width)
    weights /= tf.reduce_sum(weights, axis=-1, keepdims=True)
    pixels = tf.cast(images, tf.float32)
    return tf.einsum("biy,byxc,bjx->bijc", weights[:, 0], pixels, weights[:, 1])


@keras.saving.register_keras_serializable(package="asen_tf")
class RegionOfInterest(keras.layers.Layer):
    """Cuts the square around where its attention map attends out of each source image.

    No gradient flows through the box, as in the paper: the global branch's attention learns from
    the global loss and the alignment alone.

    Args:
        map_size: px, side of the global input, the frame in which boxes are computed.
        crop_size: px, side of the local input.
        threshold: share of the map's range above which a pixel is kept; 0.1 in the release.
        extent: likewise passed to `kept_pixels`, as are `rule` and `share`.
        rule: see `extent`.
        share: see `extent`.
        least: the squares' least side, as a share of the frame's.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        attention: `(B, h, w)` float maps; any `h` and `w`.
        images: `(B, S, S, 3)` uint8 or float source images; any `S`.
        boxes: optional, `(B, 4)` int32 in the `map_size` frame: cut these instead of
            where the map attends.

    Returns:
        A pair: crops `(B, crop_size, crop_size, 3)` float32 in the images' range, and boxes
        `(B, 4)` int32: top, left, bottom, right in the `map_size` frame.

    Raises:
        ValueError: for a size below 1, a threshold outside [0, 1), or a rule, share or least side
            that no configuration can have.

    Example:
        >>> crops, boxes = RegionOfInterest(224, 112)([attention, images])

        One cell of 14 x 14 alone, far from the border: resized to 224 px it is a tent of 32 px, of
        which 28 px are above a tenth; of a 640 px source the crop shows 28 / 224 * 640 = 80 px.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), local branch.
    """

    def __init__(
        self,
        map_size: int,
        crop_size: int,
        threshold: float = 0.1,
        *,
        extent: tuple[float, float] = (0.0, 1.0),
        rule: str = "threshold",
        share: float = 0.7,
        least: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if map_size < 1 or crop_size < 1 or not 0.0 <= threshold < 1.0:
            raise ValueError(
                "map_size and crop_size must be positive and threshold in [0, 1); got "
                f"map_size={map_size!r}, crop_size={crop_size!r}, threshold={threshold!r}"
            )
        given = {"region_rule": rule, "region_share": share, "least_region": least}
        for name, value in given.items():  # their rules are those of the configuration
            check_setting(name, value)
        self.map_size = map_size
        self.crop_size = crop_size
        self.threshold, self.extent, self.rule = threshold, tuple(extent), rule
        self.share, self.least = share, least

    def call(self, inputs: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the crops and their boxes."""
        attention, images, *given = inputs
        boxes = given[0] if given else self.boxes(attention)
        crops = crop_regions(images, boxes, map_size=self.map_size, crop_size=self.crop_size)
        return crops, boxes

    def boxes(self, attention: tf.Tensor, kind: str = "attended") -> tf.Tensor:
        """Return the boxes around where the maps attend, or of the "whole" frame or its "centre".

        The centre is the middle half of each side.

        Raises:
            ValueError: for another kind; boxes of region "true" come with the images.
        """
        if kind not in REGIONS or kind == "true":
            kinds = ", ".join(one for one in REGIONS if one != "true")
            raise ValueError(f"kind must be one of {kinds}; got {kind!r}")
        if kind == "attended":
            given = {"map_size": self.map_size, "least": self.least}
            return region_boxes(attention, **given, **self._reading())
        first = self.map_size // 4 if kind == "centre" else 0
        same = tf.constant([[first, first, self.map_size - first, self.map_size - first]])
        return tf.repeat(same, tf.shape(attention)[0], axis=0)

    def kept(self, attention: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what `kept_pixels` says of the maps."""
        return kept_pixels(attention, map_size=self.map_size, **self._reading())

    def _reading(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("threshold", "extent", "rule", "share")}

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
            "least": self.least,
            **self._reading(),
        }
