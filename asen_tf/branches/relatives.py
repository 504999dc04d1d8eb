"""The networks of ASEN++'s relatives: the triplet network, CSN, and both forms of ASEN.

All take the whole image. Inputs and outputs are those of `asen_tf.branches.build_branch`: `image`
`(B, H, W, 3)` in 0..255 and `attribute` `(B, A, E)`, where the network asks for one; `embedding`
`(B, A, D)`, and `attention` `(B, A, h, w)` where there is any.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from asen_tf.backbones import build_backbone, normalisation_mode
from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeSpatialAttention,
    ConditionalMask,
    ImageNormalisation,
    ProductSpatialAttention,
)

_PREFIX = "global_"  # the part that these networks play in ASEN++


def build_unconditional(*, backbone: str, embedding_dim: int) -> keras.Model:
    """Build the triplet network: the mean of the features, then a linear layer.

    It has no attribute input: one embedding, `(B, 1, D)`, stands for all attributes.

    Args:
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        embedding_dim: `D`, units of the embedding.

    Returns:
        A functional model from `image` to `embedding`.
    """
    image, features = _features(backbone)
    embedding = _pooled(features, embedding_dim)
    return _model({"image": image}, {"embedding": embedding[:, None]})


def build_conditional(
    *, backbone: str, embedding_dim: int, attributes: int, masks: str
) -> keras.Model:
    """Build the Conditional Similarity Network: one embedding, masked for each attribute.

    Args:
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        embedding_dim: `D`, units of the embedding.
        attributes: `A`; the output holds all of them.
        masks: "learned" or "disjoint".

    Returns:
        A functional model from `image` to `embedding` `(B, A, D)`.

    References:
        Veit et al., "Conditional Similarity Networks", CVPR 2017 (arXiv 1603.07810); without its
        penalties on the size of embedding and masks, which cosines make pointless.
    """
    image, features = _features(backbone)
    mask = ConditionalMask(attributes, masks, name=f"{_PREFIX}mask")
    return _model({"image": image}, {"embedding": mask(_pooled(features, embedding_dim))})


def build_asen(
    *,
    backbone: str,
    attributes: int,
    attention_dim: int,
    channel_reduction: int,
    embedding_dim: int,
) -> keras.Model:
    """Build ASEN as first published: one-hot attributes, scores by convolution, a linear layer.

    Args:
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        attributes: `A`, the length of the one-hot vectors; `E` of the input.
        attention_dim: `d` of the spatial attention.
        channel_reduction: `W1` of the channel attention maps to channels / this.
        embedding_dim: `D`, units of the embedding, which has length 1.

    Returns:
        A functional model from `image` and `attribute` to `embedding` and `attention`.

    References:
        Ma et al., "Fine-Grained Fashion Similarity Learning by Attribute-Specific Embedding
        Network", AAAI 2020 (arXiv 2002.02814).
    """
    image, features = _features(backbone)
    attribute = keras.Input((None, attributes), name="attribute")
    spatial = ProductSpatialAttention(attention_dim, name=f"{_PREFIX}spatial_attention")
    channel = AttributeChannelAttention(
        features.shape[-1],  # r is as long as the features: 1024 + 1024 -> 512 -> 1024
        channel_reduction,
        attribute_bias=False,
        name=f"{_PREFIX}channel_attention",
    )
    attended, attention = spatial([features, attribute])
    project = keras.layers.Dense(embedding_dim, name=f"{_PREFIX}embedding")
    embedding = _unit_length(project(channel([attended, attribute])))
    return _model(
        {"image": image, "attribute": attribute}, {"embedding": embedding, "attention": attention}
    )


def build_asen_v2(
    *,
    backbone: str,
    attribute_dim: int,
    attention_dim: int,
    channel_attribute_dim: int,
    channel_reduction: int,
) -> keras.Model:
    """Build the faster form of ASEN: attribute embeddings, scaled dot product, no linear layer.

    Args:
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        attribute_dim: `E`, units of the attribute embedding.
        attention_dim: `d` of the spatial attention, with batch normalisation of its keys.
        channel_attribute_dim: units of `r` in the channel attention.
        channel_reduction: `W1` of the channel attention maps to channels / this.

    Returns:
        A functional model from `image` and `attribute` to `embedding`, of length 1 and as many
        dimensions as the backbone has channels, and `attention`.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), second form of the release.
    """
    image, features = _features(backbone)
    attribute = keras.Input((None, attribute_dim), name="attribute")
    spatial = AttributeSpatialAttention(
        attention_dim, normalise=True, name=f"{_PREFIX}spatial_attention"
    )
    channel = AttributeChannelAttention(
        channel_attribute_dim, channel_reduction, name=f"{_PREFIX}channel_attention"
    )
    attended, attention = spatial([features, attribute])
    embedding = _unit_length(channel([attended, attribute]))
    return _model(
        {"image": image, "attribute": attribute}, {"embedding": embedding, "attention": attention}
    )


def _features(backbone: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the image input and the backbone's features."""
    image = keras.Input((None, None, 3), name="image")
    normalisation = ImageNormalisation(normalisation_mode(backbone), name=f"{_PREFIX}normalisation")
    return image, build_backbone(backbone, prefix=_PREFIX)(normalisation(image))


def _pooled(features: tf.Tensor, units: int) -> tf.Tensor:
    mean = keras.layers.GlobalAveragePooling2D(name=f"{_PREFIX}mean")(features)
    return keras.layers.Dense(units, name=f"{_PREFIX}embedding")(mean)


def _unit_length(embedding: tf.Tensor) -> tf.Tensor:
    return keras.layers.UnitNormalization(name=f"{_PREFIX}unit_length")(embedding)


def _model(inputs: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> keras.Model:
    return keras.Model(inputs, outputs, name=f"{_PREFIX}branch")
