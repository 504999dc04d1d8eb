"""Conditional masks (CSN): which dimensions of one embedding count for an attribute."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from asen_tf.config import CSN_MASKS


@keras.saving.register_keras_serializable(package="asen_tf")
class ConditionalMask(keras.layers.Layer):
    r"""Multiplies an embedding by a non-negative mask for each attribute.

    With embedding :math:`f` and the attribute's mask weights :math:`\beta_a`:

    .. math::
        f_a = f \odot \mathrm{relu}(\beta_a)

    Args:
        attributes: `A`, the number of attributes.
        masks: "learned": trained, starting at N(0.9, 0.7); or "disjoint": fixed, each attribute has
            `D / A` dimensions of its own (if `A` does not divide `D`, the first attributes have
            one more).
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        embedding: float tensor `(B, D)`.

    Returns:
        Float tensor `(B, A, D)`.

    Raises:
        ValueError: for unknown masks, or for disjoint ones with fewer dimensions than attributes.

    References:
        Veit et al., "Conditional Similarity Networks", CVPR 2017 (arXiv 1603.07810).
    """

    def __init__(self, attributes: int, masks: str = "learned", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if masks not in CSN_MASKS:
            raise ValueError(f"masks must be one of {', '.join(CSN_MASKS)}; got {masks!r}")
        self.attributes = attributes
        self.masks = masks

    def build(self, input_shape: Any) -> None:
        """Create the masks for embeddings of `D` dimensions."""
        dimensions = input_shape[-1]
        if self.masks == "disjoint" and dimensions < self.attributes:
            raise ValueError(
                f"disjoint masks need a dimension for each of {self.attributes} attributes; got "
                f"{dimensions}; raise embedding_dim"
            )
        initial = keras.initializers.RandomNormal(mean=0.9, stddev=0.7)
        if self.masks == "disjoint":
            initial = keras.initializers.Constant(_blocks(self.attributes, dimensions))
        self.weight = self.add_weight(
            name="masks",
            shape=(self.attributes, dimensions),
            initializer=initial,
            trainable=self.masks == "learned",
        )
        super().build(input_shape)

    def call(self, embedding: tf.Tensor) -> tf.Tensor:
        """Return the masked embeddings."""
        return embedding[:, None, :] * tf.nn.relu(self.weight)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of the masked embeddings."""
        return (input_shape[0], self.attributes, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "attributes": self.attributes, "masks": self.masks}


def _blocks(attributes: int, dimensions: int) -> np.ndarray:
    """Return `(A, D)`: ones where a dimension belongs to an attribute."""
    masks = np.zeros((attributes, dimensions), np.float32)
    for attribute, own in enumerate(np.array_split(np.arange(dimensions), attributes)):
        masks[attribute, own] = 1.0
    return masks
