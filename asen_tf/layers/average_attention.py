"""Attention that looks everywhere alike: what is left without spatial attention."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="asen_tf")
class AverageAttention(keras.layers.Layer):
    """Pools a feature map by its plain mean, in the place of `AttributeSpatialAttention`.

    It has no weights and takes no notice of the attributes but for their number. Its map is flat,
    so the region of interest is the whole frame.

    Args:
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        features: float tensor `(B, H, W, C)`; any `H` and `W`.
        attributes: float tensor `(B, A, E)`.

    Returns:
        A pair: the mean features `(B, A, C)`, the same for every attribute, and the flat maps
        `(B, A, H, W)` in float32, each with sum 1.

    References:
        The ablation "without ASA" of Dong et al., IEEE TIP 2021 (arXiv 2104.02429).
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the mean features and the flat maps; see the class."""
        features, attributes = inputs
        shape, count = tf.shape(features), tf.shape(attributes)[1]
        attended = tf.repeat(tf.reduce_mean(features, axis=(1, 2))[:, None], count, axis=1)
        share = 1.0 / tf.cast(shape[1] * shape[2], tf.float32)
        return attended, tf.fill((shape[0], count, shape[1], shape[2]), share)

    def compute_output_shape(self, input_shape: Any) -> tuple[tuple, tuple]:
        """Return the shapes of the mean features and of the maps."""
        (batch, height, width, channels), (_, attributes, _) = input_shape
        return (batch, attributes, channels), (batch, attributes, height, width)
