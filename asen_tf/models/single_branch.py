"""Methods of one branch, which sees the whole image."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from asen_tf.layers import region_boxes
from asen_tf.models.base import PairInputs, SimilarityModel


class SingleBranch(SimilarityModel):
    """Base of the methods of one branch, which sees the whole image; its embedding is "global".

    A subclass builds `branch`, a functional model. Its inputs: `image`, `(B, H, W, 3)` in 0..255
    (any size), and, if the network is told the attribute, `attribute`, `(B, A, E)`: `A` attributes
    share one pass of the backbone. Its outputs: `embedding`, `(B, A, D)` (or `(B, 1, D)`, the same
    for all attributes), and, if it has maps, `attention`, `(B, A, h, w)`.

    Call arguments:
        inputs: dictionary of `view` `(B, g, g, 3)` uint8, or what `resume_after` computes of it,
            and `attribute` `(B,)` int32.

    Returns:
        Dictionary of `global`, `(B, D)`.
    """

    branch: keras.Model

    def attribute_vectors(self) -> tf.Tensor:
        """Return what the branch is told about each attribute, `(A, E)`: its one-hot vector."""
        return tf.eye(self.attribute_count, dtype=self.compute_dtype)

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Embed a training batch."""
        attribute, asked = inputs["attribute"], {"image": inputs["view"]}
        branch = self.branch_for(inputs["view"])
        if "attribute" in branch.input:
            asked["attribute"] = tf.gather(self.attribute_vectors(), attribute)[:, None]
            return {"global": branch(asked, training=training)["embedding"][:, 0]}
        every = branch(asked, training=training)["embedding"]
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
                outputs["attention"],
                map_size=self.global_size,
                threshold=self.settings.roi_threshold,
                extent=self.map_extent,
            )
        return outputs

    def main_branch(self) -> keras.Model:
        """Return the branch."""
        return self.branch

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The branch."""
        return [self.branch]

    @property
    def backbones(self) -> list[tuple[str, keras.Model]]:
        """Name and model of the backbone."""
        return [(self.settings.global_backbone, self.branch.get_layer("global_backbone"))]

    def _chosen(self, every: tf.Tensor, rows: tf.Tensor, attributes: tf.Tensor) -> tf.Tensor:
        """Take each pair's embedding out of `(B, A, D)`, or of `(B, 1, D)` for all attributes."""
        column = attributes if every.shape[1] != 1 else tf.zeros_like(attributes)
        return tf.gather_nd(every, tf.stack([rows, column], axis=1))
