"""Where a feature is: a learned, smooth weight of every channel over the feature map."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="asen_tf")
class PositionGate(keras.layers.Layer):
    r"""Scales each channel by a smooth function of the position, learned for that channel.

    With features :math:`z` and the middle :math:`(x, y)` of a position, both in (0, 1):

    .. math::
        z'_c(x, y) = z_c(x, y)\,
            \sigma\bigl(b_c + \sum_{k,l} w_{ckl} \cos(\pi k y) \cos(\pi l x)\bigr)

    over the frequencies `0 <= k, l <= frequencies` except (0, 0): the basis of the discrete cosine
    transform, so the map may have any size. The weights start random, so that the channels look at
    different places from the first step on.

    The branches pool their features over positions, which forgets how they were arranged. Behind
    this gate a channel stands for "this pattern, about there", and the arrangement survives.

    Args:
        frequencies: the largest number of half waves per side.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        features: `(B, H, W, C)` float.

    Returns:
        `(B, H, W, C)`: features times gates in (0, 1).

    Raises:
        ValueError: if `frequencies` is not positive.

    References:
        Ours. Related: Liu et al., "An intriguing failing of convolutional neural networks and the
        CoordConv solution", NeurIPS 2018 (arXiv 1807.03247), which gives positions as channels.
    """

    def __init__(self, frequencies: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if frequencies < 1:
            raise ValueError(f"frequencies must be positive; got {frequencies!r}")
        self.frequencies = frequencies

    def build(self, input_shape: Any) -> None:
        """Create the weights for features of `C` channels."""
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=((self.frequencies + 1) ** 2 - 1, channels),
            initializer=keras.initializers.RandomNormal(stddev=1.5),
        )
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Return the gated features."""
        height, width = tf.shape(features)[1], tf.shape(features)[2]
        rows, columns = self._waves(height), self._waves(width)
        basis = tf.einsum("yk,xl->yxkl", rows, columns)
        basis = tf.reshape(basis, (height, width, -1))[:, :, 1:]  # the first is constant
        return features * tf.sigmoid(tf.einsum("yxf,fc->yxc", basis, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of the features."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "frequencies": self.frequencies}

    def _waves(self, size: tf.Tensor) -> tf.Tensor:
        """Return `(size, frequencies + 1)`: `cos(pi k x)` at the middles of the positions."""
        middles = (tf.range(tf.cast(size, tf.float32)) + 0.5) / tf.cast(size, tf.float32)
        waves = tf.cos(math.pi * middles[:, None] * tf.range(self.frequencies + 1.0))
        return tf.cast(waves, self.compute_dtype)
