"""RPF, the successor of ASEN++: foreground against background, and a region seen as patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from asen_tf.backbones.vision_transformer import ToMap, transformer_layer
from asen_tf.layers import (
    EPSILON,
    AttributeCrossAttention,
    AttributeSpatialAttention,
    BackgroundAttention,
    start_as_released,
)
from asen_tf.models.asen_pp import AsenPlusPlus
from asen_tf.models.base import branch_model, image_features

_HEADS = 12  # of all multi-head attention
_DROPOUT = 0.1  # share


@keras.saving.register_keras_serializable(package="asen_tf")
class RegionToPatch(AsenPlusPlus):
    r"""RPF: a region branch over the whole image, a patch branch over the region that matters.

    The region branch ("global"), with the features :math:`x` of its backbone and the attribute
    embedding :math:`e_a`, both under layer normalisation (eps 1e-6 everywhere) as :math:`\tilde x`
    and :math:`\tilde e_a`:

    .. math::
        v, \alpha = \mathrm{ASA}(\tilde x, \tilde e_a), \quad
        \hat v = \mathrm{Background}(\tilde x, \alpha), \quad u = W v + c, \quad
        r = F(u), \quad b = F(\hat v), \quad F(z) = \mathrm{LN}(z + M(\mathrm{LN}(z)))

    ASA is `AttributeSpatialAttention`; `M` has a hidden layer with ReLU, and one LN serves all four
    places. The background :math:`b` is for the loss alone (`asen_tf.losses.e_info_nce`). The patch
    branch ("local") sees the region as ASEN++'s local branch does:

    .. math::
        y = W' \, \mathrm{Cross}(x', e_a) + c', \quad p = F'(y)

    Cross is `AttributeCrossAttention`, :math:`x'` the map of a ViT, and `F'` as `F` with GELU. As
    published: ResNet-50, ViT-B/16. In the *compact* form, ours, the local backbone is any other,
    and `patch_layers` small transformer layers stand between its map and Cross; they have no
    positions, since places mean little in a crop.

    Embeddings have as many dimensions as the global backbone has channels (1024 as published),
    since the background has no linear layer. Of the settings that ASEN++ has, `embedding_dim`,
    `local_attention_dim`, `channel_attribute_dim` and the switches of attention have no effect;
    `M` has a hidden layer of channels / `channel_reduction`. Call arguments are those of
    `AsenPlusPlus`; what it returns when joint includes `background`, `(B, D)`.

    References:
        Dong et al., "From Region to Patch: Attribute-Aware Foreground-Background Contrastive
        Learning for Fine-Grained Fashion Retrieval", SIGIR 2023 (arXiv 2305.10260), as released.
    """

    @dataclass(frozen=True)
    class Settings(AsenPlusPlus.Settings):
        """What the model is built from."""

        patch_layers: int = 1  # transformer layers on the local backbone's map; 0 after a ViT

    def new_branch(self, part: str) -> keras.Model:
        """Build the region branch, "global", or the patch branch, "local"."""
        return self._region_branch() if part == "global" else self._patch_branch()

    def _region_branch(self) -> keras.Model:
        settings = self.settings

        # === Layers ===
        image, features = image_features(settings.global_backbone, prefix="global_")
        width = features.shape[-1]
        spatial = AttributeSpatialAttention(
            settings.global_attention_dim, name="global_spatial_attention"
        )
        project = start_as_released(keras.layers.Dense(width, name="global_embedding"), width)
        refine = _refinement(width, settings.channel_reduction, "relu", "global_")

        # === Functional model ===
        attribute = keras.Input((None, settings.attribute_dim), name="attribute")
        normed = _norm("global_feature_norm")(features)
        attended, attention = spatial([normed, _norm("global_attribute_norm")(attribute)])
        background = BackgroundAttention(name="global_background")([normed, attention])
        outputs = {"embedding": refine(project(attended)), "attention": attention}
        outputs["background"] = refine(background)
        return branch_model("global", image, attribute, **outputs)

    def _patch_branch(self) -> keras.Model:
        settings = self.settings
        width = self.global_branch.output["embedding"].shape[-1]

        # === Layers ===
        image, features = image_features(settings.local_backbone, prefix="local_")
        channels = features.shape[-1]
        heads = min(_HEADS, channels)
        cross = AttributeCrossAttention(heads, name="local_cross_attention")
        project = start_as_released(keras.layers.Dense(width, name="local_embedding"), channels)
        refine = _refinement(width, settings.channel_reduction, "gelu", "local_")

        # === Functional model ===
        attribute = keras.Input((None, settings.attribute_dim), name="attribute")
        if settings.patch_layers:
            tokens = keras.layers.Reshape((-1, channels), name="local_cells")(features)
            for layer in range(1, settings.patch_layers + 1):
                tokens = transformer_layer(tokens, f"local_patch{layer}_", heads=heads)
            features = ToMap(name="local_patch_map")(tokens)
        attended, attention = cross([features, attribute])
        outputs = {"embedding": refine(project(attended)), "attention": attention}
        return branch_model("local", image, attribute, **outputs)


def _norm(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)


def _refinement(
    width: int, reduction: int, activation: str, prefix: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return `F(z) = LN(z + M(LN(z)))` as a function of symbolic tensors `(B, A, width)`."""
    hidden = width // reduction
    norm = _norm(f"{prefix}norm")
    layers = [
        start_as_released(
            keras.layers.Dense(hidden, activation=activation, name=f"{prefix}mlp1"), width
        ),
        ResumableDropout(_DROPOUT, name=f"{prefix}dropout1"),
        start_as_released(keras.layers.Dense(width, name=f"{prefix}mlp2"), hidden),
        ResumableDropout(_DROPOUT, name=f"{prefix}dropout2"),
    ]
    add = keras.layers.Add(name=f"{prefix}sum")

    def refine(vectors: tf.Tensor) -> tf.Tensor:
        found = norm(vectors)
        for layer in layers:
            found = layer(found)
        return norm(add([vectors, found]))

    return refine


@keras.saving.register_keras_serializable(package="asen_tf")
class ResumableDropout(keras.layers.Layer):
    """Dropout whose random numbers are part of the weights.

    Keras' own draws from a generator that training does not save, so that a run that was
    interrupted would go on with other masks than one that was not. Several replicas take their
    parts of the masks that one process would draw for the whole step.

    Args:
        rate: share of the units that are set to zero in training, in [0, 1).
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor of any shape; for several replicas, equally many rows of a step, in
            the order of the replicas.

    Returns:
        A tensor like `inputs`; in training the units that are left are divided by `1 - rate`.

    Raises:
        ValueError: if `rate` is outside [0, 1).
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must lie in [0, 1); got {rate!r}")
        self.rate = rate

    def build(self, input_shape: Any) -> None:
        """Create the state: a random number, and how often the layer was called in training."""

        def start(shape: tuple[int, ...], dtype: tf.DType, **_: Any) -> tf.Tensor:
            return tf.random.uniform(shape, 0, 2**31 - 1, dtype) * (1, 0)

        self.state = self.add_weight(
            "state",
            (2,),
            tf.int32,
            start,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return the inputs, in training with units dropped."""
        if not training:
            return tf.identity(inputs)
        kept = self._numbers(tf.shape(inputs)) >= self.rate
        self.state.assign_add(tf.constant([0, 1]))  # replicas cannot hand on a tuple
        return tf.where(kept, inputs / (1.0 - self.rate), tf.zeros_like(inputs))

    def _numbers(self, shape: tf.Tensor) -> tf.Tensor:
        """Return random numbers in [0, 1): of several replicas, its own rows of the step's."""
        replica = tf.distribute.get_replica_context()
        replicas = replica.num_replicas_in_sync if replica else 1
        if replicas == 1:
            return tf.random.stateless_uniform(shape, self.state)
        rows, whole = shape[0], tf.concat([shape[:1] * replicas, shape[1:]], axis=0)
        first = rows * replica.replica_id_in_sync_group
        return tf.random.stateless_uniform(whole, self.state)[first : first + rows]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of the inputs."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
