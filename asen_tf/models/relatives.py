"""The relatives without attention: the triplet network and the Conditional Similarity Network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from asen_tf.layers import ConditionalMask, start_as_released
from asen_tf.models.base import SingleBranch, image_features


@keras.saving.register_keras_serializable(package="asen_tf")
class TripletNetwork(SingleBranch):
    r"""The triplet network: one embedding per image, whatever the attribute.

    The mean of the backbone's features :math:`x` over the positions, then a linear layer:

    .. math::
        f = W \, \mathrm{mean}_{ij}(x_{ij}) + b

    It learns from the same triplets as the others without being told their attribute: the general
    notion of similarity that attribute-specific methods are measured against.
    """

    @dataclass(frozen=True)
    class Settings(SingleBranch.Settings):
        """What the network is built from."""

        embedding_dim: int = 1024  # `D`, units of the embedding

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        super().__init__(attributes, **arguments)
        image, embedding = _mean_embedding(self.settings)
        # One column, (B, 1, D), stands for all attributes.
        self.branch = keras.Model(
            {"image": image}, {"embedding": embedding[:, None]}, name="global_branch"
        )
        self.built = True


@keras.saving.register_keras_serializable(package="asen_tf")
class ConditionalSimilarityNetwork(SingleBranch):
    r"""CSN: one embedding per image, and a mask over its dimensions for each attribute.

    With the backbone's features :math:`x` and the attribute's mask weights :math:`\beta_a`:

    .. math::
        f = W \, \mathrm{mean}_{ij}(x_{ij}) + b, \quad f_a = f \odot \mathrm{relu}(\beta_a)

    The source's penalties on the size of embedding and masks are left out: similarities are
    cosines, which do not depend on it.

    References:
        Veit et al., "Conditional Similarity Networks", CVPR 2017 (arXiv 1603.07810).
    """

    @dataclass(frozen=True)
    class Settings(SingleBranch.Settings):
        """What the network is built from."""

        embedding_dim: int = 1024  # `D`, units of the embedding
        csn_masks: str = "learned"  # or "disjoint": fixed, each attribute has dimensions of its own

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        super().__init__(attributes, **arguments)
        image, embedding = _mean_embedding(self.settings)
        mask = ConditionalMask(self.attribute_count, self.settings.csn_masks, name="global_mask")
        self.branch = keras.Model(
            {"image": image}, {"embedding": mask(embedding)}, name="global_branch"
        )
        self.built = True


def _mean_embedding(
    settings: TripletNetwork.Settings | ConditionalSimilarityNetwork.Settings,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the image input, and `f`: a linear layer on the mean of the features, `(B, D)`."""
    image, features = image_features(settings.global_backbone, prefix="global_")
    mean = keras.layers.GlobalAveragePooling2D(name="global_mean")(features)
    project = keras.layers.Dense(settings.embedding_dim, name="global_embedding")
    return image, start_as_released(project, features.shape[-1])(mean)
