"""ASEN in both forms of its release, the forerunners of ASEN++'s global branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from asen_tf.models.relatives import SingleBranch, build_asen, build_asen_v2


@keras.saving.register_keras_serializable(package="asen_tf")
class Asen(SingleBranch):
    """ASEN as first published: one-hot attributes steer spatial and channel attention.

    Args:
        attributes: names of the attributes, in index order.
        global_backbone: the backbone.
        global_size: px, side of the input.
        global_attention_dim: `d` of the spatial attention.
        channel_reduction: reduction of the channel attention.
        embedding_dim: `D`.
        roi_threshold: of the regions that the attention would give; for comparison only.
        **kwargs: passed to `keras.Model`.

    References:
        Ma et al., "Fine-Grained Fashion Similarity Learning by Attribute-Specific Embedding
        Network", AAAI 2020 (arXiv 2002.02814).
    """

    def __init__(
        self,
        attributes: Sequence[str],
        *,
        global_backbone: str = "resnet50",
        global_size: int = 224,
        global_attention_dim: int = 512,
        channel_reduction: int = 2,
        embedding_dim: int = 1024,
        roi_threshold: float = 0.1,
        **kwargs: Any,
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(attributes, global_size=global_size, **kwargs)
        self._settings = {
            "global_backbone": global_backbone,
            "global_attention_dim": global_attention_dim,
            "channel_reduction": channel_reduction,
            "embedding_dim": embedding_dim,
            "roi_threshold": roi_threshold,
        }
        self.roi_threshold = roi_threshold
        self.branch = build_asen(
            backbone=global_backbone,
            attributes=self.attribute_count,
            attention_dim=global_attention_dim,
            channel_reduction=channel_reduction,
            embedding_dim=embedding_dim,
        )
        self.built = True


@keras.saving.register_keras_serializable(package="asen_tf")
class AsenV2(SingleBranch):
    """The faster form of ASEN: attribute embeddings, scaled dot products, no linear layer.

    Its embedding has as many dimensions as the backbone has channels.

    Args:
        attributes: names of the attributes, in index order.
        global_backbone: the backbone.
        global_size: px, side of the input.
        attribute_dim: `E`, units of the attribute embedding.
        global_attention_dim: `d` of the spatial attention.
        channel_attribute_dim: units of `r` in the channel attention.
        channel_reduction: reduction of the channel attention.
        roi_threshold: of the regions that the attention would give; for comparison only.
        **kwargs: passed to `keras.Model`.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), second form of the release.
    """

    def __init__(
        self,
        attributes: Sequence[str],
        *,
        global_backbone: str = "resnet50",
        global_size: int = 224,
        attribute_dim: int = 512,
        global_attention_dim: int = 512,
        channel_attribute_dim: int = 512,
        channel_reduction: int = 2,
        roi_threshold: float = 0.1,
        **kwargs: Any,
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(attributes, global_size=global_size, **kwargs)
        self._settings = {
            "global_backbone": global_backbone,
            "attribute_dim": attribute_dim,
            "global_attention_dim": global_attention_dim,
            "channel_attribute_dim": channel_attribute_dim,
            "channel_reduction": channel_reduction,
            "roi_threshold": roi_threshold,
        }
        self.roi_threshold = roi_threshold
        self.attribute_table = keras.layers.Embedding(
            self.attribute_count, attribute_dim, name="attribute_table"
        )
        with tf.name_scope(self.attribute_table.name):
            self.attribute_table.build((None,))
        self.branch = build_asen_v2(
            backbone=global_backbone,
            attribute_dim=attribute_dim,
            attention_dim=global_attention_dim,
            channel_attribute_dim=channel_attribute_dim,
            channel_reduction=channel_reduction,
        )
        self.built = True

    def attribute_vectors(self) -> tf.Tensor:
        """Return the attribute embeddings, `(A, E)`."""
        return self.attribute_table(tf.range(self.attribute_count))

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The branch and the attribute table."""
        return [self.branch, self.attribute_table]
