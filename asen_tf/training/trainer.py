"""What a training step minimises, and a thin Keras model that lets `fit` do the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf

from asen_tf.config import ExperimentConfig
from asen_tf.losses import (
    alignment_loss,
    batch_all_terms,
    e_info_nce,
    metric_loss,
    triplet_ranking_loss,
)
from asen_tf.training.cluster import equal_share

Tensors = Mapping[str, tf.Tensor]

# === What is minimised ===


class Objective(Protocol):
    """Maps a grouped batch and the network's grouped outputs to losses."""

    names: tuple[str, ...]

    def __call__(self, batch: Tensors, outputs: Tensors) -> dict[str, tf.Tensor]:
        """Return a scalar for each of `names`; `loss` is the one that is minimised.

        Of several replicas, each returns the losses of its groups; their mean over all replicas
        must be the loss of the step.
        """


@dataclass(frozen=True)
class SimilarityObjective:
    """The weighted sum of ranking and alignment losses that a configuration names.

    `1.0 global + 0.1 local + 0.1 alignment` in the paper. Only embeddings that are trained have
    their terms, so stage 1 minimises the global ranking loss alone.

    Attributes:
        config: margin, weights and sampling.
        embeddings: the embeddings that are trained: "global", or "global" and "local".

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), total loss.
    """

    config: ExperimentConfig
    embeddings: tuple[str, ...]

    @property
    def aligned(self) -> bool:
        """Whether the alignment loss applies."""
        return {"global", "local"} <= set(self.embeddings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the losses, `loss` first."""
        return ("loss", *self.embeddings, *(("alignment",) if self.aligned else ()))

    def __call__(self, batch: Tensors, outputs: Tensors) -> dict[str, tf.Tensor]:
        """Return the losses of `(G, M, D)` embeddings; `batch["value"]` is `(G, M)`."""
        config = self.config
        losses = {name: self._ranking(batch, outputs[name]) for name in self.embeddings}
        weights = {"global": config.global_loss_weight, "local": config.local_loss_weight}
        if self.aligned:
            both = outputs["global"], outputs["local"]
            losses["alignment"] = (
                alignment_loss(*both)
                if config.alignment == "cosine"
                else e_info_nce(*both, outputs["background"], batch["attribute"], batch["value"])
            )
            weights["alignment"] = config.alignment_loss_weight
        weighted = tf.add_n([weights[name] * loss for name, loss in losses.items()])
        return {"loss": weighted, **losses}

    def _ranking(self, batch: Tensors, embeddings: tf.Tensor) -> tf.Tensor:
        if self.config.loss != "triplet":
            return metric_loss(
                self.config.loss,
                embeddings,
                batch["value"],
                margin=self.config.margin,
                images_per_value=self.config.images_per_value,
            )
        if self.config.sampling == "batch_all":
            # The mean runs over the active triplets of all replicas, whose numbers differ.
            cost, active = batch_all_terms(embeddings, batch["value"], self.config.margin)
            return cost / equal_share(active, least=1.0)
        return triplet_ranking_loss(embeddings, self.config.margin)


# === What minimises it ===


class Trainer(keras.Model):
    """Trains a network on grouped batches by a given objective.

    Args:
        network: maps a flat batch to a dictionary of `(B, D)` outputs.
        objective: maps a grouped batch and grouped outputs to losses, `loss` among them.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        batch: dictionary of `(G, M, ...)` tensors, as `asen_tf.data.training_steps` yields them.

    Returns:
        The network's outputs, regrouped: dictionary of `(G, M, D)`.
    """

    def __init__(self, network: keras.Model, objective: Objective, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.objective = objective
        # Meters have added up over all replicas already when Keras asks for their results.
        self.distribute_reduction_method = "first"
        self.meters = {name: keras.metrics.Mean(name) for name in objective.names}

    def call(
        self, batch: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Run the network on the flattened groups."""
        groups = tf.shape(batch["value"])[:2]
        flat = {
            name: tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
            for name, tensor in batch.items()
            if name != "value"
        }
        for name, tensor in flat.items():
            tensor.set_shape([None, *batch[name].shape[2:]])
        outputs = self.network(flat, training=training)
        return {
            name: tf.reshape(output, tf.concat([groups, [output.shape[-1]]], axis=0))
            for name, output in outputs.items()
        }

    def compute_loss(
        self,
        x: Mapping[str, tf.Tensor],
        y: None = None,
        y_pred: Mapping[str, tf.Tensor] | None = None,
        sample_weight: None = None,
    ) -> tf.Tensor:
        """Return the objective's `loss` and keep the means of all losses for the logs."""
        losses = self.objective(x, y_pred)
        for name, value in losses.items():
            self.meters[name].update_state(value)
        # Gradients of all replicas are added up: each minimises its share of the mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return losses["loss"] if replicas == 1 else losses["loss"] / replicas

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means of the losses; Keras resets them at each epoch."""
        return list(self.meters.values())
