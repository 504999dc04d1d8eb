"""A classifier of attribute values, to give a compact backbone a start.

The paper starts from ImageNet weights. Where none can be had, the backbone is first trained, on
the training split alone, to name the values of every labelled attribute; the head is then thrown
away. Every method of a study starts from the same backbone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.backbones import build_backbone
from asen_tf.layers import ImageNormalisation

_VOID = -1e9  # logit of a value that an attribute does not have


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeClassifier(keras.Model):
    """Names the value of every attribute of an image.

    Each attribute pools the feature map by a learned map of its own (softmax over the positions of
    a 1x1 convolution), so that small parts are not drowned by the rest of the image.

    Args:
        value_counts: the number of values of each attribute.
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dictionary with `view`, `(B, H, W, 3)` in 0..255.

    Returns:
        Dictionary of `logits`, `(B, A, V)` float32, V the largest number of values.
    """

    def __init__(self, value_counts: Sequence[int], *, backbone: str, **kwargs: Any) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(**kwargs)
        self.value_counts = tuple(value_counts)
        self.backbone_name = backbone
        self.normalisation = ImageNormalisation(name="normalisation")
        self.backbone = build_backbone(backbone)
        self.maps = keras.layers.Conv2D(len(value_counts), 1, name="maps")
        self.heads = keras.layers.Dense(sum(value_counts), name="heads")
        channels = self.backbone.output_shape[-1]
        for layer, shape in ((self.maps, (None, None, None, channels)), (self.heads, (channels,))):
            with tf.name_scope(layer.name):
                layer.build(shape)
        self.built = True

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the logits; see the class."""
        features = self.backbone(self.normalisation(inputs["view"]), training=training)
        shape = tf.shape(features)
        positions = tf.reshape(features, (shape[0], shape[1] * shape[2], features.shape[-1]))
        maps = tf.reshape(self.maps(features), (shape[0], shape[1] * shape[2], -1))
        pooled = tf.einsum("bpa,bpc->bac", tf.nn.softmax(maps, axis=1), positions)
        # All heads on all poolings, then each attribute keeps its own block: A is small.
        scores = tf.cast(self.heads(pooled), tf.float32)
        blocks = []
        for attribute, block in enumerate(tf.split(scores, self.value_counts, axis=-1)):
            void = max(self.value_counts) - self.value_counts[attribute]
            blocks.append(tf.pad(block[:, attribute], [[0, 0], [0, void]], constant_values=_VOID))
        return {"logits": tf.stack(blocks, axis=1)}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value_counts": list(self.value_counts), "backbone": self.backbone_name}
