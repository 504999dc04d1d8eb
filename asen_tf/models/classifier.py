"""A classifier of attribute values, to give a compact backbone a start.

The paper starts from ImageNet weights. Where none can be had, the backbone is first trained, on
the training split alone, to name the values of every labelled attribute; the head is then thrown
away. Every method of a study starts from the same backbone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones import build_backbone, normalisation_mode
from asen_tf.layers import ImageNormalisation

_VOID = -1e9  # logit of a value that an attribute does not have
_PLACE_SPEED = 30.0  # Adam moves every weight alike; where to look must move faster than the rest


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeClassifier(keras.Model):
    """Names the value of every attribute of an image.

    Each attribute pools the feature map by a softmax over its positions, of what is there and of
    where it is, and has a linear classifier of its own on what it has pooled. The branches pool by
    attention as well: a head that read the map position by position would learn faster at first,
    and leave features that say little once they are pooled.

    Args:
        value_counts: the number of values of each attribute.
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        image_size: px, side of the input; the head is made for it.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dictionary with `view`, `(B, H, W, 3)` in 0..255.

    Returns:
        Dictionary of `logits`, `(B, A, V)` float32, V the largest number of values.
    """

    def __init__(
        self, value_counts: Sequence[int], *, backbone: str, image_size: int, **kwargs: Any
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(**kwargs)
        self.value_counts = tuple(value_counts)
        self.backbone_name = backbone
        self.image_size = image_size
        self.normalisation = ImageNormalisation(normalisation_mode(backbone), name="normalisation")
        self.backbone = build_backbone(backbone)
        self.focus = keras.layers.Conv2D(len(value_counts), 1, dtype="float32", name="focus")
        shape = self.backbone.compute_output_shape((None, image_size, image_size, 3))
        with tf.name_scope(self.focus.name):
            self.focus.build(shape)
        self.place = self.add_weight(
            name="place", shape=(*shape[1:3], len(value_counts)), initializer="zeros"
        )
        self.kernel = self.add_weight(
            name="kernel", shape=(sum(value_counts), shape[3]), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(sum(value_counts),), initializer="zeros")
        self.built = True

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the logits; see the class."""
        features = self.backbone(self.normalisation(inputs["view"]), training=training)
        features = tf.cast(features, tf.float32)
        # In mixed precision a weight is read in half precision; the head computes in full.
        place, kernel, bias = (tf.cast(w, tf.float32) for w in (self.place, self.kernel, self.bias))
        weights = self.focus(features) + _PLACE_SPEED * place
        count = len(self.value_counts)
        weights = tf.nn.softmax(tf.reshape(weights, (tf.shape(weights)[0], -1, count)), axis=1)
        flat = tf.reshape(features, (tf.shape(features)[0], -1, features.shape[-1]))
        pooled = tf.einsum("bpa,bpc->bac", weights, flat)
        owners = np.repeat(np.arange(count), self.value_counts)  # the attribute of each value
        scores = tf.einsum("bvc,vc->bv", tf.gather(pooled, owners, axis=1), kernel) + bias
        widest = max(self.value_counts)
        blocks = [
            tf.pad(block, [[0, 0], [0, widest - block.shape[-1]]], constant_values=_VOID)
            for block in tf.split(scores, self.value_counts, axis=-1)
        ]
        return {"logits": tf.stack(blocks, axis=1)}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "value_counts": list(self.value_counts),
            "backbone": self.backbone_name,
            "image_size": self.image_size,
        }
