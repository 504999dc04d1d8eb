"""ASEN++: a global branch, a local branch, and one table of attribute embeddings.

One branch of ASEN++: backbone, spatial attention, channel attention, embedding.

One embedding out of two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.backbones import build_backbone, normalisation_mode
from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeSpatialAttention,
    AverageAttention,
    ImageNormalisation,
    RegionOfInterest,
)
from asen_tf.models.base import PairInputs, SimilarityModel


def build_branch(
    name: str,
    *,
    backbone: str,
    attribute_dim: int,
    attention_dim: int,
    channel_attribute_dim: int,
    channel_reduction: int,
    embedding_dim: int,
    spatial_attention: bool = True,
    channel_attention: bool = True,
) -> keras.Model:
    """Build the global or the local branch; both are calls of this function.

    Args:
        name: "global" or "local"; prefixes the layers' names.
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        attribute_dim: `E`, units of the attribute embedding.
        attention_dim: `d`, units of the spatial attention's key and query.
        channel_attribute_dim: units of `r` in the channel attention.
        channel_reduction: `W1` of the channel attention maps to channels / this.
        embedding_dim: `D`, units of the embedding.
        spatial_attention: False takes the plain mean over positions instead.
        channel_attention: False leaves the gates out; without both, the attribute counts for
            nothing.

    Returns:
        A functional model. Inputs: `image`, `(B, H, W, 3)` in 0..255 (any size), and `attribute`,
        `(B, A, E)` attribute embeddings: `A` attributes share one pass of the backbone. Outputs: a
        dictionary of `embedding`, `(B, A, D)` (not normalised), and `attention`, `(B, A, h, w)`.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), global and local branch.
    """
    # === Layers ===
    network = build_backbone(backbone, prefix=f"{name}_")
    normalisation = ImageNormalisation(normalisation_mode(backbone), name=f"{name}_normalisation")
    spatial = AverageAttention(name=f"{name}_average_attention")
    if spatial_attention:
        spatial = AttributeSpatialAttention(attention_dim, name=f"{name}_spatial_attention")
    channel = AttributeChannelAttention(
        channel_attribute_dim, channel_reduction, name=f"{name}_channel_attention"
    )
    project = keras.layers.Dense(embedding_dim, name=f"{name}_embedding")

    # === Functional model ===
    image = keras.Input((None, None, 3), name="image")
    attribute = keras.Input((None, attribute_dim), name="attribute")
    features = network(normalisation(image))
    attended, attention = spatial([features, attribute])
    embedding = project(channel([attended, attribute]) if channel_attention else attended)
    return keras.Model(
        {"image": image, "attribute": attribute},
        {"embedding": embedding, "attention": attention},
        name=f"{name}_branch",
    )


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


# Settings that both branches have in common.
_SHARED = (
    *("attribute_dim", "channel_attribute_dim", "channel_reduction", "embedding_dim"),
    *("spatial_attention", "channel_attention"),
)


@keras.saving.register_keras_serializable(package="asen_tf")
class AsenPlusPlus(SimilarityModel):
    """Attribute-specific embeddings from a whole image and from the region that matters.

    The global branch embeds the image at `global_size` and yields an attention map per attribute.
    `RegionOfInterest` turns the map into a square that is cut from the *source* image, so that the
    local branch sees detail the global input has lost.

    Args:
        attributes: names of the attributes, in index order.
        global_backbone: backbone of the global branch; likewise `local_backbone`.
        global_size: side of the global input in pixels; likewise `local_size`.
        attribute_dim: `E`, units of the attribute embedding.
        global_attention_dim: `d` of the global branch; likewise `local_attention_dim`.
        channel_attribute_dim: units of `r` in both channel attentions.
        channel_reduction: reduction of both channel attentions.
        embedding_dim: `D`, units of each branch's embedding.
        roi_threshold: share of the attention map's range above which a pixel is kept.
        fusion_weight: `b`, the global cosine's weight in the fused embedding.
        spatial_attention: False takes the plain mean over positions in both branches.
        channel_attention: False leaves the channel gates out of both branches.
        attribute_tables: "shared", one table for both branches, or "separate", one for each.
        region: what the local branch sees: "attended"; "centre", the middle half of the frame; or
            "true", boxes that come with the images.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dictionary of `view` `(B, g, g, 3)` and, when joint, `source` `(B, S, S, 3)`, both
            uint8, `attribute` `(B,)` int32, and with region "true" `box` `(B, 4)` int32.

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
        spatial_attention: bool = True,
        channel_attention: bool = True,
        attribute_tables: str = "shared",
        region: str = "attended",
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
            "spatial_attention": spatial_attention,
            "channel_attention": channel_attention,
            "attribute_tables": attribute_tables,
            "region": region,
        }
        self.fusion_weight = fusion_weight

        # === Layers ===
        shared = {name: self._settings[name] for name in _SHARED}
        self.attribute_table = self._table("attribute_table")
        self.region = RegionOfInterest(global_size, local_size, roi_threshold, name="region")
        self.global_branch, self.local_branch = (
            build_branch(part, backbone=backbone, attention_dim=units, **shared)
            for part, backbone, units in (
                ("global", global_backbone, global_attention_dim),
                ("local", local_backbone, local_attention_dim),
            )
        )
        separate = attribute_tables == "separate"
        self.local_table = self._table("local_table") if separate else self.attribute_table
        # All variables exist from here on, so that weights load into a model that has never seen
        # an image.
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
            boxes = self._boxes(whole["attention"][:, 0], inputs.get("box"))
            crops, _ = self.region([whole["attention"][:, 0], inputs["source"], boxes])
            attribute = self.local_table(inputs["attribute"])[:, None, :]
            zoomed = self.local_branch({"image": crops, "attribute": attribute}, training=training)
            outputs["local"] = zoomed["embedding"][:, 0]
        return outputs

    def pair_outputs(self, pairs: PairInputs) -> dict[str, tf.Tensor]:
        """Embed (image, attribute) pairs: embeddings, `attention` `(P, h, w)`, `boxes` `(P, 4)`."""
        table = self.attribute_table(tf.range(self.attribute_count))
        every = tf.repeat(table[None], tf.shape(pairs.view)[0], axis=0)
        whole = self.global_branch({"image": pairs.view, "attribute": every}, training=False)
        attention = tf.gather_nd(whole["attention"], pairs.places)
        boxes = self._boxes(attention, pairs.boxes)
        outputs = {"attention": attention, "boxes": boxes}
        outputs["global"] = tf.cast(tf.gather_nd(whole["embedding"], pairs.places), tf.float32)
        if self.joint:
            sources = tf.gather(pairs.source, pairs.rows)
            crops, _ = self.region([attention, sources, boxes])
            attribute = self.local_table(pairs.attributes)[:, None, :]
            zoomed = self.local_branch({"image": crops, "attribute": attribute}, training=False)
            outputs["local"] = tf.cast(zoomed["embedding"][:, 0], tf.float32)
            outputs["fused"] = fuse(outputs["global"], outputs["local"], self.fusion_weight)
        return outputs

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """Global, local and fused; global alone during stage 1."""
        return ("global", "local", "fused") if self.joint else ("global",)

    @property
    def needs_boxes(self) -> bool:
        """Whether the local branch sees boxes that come with the images."""
        return self._settings["region"] == "true"

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The global branch and the attribute table: what the first stage trains."""
        return [self.global_branch, self.attribute_table]

    @property
    def local_layers(self) -> list[keras.layers.Layer]:
        """The local branch, and its own attribute table if it has one."""
        own = [] if self.local_table is self.attribute_table else [self.local_table]
        return [self.local_branch, *own]

    @property
    def backbones(self) -> list[tuple[str, keras.Model]]:
        """Name and model of each branch's backbone."""
        parts = (("global", self.global_branch), ("local", self.local_branch))
        return [
            (self._settings[f"{part}_backbone"], branch.get_layer(f"{part}_backbone"))
            for part, branch in parts
        ]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}

    def _boxes(self, attention: tf.Tensor, given: tf.Tensor | None) -> tf.Tensor:
        """Return the boxes that the local branch sees, `(P, 4)` int32."""
        kind = self._settings["region"]
        return given if kind == "true" else self.region.boxes(attention, centred=kind == "centre")

    def _table(self, name: str) -> keras.layers.Embedding:
        units = self._settings["attribute_dim"]
        table = keras.layers.Embedding(self.attribute_count, units, name=name)
        with tf.name_scope(name):  # unique names, for training.optimizers
            table.build((None,))
        return table
