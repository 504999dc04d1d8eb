"""Attribute-aware spatial attention (ASA): where to look for an attribute.

Layers with one contract. Each pools a feature map by weights that add up to 1 over its positions;
they differ in where the weights come from:

- `AttributeSpatialAttention`: scaled dot products, of ASEN++ and the second form of ASEN;
- `ProductSpatialAttention`: a convolution over a product, of ASEN as first published;
- `AttributeCrossAttention`: multi-head attention, of RPF;
- `AverageAttention`: the same weight everywhere, for the ablation without ASA.

`BackgroundAttention` pools by what one of their maps leaves out.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from asen_tf.layers.channel_attention import build_part

EPSILON = 1e-6  # of the layer normalisations of RPF and its transformer


def attend(scores: tf.Tensor, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Pool features by the softmax of scores over the positions.

    .. math::
        \alpha = \mathrm{softmax}_{ij}(s), \quad v = \sum_{ij} \alpha_{ij} x_{ij}

    Args:
        scores: `(B, A, H, W)` float32, :math:`s` for each attribute.
        features: `(B, H, W, C)` float, :math:`x`.

    Returns:
        A pair: the attended features :math:`v`, `(B, A, C)` in the dtype of `features`, and the
        attention maps :math:`\alpha`, `(B, A, H, W)` float32.
    """
    shape = tf.shape(features)
    flat = tf.reshape(scores, (shape[0], -1, shape[1] * shape[2]))
    maps = tf.reshape(tf.nn.softmax(flat, axis=-1), (shape[0], -1, shape[1], shape[2]))
    return tf.einsum("bahw,bhwc->bac", tf.cast(maps, features.dtype), features), maps


class SpatialAttention(keras.layers.Layer):
    """Base of the layers that pool a feature map over its positions, once for each attribute.

    The attribute axis `A` is part of the contract: features do not depend on the attribute, so one
    pass of the backbone serves all attributes of an image.

    Call arguments:
        features: float tensor `(B, H, W, C)`; any `H` and `W`.
        attributes: float tensor `(B, A, E)`, attribute embeddings (one-hot vectors in ASEN).

    Returns:
        A pair: the attended features `(B, A, C)` in the compute dtype, and the attention maps
        `(B, A, H, W)` in float32, each non-negative with sum 1.
    """

    def compute_output_shape(self, input_shape: Any) -> tuple[tuple, tuple]:
        """Return the shapes of the attended features and of the maps."""
        (batch, height, width, channels), (_, attributes, _) = input_shape
        return (batch, attributes, channels), (batch, attributes, height, width)


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeSpatialAttention(SpatialAttention):
    r"""Pools a feature map over the positions that matter for each attribute.

    With feature map :math:`x` and attribute embedding :math:`e_a`:

    .. math::
        k = \tanh(\mathrm{conv}_{1\times1}(x)), \quad q = \tanh(W e_a + b), \quad
        s_{ij} = \langle q, k_{ij} \rangle / \sqrt{d}, \quad
        \alpha = \mathrm{softmax}_{ij}(s), \quad v = \sum_{ij} \alpha_{ij} x_{ij}

    Call arguments and results are those of `SpatialAttention`.

    Args:
        units: `d`, the size of the space in which features and attribute are compared.
        normalise: put batch normalisation between the convolution and the tanh of `k`, as the
            faster form of ASEN (2020) does.
        **kwargs: passed to `keras.layers.Layer`.

    Raises:
        ValueError: if `units` is not positive.

    Example:
        >>> attended, maps = AttributeSpatialAttention(512)([features, attributes])

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), attribute-aware spatial attention; with
        `normalise`, the second form that Ma et al., AAAI 2020 (arXiv 2002.02814) released.
    """

    def __init__(self, units: int, normalise: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = _positive(units)
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
        build_part(self.key, features)
        build_part(self.query, attributes)
        if self.norm is not None:
            build_part(self.norm, (*features[:-1], self.units))
        super().build(input_shape)

    def call(
        self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the attended features and the attention maps."""
        features, attributes = inputs
        key = self.key(features)
        if self.norm is not None:
            key = self.norm(key, training=training)
        scores = tf.einsum("bad,bhwd->bahw", self.query(attributes), tf.tanh(key))
        # Softmax in float32: under mixed precision, half floats would flatten the map's tail.
        return attend(tf.cast(scores, tf.float32) * self.units**-0.5, features)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "normalise": self.normalise}


@keras.saving.register_keras_serializable(package="asen_tf")
class ProductSpatialAttention(SpatialAttention):
    r"""Pools a feature map over the positions that matter for each attribute, as ASEN first did.

    With feature map :math:`x` and the attribute's one-hot vector :math:`a`:

    .. math::
        k = \tanh(\mathrm{conv}_{1\times1}(x)), \quad q = \tanh(W a), \quad
        s_{ij} = \tanh(\langle w, q \odot k_{ij} \rangle + b), \quad
        \alpha = \mathrm{softmax}_{ij}(s), \quad v = \sum_{ij} \alpha_{ij} x_{ij}

    :math:`w` and :math:`b` are a 1x1 convolution to one channel. The scores lie in (-1, 1), so no
    position weighs more than e squared times another: such maps stay broad.

    Call arguments and results are those of `SpatialAttention`.

    Args:
        units: `d`, the size of the space in which features and attribute are compared.
        **kwargs: passed to `keras.layers.Layer`.

    Raises:
        ValueError: if `units` is not positive.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), attribute-aware spatial attention, as released.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = _positive(units)
        policy = self.dtype_policy  # the layer's own, which need not be the global one
        self.key = keras.layers.Dense(units, activation="tanh", name="key", dtype=policy)
        self.query = keras.layers.Dense(
            units, activation="tanh", use_bias=False, name="query", dtype=policy
        )
        self.score = keras.layers.Dense(1, name="score", dtype=policy)

    def build(self, input_shape: Any) -> None:
        """Create the weights for `(features, attributes)` shapes."""
        features, attributes = input_shape
        build_part(self.key, features)
        build_part(self.query, attributes)
        build_part(self.score, (*features[:-1], self.units))
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the attended features and the attention maps."""
        features, attributes = inputs
        key = self.key(features)
        query = self.query(attributes)
        # <w, q * k> = <w * q, k>: the product of all attributes with all positions is never held.
        weighted = query * tf.cast(self.score.kernel[:, 0], query.dtype)
        scores = tf.einsum("bad,bhwd->bahw", weighted, key) + tf.cast(self.score.bias, key.dtype)
        return attend(tf.tanh(tf.cast(scores, tf.float32)), features)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="asen_tf")
class AverageAttention(SpatialAttention):
    r"""Pools a feature map by its plain mean: what is left without spatial attention.

    :math:`\alpha_{ij} = 1 / HW` at every position and for every attribute. It has no weights. Its
    maps are flat, so the region of interest is the whole frame.

    Call arguments and results are those of `SpatialAttention`.

    References:
        The ablation "without ASA" of Dong et al., IEEE TIP 2021 (arXiv 2104.02429).
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the mean features and the flat maps."""
        features, attributes = inputs
        shape, count = tf.shape(features), tf.shape(attributes)[1]
        attended = tf.repeat(tf.reduce_mean(features, axis=(1, 2))[:, None], count, axis=1)
        share = 1.0 / tf.cast(shape[1] * shape[2], tf.float32)
        return attended, tf.fill((shape[0], count, shape[1], shape[2]), share)


@keras.saving.register_keras_serializable(package="asen_tf")
class BackgroundAttention(keras.layers.Layer):
    r"""Pools a feature map by what attention leaves out: the more a place is attended, the less.

    With feature map :math:`x` and attention map :math:`\alpha`:

    .. math::
        \hat v = \sum_{ij} \frac{1 - \alpha_{ij}}{\sum_{kl} (1 - \alpha_{kl})} x_{ij}

    Call arguments:
        features: float tensor `(B, H, W, C)`.
        maps: float32 tensor `(B, A, H, W)`, attention maps.

    Returns:
        Float tensor `(B, A, C)`; zero if the map has a single position, which has no background.

    References:
        Dong et al., SIGIR 2023 (arXiv 2305.10260), background of the attribute.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # the maps stay float32

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return the features of the background."""
        features, maps = inputs
        left = 1.0 - maps
        shares = tf.math.divide_no_nan(left, tf.reduce_sum(left, axis=(2, 3), keepdims=True))
        return tf.einsum("bahw,bhwc->bac", tf.cast(shares, features.dtype), features)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of the pooled features."""
        features, maps = input_shape
        return (*maps[:2], features[-1])


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeCrossAttention(SpatialAttention):
    r"""Multi-head attention over a feature map with the attribute as the query; no residual.

    With feature map :math:`x`, attribute embedding :math:`e_a`, and a learned vector for each of
    the two kinds of tokens, :math:`t_q` and :math:`t_x`:

    .. math::
        q = \mathrm{LN}(W e_a + b + t_q), \quad z_{ij} = \mathrm{LN}(x_{ij} + t_x), \quad
        y = \mathrm{MultiHead}(q, z, z)

    One layer normalisation serves both; :math:`y` has the output projection of multi-head
    attention, and nothing is added to it. Call arguments and results are those of
    `SpatialAttention`; the maps are the mean over the heads.

    Args:
        heads: of the attention, each of `C // heads` units.
        **kwargs: passed to `keras.layers.Layer`.

    Raises:
        ValueError: if `heads` is not positive, or there are more of them than channels.

    References:
        Dong et al., SIGIR 2023 (arXiv 2305.10260), patch-aware branch, as released.
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = _positive(heads)

    def build(self, input_shape: Any) -> None:
        """Create the weights for `(features, attributes)` shapes."""
        features, attributes = input_shape
        channels = features[-1]
        if self.heads > channels:
            raise ValueError(f"heads must be at most {channels}, the channels; got {self.heads}")
        policy = self.dtype_policy  # the layer's own, which need not be the global one
        self.query = keras.layers.Dense(channels, name="query", dtype=policy)
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm", dtype=policy)
        self.attention = keras.layers.MultiHeadAttention(
            self.heads, channels // self.heads, name="attention", dtype=policy
        )
        build_part(self.query, attributes)
        build_part(self.norm, (None, None, channels))
        start = keras.initializers.RandomNormal(stddev=0.02)
        self.types = self.add_weight(name="types", shape=(2, channels), initializer=start)
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the attended features and the attention maps."""
        features, attributes = inputs
        shape = tf.shape(features)
        cells = tf.reshape(features, (shape[0], shape[1] * shape[2], features.shape[-1]))
        types = tf.cast(self.types, cells.dtype)
        query, cells = self.norm(self.query(attributes) + types[0]), self.norm(cells + types[1])
        attended, scores = self.attention(query, cells, return_attention_scores=True)
        maps = tf.reduce_mean(tf.cast(scores, tf.float32), axis=1)
        return attended, tf.reshape(maps, (shape[0], -1, shape[1], shape[2]))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}


def _positive(units: int) -> int:
    if units < 1:
        raise ValueError(f"units and heads must be a positive number each; got {units!r}")
    return units
