"""One branch of ASEN++: backbone, spatial attention, channel attention, embedding."""

from __future__ import annotations

import keras

from asen_tf.backbones import build_backbone, normalisation_mode
from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeSpatialAttention,
    AverageAttention,
    ImageNormalisation,
)


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
