"""Attribute-aware spatial attention (ASA): where to look for an attribute.

The spatial attention of ASEN (2020): scores by a convolution over a product.

Attention that looks everywhere alike: what is left without spatial attention.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeSpatialAttention(keras.layers.Layer):
    r"""Pools a feature map over the positions that matter for each attribute.

    With feature map :math:`x` and attribute embedding :math:`e_a`:

    .. math::
        k = \tanh(\mathrm{conv}_{1\times1}(x)), \quad q = \tanh(W e_a + b), \quad
        s_{ij} = \langle q, k_{ij} \rangle / \sqrt{d}, \quad
        \alpha = \mathrm{softmax}_{ij}(s), \quad v = \sum_{ij} \alpha_{ij} x_{ij}

    The attribute axis `A` is part of the contract: `k` does not depend on the attribute, so one
    pass of the backbone serves all attributes of an image.

    Args:
        units: `d`, the size of the space in which features and attribute are compared.
        normalise: put batch normalisation between the convolution and the tanh of `k`, as the
            faster form of ASEN (2020) does.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        features: float tensor `(B, H, W, C)`; any `H` and `W`.
        attributes: float tensor `(B, A, E)`, attribute embeddings.

    Returns:
        A pair: the attended features `(B, A, C)` in the compute dtype, and the attention maps
        `(B, A, H, W)` in float32, each non-negative with sum 1.

    Raises:
        ValueError: if `units` is not positive.

    Example:
        >>> attended, maps = AttributeSpatialAttention(512)(features, attributes)

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), attribute-aware spatial attention; with
        `normalise`, the second form that Ma et al., AAAI 2020 (arXiv 2002.02814) released.
    """

    def __init__(self, units: int, normalise: bool = False, **kwargs: Any) -> None:
        """Create the layer; see the class for the arguments."""
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be a positive number of dimensions; got {units!r}")
        self.units = units
        self.normalise = normalise
        policy = self.dtype_policy  # the layer's own, which need not be the global one
        # A 1x1 convolution is a dense layer on the channel axis.
        self.key = keras.layers.Dense(units, name="key", dtype=policy)
        self.norm = None
        if normalise:
            self.norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, name="key_norm", dtype=policy
            )
        self.query = keras.layers.Dense(units, activation="tanh", name="query", dtype=policy)

    def build(self, input_shape: Any) -> None:
        """Create the weights for `(features, attributes)` shapes."""
        features, attributes = input_shape
        parts = [(self.key, features), (self.query, attributes)]
        if self.norm is not None:
            parts.append((self.norm, (*features[:-1], self.units)))
        for layer, shape in parts:
            with tf.name_scope(layer.name):  # unique names, for training.optimizers
                layer.build(shape)
        super().build(input_shape)

    def call(
        self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the attended features and the attention maps; see the class."""
        features, attributes = inputs
        shape = tf.shape(features)
        height, width = shape[1], shape[2]
        key = self.key(features)
        if self.norm is not None:
            key = self.norm(key, training=training)
        key = tf.tanh(key)
        query = self.query(attributes)
        scores = tf.einsum("bad,bhwd->bahw", query, key)
        # Softmax in float32: under mixed precision, half floats would flatten the map's tail.
        scores = tf.cast(scores, tf.float32) * self.units**-0.5
        flat = tf.reshape(scores, (shape[0], -1, height * width))
        maps = tf.reshape(tf.nn.softmax(flat, axis=-1), (shape[0], -1, height, width))
        attended = tf.einsum("bahw,bhwc->bac", tf.cast(maps, features.dtype), features)
        return attended, maps

    def compute_output_shape(self, input_shape: Any) -> tuple[tuple, tuple]:
        """Return the shapes of the attended features and of the maps."""
        (batch, height, width, channels), (_, attributes, _) = input_shape
        return (batch, attributes, channels), (batch, attributes, height, width)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "normalise": self.normalise}


@keras.saving.register_keras_serializable(package="asen_tf")
class ProductSpatialAttention(keras.layers.Layer):
    r"""Pools a feature map over the positions that matter for each attribute.

    With feature map :math:`x` and attribute vector :math:`a` (one-hot in ASEN):

    .. math::
        k = \tanh(\mathrm{conv}_{1\times1}(x)), \quad q = \tanh(W a), \quad
        s_{ij} = \tanh(\langle w, q \odot k_{ij} \rangle + b), \quad
        \alpha = \mathrm{softmax}_{ij}(s), \quad v = \sum_{ij} \alpha_{ij} x_{ij}

    :math:`w` and :math:`b` are a 1x1 convolution to one channel. The scores lie in (-1, 1), so no
    position weighs more than e squared times another: such maps stay broad.

    Args:
        units: `d`, the size of the space in which features and attribute are compared.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        features: float tensor `(B, H, W, C)`; any `H` and `W`.
        attributes: float tensor `(B, A, E)`.

    Returns:
        A pair: the attended features `(B, A, C)` in the compute dtype, and the attention maps
        `(B, A, H, W)` in float32, each non-negative with sum 1.

    Raises:
        ValueError: if `units` is not positive.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), attribute-aware spatial attention, as released.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        """Create the layer; see the class for the arguments."""
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be a positive number of dimensions; got {units!r}")
        self.units = units
        policy = self.dtype_policy  # the layer's own, which need not be the global one
        self.key = keras.layers.Dense(units, activation="tanh", name="key", dtype=policy)
        self.query = keras.layers.Dense(
            units, activation="tanh", use_bias=False, name="query", dtype=policy
        )
        self.score = keras.layers.Dense(1, name="score", dtype=policy)

    def build(self, input_shape: Any) -> None:
        """Create the weights for `(features, attributes)` shapes."""
        features, attributes = input_shape
        product = (*features[:-1], self.units)
        parts = ((self.key, features), (self.query, attributes), (self.score, product))
        for layer, shape in parts:
            with tf.name_scope(layer.name):  # unique names, for training.optimizers
                layer.build(shape)
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the attended features and the attention maps; see the class."""
        features, attributes = inputs
        shape = tf.shape(features)
        height, width = shape[1], shape[2]
        key = self.key(features)
        query = self.query(attributes)
        # <w, q * k> = <w * q, k>: no product of all attributes with all positions is ever held.
        weighted = query * tf.cast(self.score.kernel[:, 0], query.dtype)
        scores = tf.einsum("bad,bhwd->bahw", weighted, key) + tf.cast(self.score.bias, key.dtype)
        scores = tf.tanh(tf.cast(scores, tf.float32))
        flat = tf.reshape(scores, (shape[0], -1, height * width))
        maps = tf.reshape(tf.nn.softmax(flat, axis=-1), (shape[0], -1, height, width))
        attended = tf.einsum("bahw,bhwc->bac", tf.cast(maps, features.dtype), features)
        return attended, maps

    def compute_output_shape(self, input_shape: Any) -> tuple[tuple, tuple]:
        """Return the shapes of the attended features and of the maps."""
        (batch, height, width, channels), (_, attributes, _) = input_shape
        return (batch, attributes, channels), (batch, attributes, height, width)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


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
