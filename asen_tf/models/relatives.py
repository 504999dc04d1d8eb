"""ASEN++'s relatives: methods of one branch, which sees the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.backbones import build_backbone, normalisation_mode
from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeSpatialAttention,
    ConditionalMask,
    ImageNormalisation,
    ProductSpatialAttention,
    region_boxes,
)
from asen_tf.models.base import PairInputs, SimilarityModel

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
