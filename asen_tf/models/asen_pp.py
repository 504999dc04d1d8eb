"""ASEN++: a global branch, a local branch, and one table of attribute embeddings.

In the order of the paper: one branch (`build_branch`: backbone, spatial attention, channel
attention, embedding), both of them with the region of interest between (`AsenPlusPlus`), and the
fusion of their embeddings at inference (`fuse`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeSpatialAttention,
    AverageAttention,
    BackgroundAttention,
    RegionOfInterest,
    jittered,
    released_crops,
    start_as_released,
)
from asen_tf.models.base import PairInputs, SimilarityModel, branch_model, image_features


def build_branch(part: str, settings: AsenPlusPlus.Settings) -> keras.Model:
    r"""Build the global or the local branch: one network, at two sizes.

    With the backbone's features :math:`x` and the attribute embedding :math:`e_a`:

    .. math::
        v = \mathrm{ASA}(x, e_a), \quad v' = \mathrm{ACA}(v, e_a), \quad f(I, a) = W v' + b

    ASA is `AttributeSpatialAttention`, ACA `AttributeChannelAttention`.

    Args:
        part: "global" or "local": whose backbone and attention to build; prefixes the layers'
            names.
        settings: of the whole model. Without both attentions, the attribute has no effect.

    Returns:
        A functional model. Inputs: `image`, `(B, H, W, 3)` in 0..255 (any size), and `attribute`,
        `(B, A, E)` attribute embeddings: `A` attributes share one pass of the backbone. Outputs: a
        dictionary of `embedding`, `(B, A, D)` (not normalised), and `attention`, `(B, A, h, w)`.
        With alignment "e_info_nce", the global branch adds `background`, `(B, A, D)`: what the
        attention leaves out (`BackgroundAttention`), through the same gates and linear layer.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), global and local branch.
    """
    backbone, attention_dim = {
        "global": (settings.global_backbone, settings.global_attention_dim),
        "local": (settings.local_backbone, settings.local_attention_dim),
    }[part]

    # === Layers ===
    image, features = image_features(backbone, prefix=f"{part}_")
    spatial = AverageAttention(name=f"{part}_average_attention")
    if settings.spatial_attention:
        spatial = AttributeSpatialAttention(attention_dim, name=f"{part}_spatial_attention")
    channel = AttributeChannelAttention(
        settings.channel_attribute_dim,
        settings.channel_reduction,
        name=f"{part}_channel_attention",
    )
    project = start_as_released(
        keras.layers.Dense(settings.embedding_dim, name=f"{part}_embedding"), features.shape[-1]
    )

    # === Functional model ===
    attribute = keras.Input((None, settings.attribute_dim), name="attribute")
    attended, attention = spatial([features, attribute])

    def embed(pooled: tf.Tensor) -> tf.Tensor:
        return project(channel([pooled, attribute]) if settings.channel_attention else pooled)

    outputs = {"embedding": embed(attended), "attention": attention}
    if part == "global" and settings.alignment == "e_info_nce":
        outputs["background"] = embed(
            BackgroundAttention(name=f"{part}_background")([features, attention])
        )
    return branch_model(part, image, attribute, **outputs)


@keras.saving.register_keras_serializable(package="asen_tf")
class AsenPlusPlus(SimilarityModel):
    """Attribute-specific embeddings from a whole image and from the region that matters.

    The global branch embeds the image at `global_size` and yields an attention map per attribute.
    `RegionOfInterest` turns the map into a square that is cut from the *source* image, so that the
    local branch sees detail the global input has lost.

    Call arguments:
        inputs: dictionary of `view` `(B, g, g, 3)` uint8, or what `resume_after` computes of it;
            when joint, `source` `(B, S, S, 3)` uint8; `attribute` `(B,)` int32, with region
            "true" `box` `(B, 4)` int32, and with jitter `draws` `(B, 3)`; see `jittered`.

    Returns:
        Dictionary of `global` and, when joint, `local` embeddings, each `(B, D)`, and `background`
        if the global branch gives it.

    References:
        Dong et al., "Fine-Grained Fashion Similarity Prediction by Attribute-Specific Embedding
        Learning", IEEE TIP 2021 (arXiv 2104.02429).
    """

    @dataclass(frozen=True)
    class Settings(SimilarityModel.Settings):
        """What the model is built from; a setting that names no branch holds for both."""

        local_backbone: str = "resnet34"  # backbone of the local branch
        local_size: int = 112  # px, side of the local input
        attribute_dim: int = 512  # `E`, units of the attribute embedding
        global_attention_dim: int = 512  # `d` of the global branch's spatial attention
        local_attention_dim: int = 256  # `d` of the local branch's
        channel_attribute_dim: int = 512  # units of `r` in the channel attention
        channel_reduction: int = 2  # `W1` of the channel attention maps to channels / this
        embedding_dim: int = 1024  # `D`, units of each branch's embedding
        roi_threshold: float = 0.1  # share of a map's range above which a pixel is kept
        fusion_weight: float = 0.6  # `b`, weight of the global cosine in the fused embedding
        spatial_attention: bool = True  # False: the plain mean over positions
        channel_attention: bool = True  # False: no gates
        alignment: str = "cosine"  # of the branches; "e_info_nce" needs the background, too
        attribute_tables: str = "shared"  # one table for both branches; or "separate", one for each
        # What the local branch sees: "attended"; "centre", the middle half of the frame; "whole",
        # all of it; or "true", boxes that come with the images.
        region: str = "attended"
        region_rule: str = "threshold"  # see `asen_tf.layers.region_of_interest.kept_pixels`
        region_share: float = 0.7  # of a map's sum, for the rule "mass"
        least_region: float = 0.0  # least side of an attended region, share of the frame's
        region_jitter: float = 0.0  # by which training moves and scales regions, share of a side

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        super().__init__(attributes, **arguments)
        settings = self.settings
        self.attribute_table = self.new_table("attribute_table", settings.attribute_dim)
        self.region = RegionOfInterest(
            settings.global_size,
            settings.local_size,
            settings.roi_threshold,
            extent=self.map_extent,
            rule=settings.region_rule,
            share=settings.region_share,
            least=settings.least_region,
            name="region",
        )
        self.global_branch = self.new_branch("global")
        self.local_branch = self.new_branch("local")
        self.local_table = self.attribute_table
        if settings.attribute_tables == "separate":
            self.local_table = self.new_table("local_table", settings.attribute_dim)
        self.built = True

    def new_branch(self, part: str) -> keras.Model:
        """Build the "global" or the "local" branch; see `build_branch`."""
        return build_branch(part, self.settings)

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Embed a training batch."""
        attribute = self.attribute_table(inputs["attribute"])[:, None, :]
        branch = self.branch_for(inputs["view"])
        whole = branch({"image": inputs["view"], "attribute": attribute}, training=training)
        outputs = {"global": whole["embedding"][:, 0]}
        if self.joint:
            boxes = self._boxes(whole["attention"][:, 0], inputs.get("box"))
            if training and "draws" in inputs and self.settings.region != "whole":
                given = {"amount": self.settings.region_jitter, "map_size": self.global_size}
                boxes = jittered(boxes, inputs["draws"], **given)
            crops, _ = self.region([whole["attention"][:, 0], inputs["source"], boxes])
            attribute = self.local_table(inputs["attribute"])[:, None, :]
            zoomed = self.local_branch({"image": crops, "attribute": attribute}, training=training)
            outputs["local"] = zoomed["embedding"][:, 0]
            if "background" in whole:
                outputs["background"] = whole["background"][:, 0]
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
            if self.settings.preprocessing == "release":
                sizes = {"map_size": self.global_size, "crop_size": self.settings.local_size}
                crops = released_crops(pairs.source, pairs.rows, boxes, **sizes)
            else:
                sources = tf.gather(pairs.source, pairs.rows)
                crops, _ = self.region([attention, sources, boxes])
            attribute = self.local_table(pairs.attributes)[:, None, :]
            zoomed = self.local_branch({"image": crops, "attribute": attribute}, training=False)
            outputs["local"] = tf.cast(zoomed["embedding"][:, 0], tf.float32)
            outputs["fused"] = fuse(
                outputs["global"], outputs["local"], self.settings.fusion_weight
            )
        return outputs

    def main_branch(self) -> keras.Model:
        """Return the global branch."""
        return self.global_branch

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """Global, local and fused; global alone during stage 1."""
        return ("global", "local", "fused") if self.joint else ("global",)

    @property
    def needs_boxes(self) -> bool:
        """Whether the local branch sees boxes that come with the images."""
        return self.settings.region == "true"

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
        return [
            (self.settings.global_backbone, self.global_branch.get_layer("global_backbone")),
            (self.settings.local_backbone, self.local_branch.get_layer("local_backbone")),
        ]

    def start_local_from_global(self) -> None:
        """Give the local branch the global one's weights, in all layers that have equal shapes.

        After the first stage these know the attributes already. Spatial attention of another `d`
        keeps its own start, and so does a table of attributes of the branch's own.
        """
        for layer in self.local_branch.layers:
            if layer.weights:
                other = self.global_branch.get_layer(layer.name.replace("local_", "global_", 1))
                if [w.shape for w in layer.weights] == [w.shape for w in other.weights]:
                    layer.set_weights(other.get_weights())

    def _boxes(self, attention: tf.Tensor, given: tf.Tensor | None) -> tf.Tensor:
        """Return the boxes that the local branch sees, `(P, 4)` int32."""
        kind = self.settings.region
        return given if kind == "true" else self.region.boxes(attention, kind)


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
