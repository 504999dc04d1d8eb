"""What a training step minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

from asen_tf.config import ExperimentConfig
from asen_tf.losses import alignment_loss, batch_all_terms, triplet_ranking_loss
from asen_tf.metric_losses import metric_loss
from asen_tf.training.replicas import part_of_mean, total

Tensors = Mapping[str, tf.Tensor]


class Objective(Protocol):
    """Maps a grouped batch and the network's grouped outputs to losses."""

    names: tuple[str, ...]

    def __call__(self, batch: Tensors, outputs: Tensors) -> dict[str, tf.Tensor]:
        """Return a scalar for each of `names`; `loss` is the one that is minimised.

        Of several replicas, each returns its part: the parts of a step add up to its losses.
        """


@dataclass(frozen=True)
class SimilarityObjective:
    """The weighted sum of ranking and alignment losses that a configuration names.

    `1.0 global + 0.1 local + 0.1 alignment` in the paper. Each term is there only for embeddings
    that are trained, so stage 1 minimises the global ranking loss alone.

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
            aligned = alignment_loss(outputs["global"], outputs["local"])
            losses["alignment"] = part_of_mean(aligned)
            weights["alignment"] = config.alignment_loss_weight
        weighted = tf.add_n([weights[name] * loss for name, loss in losses.items()])
        return {"loss": weighted, **losses}

    def _ranking(self, batch: Tensors, embeddings: tf.Tensor) -> tf.Tensor:
        if self.config.loss != "triplet":
            mean = metric_loss(
                self.config.loss,
                embeddings,
                batch["value"],
                margin=self.config.margin,
                images_per_value=self.config.images_per_value,
            )
            return part_of_mean(mean)
        if self.config.sampling == "batch_all":
            # The mean runs over the active triplets of all replicas, who have not equally many.
            cost, active = batch_all_terms(embeddings, batch["value"], self.config.margin)
            return cost / tf.maximum(total(active), 1.0)
        return part_of_mean(triplet_ranking_loss(embeddings, self.config.margin))


class ClassificationObjective:
    """Cross-entropy of each labelled attribute's value, and the share of right answers.

    Rows of the batch carry `value` `(G, A)`: the value of each attribute, -1 where not labelled.
    The loss is the mean over attributes of the mean over their labelled images: an attribute that
    few images carry counts as much as another. The accuracy is over all labels.
    """

    names = ("loss", "accuracy")

    def __call__(self, batch: Tensors, outputs: Tensors) -> dict[str, tf.Tensor]:
        """Return loss and accuracy of `logits` `(G, A, V)`, -inf-like where a value is void."""
        values, logits = batch["value"], outputs["logits"]
        labelled = tf.cast(values >= 0, tf.float32)
        count = tf.maximum(tf.reduce_sum(labelled), 1.0)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.maximum(values, 0), logits=logits
        )
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), values)
        return {
            "loss": tf.reduce_mean(
                tf.math.divide_no_nan(
                    tf.reduce_sum(entropy * labelled, axis=0), tf.reduce_sum(labelled, axis=0)
                )
            ),
            "accuracy": tf.reduce_sum(tf.cast(right, tf.float32) * labelled) / count,
        }
