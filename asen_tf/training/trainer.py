"""A thin Keras model around a network and its objective, so that `fit` does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from asen_tf.training.objective import Objective
from asen_tf.training.replicas import times_replicas


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
        """Wrap the network; see the class."""
        super().__init__(**kwargs)
        self.network = network
        self.objective = objective
        # Meters have added up over all replicas already when Keras asks for their results.
        self.distribute_reduction_method = "first"
        self.meters = {name: keras.metrics.Mean(name) for name in objective.names}

    def call(
        self, batch: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Run the network on the flattened groups; see the class."""
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
            # A meter divides by its updates, one a replica; the parts of a loss are to add up.
            self.meters[name].update_state(times_replicas(value))
        return losses["loss"]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means of the losses; Keras resets them at each epoch."""
        return list(self.meters.values())
