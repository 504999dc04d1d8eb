r"""Attribute-aware channel attention (ACA): which channels to trust for an attribute.

Its linear layers, and all others of the heads, start uniform in :math:`\pm 1 / \sqrt{n}`, where `n`
is the number of inputs. These are PyTorch's defaults, which the authors' release keeps for every
linear layer and 1x1 convolution behind the backbone, biases too (Dong et al., IEEE TIP 2021, arXiv
2104.02429). With Keras' own (Glorot, zero biases) all attributes ask nearly the same question at
first.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def start_as_released(layer: keras.layers.Dense, inputs: int) -> keras.layers.Dense:
    """Make a dense layer that is not built yet start as the release's layers do.

    Args:
        layer: the layer; it is changed.
        inputs: `n`, the channels of its input.

    Returns:
        The layer.

    Example:
        >>> project = start_as_released(keras.layers.Dense(1024), 432)
    """
    limit = float(inputs) ** -0.5
    # Two objects: one without a seed of its own gives the same numbers at every call.
    layer.kernel_initializer = keras.initializers.RandomUniform(-limit, limit)
    layer.bias_initializer = keras.initializers.RandomUniform(-limit, limit)
    return layer


def build_part(layer: keras.layers.Layer, shape: Any) -> None:
    """Build a part of a layer, under its own name; a dense one starts as the release's do.

    Args:
        layer: the part.
        shape: of its input.
    """
    if isinstance(layer, keras.layers.Dense):
        start_as_released(layer, shape[-1])
    with tf.name_scope(layer.name):  # unique names, for training.optimizers
        layer.build(shape)


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeChannelAttention(keras.layers.Layer):
    r"""Gates the channels of an attended feature vector by the attribute.

    With the attended vector :math:`v` of `C` channels and attribute embedding :math:`e_a`:

    .. math::
        r = \mathrm{relu}(W' e_a + b'), \quad
        m = \sigma(W_2\, \mathrm{relu}(W_1 [v ; r] + b_1) + b_2), \quad v' = v \odot m

    Args:
        attribute_units: size of `r`; 512 in the paper.
        reduction: `W1` maps to `C // reduction` units; 2 in the paper.
        attribute_bias: whether `r` has the bias `b'`; ASEN (2020), with one-hot attributes, has
            none.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        attended: float tensor `(B, A, C)`, for example from `AttributeSpatialAttention`.
        attributes: float tensor `(B, A, E)`, attribute embeddings.

    Returns:
        Float tensor `(B, A, C)`: `attended`, each channel scaled by a gate in (0, 1).

    Raises:
        ValueError: if a size is not positive, or `reduction` leaves no unit of the `C` channels.

    Example:
        >>> gated = AttributeChannelAttention(512)([attended, attributes])

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), attribute-aware channel attention.
    """

    def __init__(
        self,
        attribute_units: int,
        reduction: int = 2,
        attribute_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if attribute_units < 1 or reduction < 1:
            raise ValueError(
                "attribute_units and reduction must be positive; got "
                f"attribute_units={attribute_units!r}, reduction={reduction!r}"
            )
        self.attribute_units = attribute_units
        self.reduction = reduction
        self.attribute_bias = attribute_bias

    def build(self, input_shape: Any) -> None:
        """Create the weights for `(attended, attributes)` shapes."""
        (batch, count, channels), attributes = input_shape
        hidden = channels // self.reduction
        if hidden < 1:
            raise ValueError(
                f"reduction={self.reduction} leaves no unit of {channels} channels; lower it"
            )
        policy = self.dtype_policy  # the layer's own, which need not be the global one
        self.attribute = keras.layers.Dense(
            self.attribute_units,
            activation="relu",
            use_bias=self.attribute_bias,
            name="attribute",
            dtype=policy,
        )
        self.squeeze = keras.layers.Dense(hidden, activation="relu", name="squeeze", dtype=policy)
        self.gate = keras.layers.Dense(channels, activation="sigmoid", name="gate", dtype=policy)
        context = (batch, count, channels + self.attribute_units)
        shapes = (attributes, context, (batch, count, hidden))
        layers = (self.attribute, self.squeeze, self.gate)
        for layer, shape in zip(layers, shapes, strict=True):
            build_part(layer, shape)
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return the gated features."""
        attended, attributes = inputs
        context = tf.concat([attended, self.attribute(attributes)], axis=-1)
        return attended * self.gate(self.squeeze(context))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of `attended`."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "attribute_units": self.attribute_units,
            "reduction": self.reduction,
            "attribute_bias": self.attribute_bias,
        }
