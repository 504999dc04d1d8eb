"""The relatives without attention: the triplet network, CSN, and features without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones import semantic_channels
from asen_tf.layers import ConditionalMask, start_as_released
from asen_tf.models.base import image_features
from asen_tf.models.single_branch import SingleBranch

# Of the whitening: this multiple of the mean variance is added to the variance of every direction,
# so that directions in which images hardly differ are not blown up. Of 0, 0.01, 0.03, 0.1, 0.3, 1,
# 3 and 10, the last was best on the validation photographs of five folds, macro MAP 63.6 (57.9
# without shrinkage); the plain mean has 66.0 there, so whitening loses whatever the shrinkage.
SHRINKAGE = 10.0


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


@keras.saving.register_keras_serializable(package="asen_tf")
class FrozenFeatures(SingleBranch):
    r"""The baseline without training: the mean of features whose backbone stays as it was.

    With the features :math:`x` of the backbone's last stage (of EfficientNet-Lite's joined map the
    channels of stride 32 alone, which rank better than all: 66.0 against 64.5 macro MAP on the
    validation photographs of five folds) and :math:`\mu = \mathrm{mean}_{ij}(x_{ij})`:

    .. math::
        \text{none: } f = \mu, \quad
        \text{whitened: } f = (\Sigma + \lambda I)^{-1/2} (\mu - m), \quad
        \text{linear: } f_a = W_a \mu + b_a

    Mean :math:`m` and covariance :math:`\Sigma` are those of the training images. Only "linear"
    knows the attribute, and only it is trained. The backbone gets no gradient, and its batch
    normalisation is that of inference, always.

    Call arguments:
        inputs: dictionary of `view`, `(B, g, g, 3)` uint8 or, computed before by
            `mean_features`, `(B, C)` float32; and `attribute` `(B,)` int32.

    Returns:
        Dictionary of `global`, `(B, D)`.
    """

    @dataclass(frozen=True)
    class Settings(SingleBranch.Settings):
        """What the network is built from."""

        feature_map: str = "none"  # or "whitened", or "linear": one map for each attribute
        embedding_dim: int = 1024  # `D` of "linear"; the others keep the features' own number

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        super().__init__(attributes, **arguments)
        settings = self.settings

        # === Layers ===
        image, features = image_features(settings.global_backbone, prefix="global_")
        mean = keras.layers.GlobalAveragePooling2D(name="global_mean")(features)
        channels = semantic_channels(settings.global_backbone, features.shape[-1])
        mean = mean[:, -channels:]
        given = keras.Input((channels,), name="features")
        if settings.feature_map == "linear":
            units = self.attribute_count * settings.embedding_dim
            maps = start_as_released(keras.layers.Dense(units, name="global_embedding"), channels)
            shape = (self.attribute_count, settings.embedding_dim)
            mapped = keras.layers.Reshape(shape)(maps(given))
        elif settings.feature_map == "whitened":
            whitening = keras.layers.Dense(channels, trainable=False, name="global_whitening")
            mapped = whitening(given)[:, None]
        else:
            mapped = given[:, None]
        head = keras.Model(given, mapped, name="global_head")

        # === Functional model ===
        self.branch = keras.Model(
            {"image": image}, {"embedding": head(mean), "features": mean}, name="global_branch"
        )
        self.branch.get_layer("global_backbone").trainable = False
        self.built = True

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return self.settings.feature_map == "linear"

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Embed a training batch of images, or of their features."""
        view, attribute = inputs["view"], inputs["attribute"]
        if view.shape.rank == 2:
            every = self.branch.get_layer("global_head")(view)
        else:
            every = self.branch({"image": view}, training=False)["embedding"]
        return {"global": self._chosen(every, tf.range(tf.shape(attribute)[0]), attribute)}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def mean_features(self, view: tf.Tensor) -> tf.Tensor:
        """Return the mean features, `(B, C)` float32, of `(B, g, g, 3)` images."""
        return tf.cast(self.branch({"image": view}, training=False)["features"], tf.float32)

    def whiten(self, features: np.ndarray) -> None:
        """Fit the whitening of "whitened" to the `(N, C)` features of the training images.

        References:
            Jegou and Chum, "Negative evidences and co-occurences in image retrieval: the benefit
            of PCA and whitening", ECCV 2012; with shrinkage, since images may be few.
        """
        x = np.asarray(features, np.float64)
        middle = x.mean(axis=0)
        covariance = (x - middle).T @ (x - middle) / len(x)
        variances, directions = np.linalg.eigh(covariance)
        added = max(SHRINKAGE * variances.mean(), np.finfo(np.float32).eps)
        scaled = directions / np.sqrt(np.maximum(variances, 0.0) + added)
        kernel = scaled @ directions.T
        layer = self.branch.get_layer("global_head").get_layer("global_whitening")
        layer.set_weights([kernel, -middle @ kernel])


def _mean_embedding(
    settings: TripletNetwork.Settings | ConditionalSimilarityNetwork.Settings,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the image input, and `f`: a linear layer on the mean of the features, `(B, D)`."""
    image, features = image_features(settings.global_backbone, prefix="global_")
    mean = keras.layers.GlobalAveragePooling2D(name="global_mean")(features)
    project = keras.layers.Dense(settings.embedding_dim, name="global_embedding")
    return image, start_as_released(project, features.shape[-1])(mean)
