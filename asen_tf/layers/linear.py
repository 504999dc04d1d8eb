r"""What the heads' linear layers start from: uniform in :math:`\pm 1 / \sqrt{n}`.

`n` is the number of inputs. These are PyTorch's defaults, which the authors' release keeps for
every linear layer and 1x1 convolution behind the backbone, biases too (Dong et al., IEEE TIP 2021,
arXiv 2104.02429). With Keras' own (Glorot, zero biases) all attributes ask nearly the same question
at first.
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
