"""ASEN++'s relatives: methods of one branch, which sees the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.branches import build_conditional, build_unconditional
from asen_tf.layers import region_boxes
from asen_tf.models.base import SimilarityModel
from asen_tf.models.pairs import PairInputs


class SingleBranch(SimilarityModel):
    """Base of the relatives: one network, one embedding, called "global".

    A subclass builds `branch` and says which vectors stand for its attributes.

    Call arguments:
        inputs: dictionary of `view` `(B, g, g, 3)` uint8 and `attribute` `(B,)` int32.

    Returns:
        Dictionary of `global`, `(B, D)`.
    """

    branch: keras.Model
    roi_threshold = 0.1  # for the regions that the attention would give; nothing is cut from them

    def attribute_vectors(self) -> tf.Tensor:
        """Return what the branch is told of each attribute, `(A, E)`: its one-hot vector."""
        return tf.eye(self.attribute_count, dtype=self.compute_dtype)

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Embed a training batch; see the class."""
        attribute = inputs["attribute"]
        if "attribute" in self.branch.input:
            vectors = tf.gather(self.attribute_vectors(), attribute)[:, None]
            asked = {"image": inputs["view"], "attribute": vectors}
            return {"global": self.branch(asked, training=training)["embedding"][:, 0]}
        every = self.branch({"image": inputs["view"]}, training=training)["embedding"]
        return {"global": self._chosen(every, tf.range(tf.shape(attribute)[0]), attribute)}

    def pair_outputs(self, pairs: PairInputs) -> dict[str, tf.Tensor]:
        """Embed (image, attribute) pairs; with attention, `attention` and `boxes` come along."""
        asked = {"image": pairs.view}
        if "attribute" in self.branch.input:
            vectors = self.attribute_vectors()[None]
            asked["attribute"] = tf.repeat(vectors, tf.shape(pairs.view)[0], axis=0)
        whole = self.branch(asked, training=False)
        embedding = self._chosen(whole["embedding"], pairs.rows, pairs.attributes)
        outputs = {"global": tf.cast(embedding, tf.float32)}
        if "attention" in whole:
            outputs["attention"] = tf.gather_nd(whole["attention"], pairs.places)
            outputs["boxes"] = region_boxes(
                outputs["attention"], map_size=self.global_size, threshold=self.roi_threshold
            )
        return outputs

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The branch."""
        return [self.branch]

    @property
    def backbones(self) -> list[tuple[str, keras.Model]]:
        """Name and model of the backbone."""
        return [(self._settings["global_backbone"], self.branch.get_layer("global_backbone"))]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}

    def _chosen(self, every: tf.Tensor, rows: tf.Tensor, attributes: tf.Tensor) -> tf.Tensor:
        """Take each pair's embedding out of `(B, A, D)`, or of `(B, 1, D)` for all attributes."""
        column = attributes if every.shape[1] != 1 else tf.zeros_like(attributes)
        return tf.gather_nd(every, tf.stack([rows, column], axis=1))


@keras.saving.register_keras_serializable(package="asen_tf")
class TripletNetwork(SingleBranch):
    """The triplet network: one embedding per image, whatever the attribute.

    It learns from the same triplets as the others without being told their attribute: the
    general notion of similarity that attribute-specific methods are measured against.

    Args:
        attributes: names of the attributes, in index order.
        global_backbone: the backbone.
        global_size: px, side of the input.
        embedding_dim: `D`.
        **kwargs: passed to `keras.Model`.
    """

    def __init__(
        self,
        attributes: Sequence[str],
        *,
        global_backbone: str = "resnet50",
        global_size: int = 224,
        embedding_dim: int = 1024,
        **kwargs: Any,
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(attributes, global_size=global_size, **kwargs)
        self._settings = {"global_backbone": global_backbone, "embedding_dim": embedding_dim}
        self.branch = build_unconditional(backbone=global_backbone, embedding_dim=embedding_dim)
        self.built = True


@keras.saving.register_keras_serializable(package="asen_tf")
class ConditionalSimilarityNetwork(SingleBranch):
    """CSN: one embedding per image, and a mask over its dimensions for each attribute.

    Args:
        attributes: names of the attributes, in index order.
        global_backbone: the backbone.
        global_size: px, side of the input.
        embedding_dim: `D`.
        csn_masks: "learned", or "disjoint": fixed, with dimensions of its own for each attribute.
        **kwargs: passed to `keras.Model`.

    References:
        Veit et al., "Conditional Similarity Networks", CVPR 2017 (arXiv 1603.07810).
    """

    def __init__(
        self,
        attributes: Sequence[str],
        *,
        global_backbone: str = "resnet50",
        global_size: int = 224,
        embedding_dim: int = 1024,
        csn_masks: str = "learned",
        **kwargs: Any,
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(attributes, global_size=global_size, **kwargs)
        self._settings = {
            "global_backbone": global_backbone,
            "embedding_dim": embedding_dim,
            "csn_masks": csn_masks,
        }
        self.branch = build_conditional(
            backbone=global_backbone,
            embedding_dim=embedding_dim,
            attributes=self.attribute_count,
            masks=csn_masks,
        )
        self.built = True
