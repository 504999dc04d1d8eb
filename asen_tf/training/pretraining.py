"""A start for compact backbones: classification of attribute values on the training split."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras
import numpy as np

from asen_tf.activity import during
from asen_tf.config import ExperimentConfig
from asen_tf.data import Dataset, Plan, SamplingError, SplitImages, training_steps
from asen_tf.models import AttributeClassifier
from asen_tf.training.objective import ClassificationObjective
from asen_tf.training.stage import StageResult, run_stage
from asen_tf.training.state import TrainingState
from asen_tf.training.trainer import Trainer


def value_matrix(labels: np.ndarray, images: int, attributes: int) -> np.ndarray:
    """Return `(images, attributes)` int32 values, -1 where an image has no label.

    Of several labels for one image and attribute, the first counts.
    """
    matrix = np.full((images, attributes), -1, np.int32)
    for image, attribute, value in labels[::-1]:
        matrix[image, attribute] = value
    return matrix


def classification_plan(values: np.ndarray, *, batch: int, seed: int, epoch: int) -> Plan:
    """Plan an epoch that shows every labelled image once, in fresh random order.

    Args:
        values: `(images, A)`, -1 where not labelled.
        batch: images per step; a last, smaller step is left out.
        seed: the run's seed.
        epoch: 0-based.

    Returns:
        A plan with `images` `(steps, batch, 1)` and `values` `(steps, batch, A)`.
    """
    labelled = np.flatnonzero((values >= 0).any(axis=1))
    order = np.random.default_rng([seed, epoch]).permutation(labelled)
    size = min(batch, len(order))
    steps = len(order) // size
    images = order[: steps * size].reshape(steps, size, 1).astype(np.int32)
    return Plan(images, np.zeros_like(images), values[images[:, :, 0]])


@during("pretraining")
def pretrain_backbone(
    config: ExperimentConfig, dataset: Dataset, *, directory: Path
) -> tuple[AttributeClassifier, StageResult]:
    """Train a classifier of attribute values; its backbone is every method's start.

    Adam with a cosine schedule after a short linear warm-up. Nothing but the training split is
    used to train; the validation split only tells how well it went.

    Args:
        config: the `pretrain_*` settings and the seed.
        dataset: images and labels.
        directory: where the stage keeps its files.

    Returns:
        The classifier at its last epoch, and the stage's history (`val_accuracy` by epoch).

    Raises:
        SamplingError: the dataset lists triplets and knows no values.
    """
    train, valid = dataset.split("train"), dataset.split("valid")
    if train.split.triplets is not None:
        raise SamplingError(
            f"pretraining classifies values, and {dataset.name} lists triplets instead; take "
            "starting_weights=imagenet or random; got starting_weights=pretrain"
        )
    attributes = dataset.attributes
    model = AttributeClassifier(
        attributes.sizes, backbone=config.pretrain_backbone, image_size=config.global_size
    )
    values = value_matrix(train.split.labels, len(train.split.files), len(attributes))
    plan = partial(classification_plan, values, batch=config.pretrain_batch, seed=config.seed)
    steps = len(plan(epoch=0))
    total = max(config.pretrain_epochs * steps, 2)
    warmup = max(total // 20, 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=total - warmup,
        warmup_target=config.pretrain_learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(model.trainable_variables)
    trainer = Trainer(model, ClassificationObjective())
    trainer.compile(optimizer=optimizer, jit_compile=config.xla)
    result = run_stage(
        trainer,
        partial(
            training_steps,
            lambda epoch: plan(epoch=epoch),
            views=train.views,
            sources=None,
            epochs=config.pretrain_epochs,
            augmentation_seed=config.seed,
        ),
        TrainingState(directory / "state", model, [optimizer]),
        title="backbone (classification of attribute values)",
        epochs=config.pretrain_epochs,
        steps_per_epoch=steps,
        directory=directory,
        validate=lambda network: accuracies(network, valid, config.embed_batch),
        monitor="val_accuracy",
    )
    return model, result


@during("embedding")
def accuracies(model: AttributeClassifier, images: SplitImages, batch: int) -> dict[str, float]:
    """Return the share of rightly named values per attribute and over all labels.

    Args:
        model: the classifier.
        images: a split with its images.
        batch: images per step.

    Returns:
        `val_accuracy`, and `val_accuracy_<attribute>` for each attribute with labels.
    """
    split = images.split
    values = value_matrix(split.labels, len(split.files), len(split.attributes))
    named = np.zeros_like(values)
    for start in range(0, len(values), batch):
        rows = np.arange(start, min(start + batch, len(values)))
        logits = model({"view": images.views[rows]}, training=False)["logits"]
        named[rows] = np.argmax(logits, axis=-1)
    labelled, right = values >= 0, named == values
    measured = {"val_accuracy": float(right[labelled].mean())}
    for attribute, name in enumerate(split.attributes.names):
        if labelled[:, attribute].any():
            share = right[labelled[:, attribute], attribute].mean()
            measured[f"val_accuracy_{name}"] = float(share)
    return measured
