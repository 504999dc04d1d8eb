"""ASEN++: a global branch, a local branch, and one table of attribute embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.branches import build_branch
from asen_tf.layers import RegionOfInterest
from asen_tf.models.base import SimilarityModel


@keras.saving.register_keras_serializable(package="asen_tf")
class AsenPlusPlus(SimilarityModel):
    """Attribute-specific embeddings from a whole image and from the region that matters.

    The global branch embeds the image at `global_size` and yields an attention map per attribute.
    `RegionOfInterest` turns the map into a square that is cut from the *source* image, so that the
    local branch sees detail the global input has lost. Both branches share the attribute table.

    Args:
        attributes: names of the attributes, in index order.
        global_backbone: backbone of the global branch.
        local_backbone: backbone of the local branch.
        global_size: side of the global input in pixels.
        local_size: side of the local input in pixels.
        attribute_dim: `E`, units of the attribute embedding.
        global_attention_dim: `d` of the global branch.
        local_attention_dim: `d` of the local branch.
        channel_attribute_dim: units of `r` in both channel attentions.
        channel_reduction: reduction of both channel attentions.
        embedding_dim: `D`, units of each branch's embedding.
        roi_threshold: share of the attention map's range above which a pixel is kept.
        fusion_weight: `b`, the global cosine's weight in the fused embedding.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dictionary of `view` `(B, g, g, 3)` and, when joint, `source` `(B, S, S, 3)`, both
            uint8, and `attribute` `(B,)` int32.

    Returns:
        Dictionary of `global` and, when joint, `local` embeddings, each `(B, D)`.

    References:
        Dong et al., "Fine-Grained Fashion Similarity Prediction by Attribute-Specific Embedding
        Learning", IEEE TIP 2021 (arXiv 2104.02429).
    """

    def __init__(
        self,
        attributes: Sequence[str],
        *,
        global_backbone: str = "resnet50",
        local_backbone: str = "resnet34",
        global_size: int = 224,
        local_size: int = 112,
        attribute_dim: int = 512,
        global_attention_dim: int = 512,
        local_attention_dim: int = 256,
        channel_attribute_dim: int = 512,
        channel_reduction: int = 2,
        embedding_dim: int = 1024,
        roi_threshold: float = 0.1,
        fusion_weight: float = 0.6,
        **kwargs: Any,
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(attributes, global_size=global_size, **kwargs)
        self._settings = {
            "global_backbone": global_backbone,
            "local_backbone": local_backbone,
            "local_size": local_size,
            "attribute_dim": attribute_dim,
            "global_attention_dim": global_attention_dim,
            "local_attention_dim": local_attention_dim,
            "channel_attribute_dim": channel_attribute_dim,
            "channel_reduction": channel_reduction,
            "embedding_dim": embedding_dim,
            "roi_threshold": roi_threshold,
            "fusion_weight": fusion_weight,
        }
        self.fusion_weight = fusion_weight

        # === Layers ===
        shared = {
            "attribute_dim": attribute_dim,
            "channel_attribute_dim": channel_attribute_dim,
            "channel_reduction": channel_reduction,
            "embedding_dim": embedding_dim,
        }
        self.attribute_table = keras.layers.Embedding(
            self.attribute_count, attribute_dim, name="attribute_table"
        )
        self.global_branch = build_branch(
            "global", backbone=global_backbone, attention_dim=global_attention_dim, **shared
        )
        self.region = RegionOfInterest(global_size, local_size, roi_threshold, name="region")
        self.local_branch = build_branch(
            "local", backbone=local_backbone, attention_dim=local_attention_dim, **shared
        )
        # Functional branches are built already; with the table, all variables exist from here on,
        # so that weights load into a model that has never seen an image.
        with tf.name_scope(self.attribute_table.name):
            self.attribute_table.build((None,))
        self.built = True

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Embed a training batch; see the class."""
        attribute = self.attribute_table(inputs["attribute"])[:, None, :]
        whole = self.global_branch(
            {"image": inputs["view"], "attribute": attribute}, training=training
        )
        outputs = {"global": whole["embedding"][:, 0]}
        if self.joint:
            crops, _ = self.region([whole["attention"][:, 0], inputs["source"]])
            zoomed = self.local_branch({"image": crops, "attribute": attribute}, training=training)
            outputs["local"] = zoomed["embedding"][:, 0]
        return outputs

    def pair_outputs(
        self, view: tf.Tensor, source: tf.Tensor, rows: tf.Tensor, attributes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Embed (image, attribute) pairs: embeddings, `attention` `(P, h, w)`, `boxes` `(P, 4)`."""
        table = self.attribute_table(tf.range(self.attribute_count))
        every = tf.repeat(table[None], tf.shape(view)[0], axis=0)
        whole = self.global_branch({"image": view, "attribute": every}, training=False)
        pairs = tf.stack([rows, attributes], axis=1)
        attention = tf.gather_nd(whole["attention"], pairs)
        crops, boxes = self.region([attention, tf.gather(source, rows)])
        outputs = {"attention": attention, "boxes": boxes}
        outputs["global"] = tf.cast(tf.gather_nd(whole["embedding"], pairs), tf.float32)
        if self.joint:
            attribute = tf.gather(table, attributes)[:, None, :]
            zoomed = self.local_branch({"image": crops, "attribute": attribute}, training=False)
            outputs["local"] = tf.cast(zoomed["embedding"][:, 0], tf.float32)
            outputs["fused"] = fuse(outputs["global"], outputs["local"], self.fusion_weight)
        return outputs

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """Global, local and fused; global alone during stage 1."""
        return ("global", "local", "fused") if self.joint else ("global",)

    @property
    def backbones(self) -> list[tuple[str, keras.Model]]:
        """Name and model of each branch's backbone."""
        parts = (("global", self.global_branch), ("local", self.local_branch))
        names = {part: self._settings[f"{part}_backbone"] for part, _ in parts}
        return [(names[part], branch.get_layer(f"{part}_backbone")) for part, branch in parts]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


def fuse(global_embeddings: tf.Tensor, local_embeddings: tf.Tensor, weight: float) -> tf.Tensor:
    """Fuse both branches: `concat(sqrt(b) g/|g|, sqrt(1 - b) l/|l|)`.

    The dot product of two fused embeddings is `b cos_g + (1 - b) cos_l`: with b = 0.6, cosines of
    0.5 and 1.0 fuse to 0.7.

    Args:
        global_embeddings: `(..., D)` float.
        local_embeddings: `(..., D)` float.
        weight: `b` in [0, 1].

    Returns:
        `(..., 2 D)` float, of length 1.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), inference.
    """
    return tf.concat(
        [
            weight**0.5 * tf.math.l2_normalize(global_embeddings, axis=-1),
            (1.0 - weight) ** 0.5 * tf.math.l2_normalize(local_embeddings, axis=-1),
        ],
        axis=-1,
    )
