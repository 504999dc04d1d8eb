"""ASEN in both forms of its release, the forerunners of ASEN++'s global branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeSpatialAttention,
    ProductSpatialAttention,
    start_as_released,
)
from asen_tf.models.asen_pp import fuse
from asen_tf.models.base import PairInputs, branch_model, image_features
from asen_tf.models.single_branch import SingleBranch


@keras.saving.register_keras_serializable(package="asen_tf")
class Asen(SingleBranch):
    r"""ASEN as first published: one-hot attributes steer spatial and channel attention.

    With the backbone's features :math:`x` and the attribute's one-hot vector :math:`a`:

    .. math::
        v = \mathrm{ASA}(x, a), \quad v' = \mathrm{ACA}(v, a), \quad
        f = W v' + b, \quad \mathrm{embedding} = f / |f|

    ASA is `ProductSpatialAttention`; ACA is `AttributeChannelAttention` without the bias of `r`.

    References:
        Ma et al., "Fine-Grained Fashion Similarity Learning by Attribute-Specific Embedding
        Network", AAAI 2020 (arXiv 2002.02814).
    """

    @dataclass(frozen=True)
    class Settings(SingleBranch.Settings):
        """What the network is built from."""

        global_attention_dim: int = 512  # `d` of the spatial attention
        channel_reduction: int = 2  # `W1` of the channel attention maps to channels / this
        embedding_dim: int = 1024  # `D`, units of the embedding
        roi_threshold: float = 0.1  # of the boxes around where the maps attend; nothing is cut

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        super().__init__(attributes, **arguments)
        settings = self.settings

        # === Layers ===
        image, features = image_features(settings.global_backbone, prefix="global_")
        spatial = ProductSpatialAttention(
            settings.global_attention_dim, name="global_spatial_attention"
        )
        channel = AttributeChannelAttention(
            features.shape[-1],  # r is as long as the features: 1024 + 1024 -> 512 -> 1024
            settings.channel_reduction,
            attribute_bias=False,
            name="global_channel_attention",
        )
        project = start_as_released(
            keras.layers.Dense(settings.embedding_dim, name="global_embedding"), features.shape[-1]
        )
        unit_length = keras.layers.UnitNormalization(name="global_unit_length")

        # === Functional model ===
        attribute = keras.Input((None, self.attribute_count), name="attribute")
        attended, attention = spatial([features, attribute])
        embedding = unit_length(project(channel([attended, attribute])))
        outputs = {"embedding": embedding, "attention": attention}
        self.branch = branch_model("global", image, attribute, **outputs)
        self.built = True


@keras.saving.register_keras_serializable(package="asen_tf")
class AsenV2(SingleBranch):
    r"""The faster form of ASEN: attribute embeddings, scaled dot products, no linear layer.

    With the backbone's features :math:`x` and the learned attribute embedding :math:`e_a`:

    .. math::
        v = \mathrm{ASA}(x, e_a), \quad v' = \mathrm{ACA}(v, e_a), \quad
        \mathrm{embedding} = v' / |v'|

    ASA is `AttributeSpatialAttention` with batch normalisation of its keys, ACA
    `AttributeChannelAttention`. The embedding has as many dimensions as the backbone has channels.

    With `networks=2` there is a `second` network of the same kind. Each is trained on its own; the
    embedding is theirs, fused half and half; no attention map is returned.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), second form of the release.
    """

    @dataclass(frozen=True)
    class Settings(SingleBranch.Settings):
        """What the network is built from."""

        attribute_dim: int = 512  # `E`, units of the attribute embedding
        global_attention_dim: int = 512  # `d` of the spatial attention
        channel_attribute_dim: int = 512  # units of `r` in the channel attention
        channel_reduction: int = 2  # `W1` of the channel attention maps to channels / this
        roi_threshold: float = 0.1  # of the boxes around where the maps attend; nothing is cut
        networks: int = 1  # 2: two networks, fused

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        super().__init__(attributes, **arguments)
        settings = self.settings

        # === Layers ===
        self.attribute_table = self.new_table("attribute_table", settings.attribute_dim)
        image, features = image_features(settings.global_backbone, prefix="global_")
        spatial = AttributeSpatialAttention(
            settings.global_attention_dim, normalise=True, name="global_spatial_attention"
        )
        channel = AttributeChannelAttention(
            settings.channel_attribute_dim,
            settings.channel_reduction,
            name="global_channel_attention",
        )
        unit_length = keras.layers.UnitNormalization(name="global_unit_length")

        # === Functional model ===
        attribute = keras.Input((None, settings.attribute_dim), name="attribute")
        attended, attention = spatial([features, attribute])
        embedding = unit_length(channel([attended, attribute]))
        outputs = {"embedding": embedding, "attention": attention}
        self.branch = branch_model("global", image, attribute, **outputs)
        self.second = None
        if settings.networks == 2:
            self.second = AsenV2(attributes, **{**asdict(settings), "networks": 1})
        self.built = True

    def pair_outputs(self, pairs: PairInputs) -> dict[str, tf.Tensor]:
        """Embed (image, attribute) pairs; see `SingleBranch` and, for two networks, `AsenV2`."""
        outputs = super().pair_outputs(pairs)
        if self.second is None:
            return outputs
        other = self.second.pair_outputs(pairs)["global"]
        return {"global": fuse(outputs["global"], other, 0.5)}

    def attribute_vectors(self) -> tf.Tensor:
        """Return the attribute embeddings, `(A, E)`."""
        return self.attribute_table(tf.range(self.attribute_count))

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The branch and the attribute table; of two networks both."""
        other = [] if self.second is None else self.second.global_layers
        return [self.branch, self.attribute_table, *other]
