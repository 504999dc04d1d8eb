"""A dense layer that starts as the release's layers start."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="asen_tf")
class Linear(keras.layers.Dense):
    r"""A dense layer whose weights and biases start uniform in :math:`\pm 1 / \sqrt{n}`.

    `n` is the number of inputs. These are PyTorch's defaults, which the authors' release keeps for
    every linear layer and 1x1 convolution behind the backbone. With Keras' own (Glorot, zero
    biases) all attributes ask nearly the same question at first.

    Args:
        units: size of the output.
        **kwargs: passed to `keras.layers.Dense`; initializers are this layer's own.

    Call arguments:
        inputs: float tensor `(..., n)`.

    Returns:
        Float tensor `(..., units)`.

    Example:
        >>> queries = Linear(512, activation="tanh")(attributes)

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), as released.
    """

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of `n` channels."""
        limit = float(input_shape[-1]) ** -0.5
        # Two objects: one without a seed of its own gives the same numbers at every call.
        self.kernel_initializer = keras.initializers.RandomUniform(-limit, limit)
        self.bias_initializer = keras.initializers.RandomUniform(-limit, limit)
        super().build(input_shape)
