"""The two stages that train a similarity model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from asen_tf.config import ExperimentConfig
from asen_tf.data import Dataset, LabelIndex, Plan, batch_all, random_triplets, training_steps
from asen_tf.models import SimilarityModel
from asen_tf.training.objective import SimilarityObjective
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.stage import StageResult, Validate, run_stage
from asen_tf.training.state import TrainingState
from asen_tf.training.trainer import Trainer


def epoch_planner(config: ExperimentConfig, index: LabelIndex) -> Callable[[int], Plan]:
    """Return the sampler that a configuration names, as a function of the epoch."""
    if config.sampling == "batch_all":
        return lambda epoch: batch_all(
            index,
            steps=config.steps_per_epoch,
            attributes=config.attributes_per_step,
            values=config.values_per_attribute,
            images=config.images_per_value,
            seed=config.seed,
            epoch=epoch,
        )
    return lambda epoch: random_triplets(
        index,
        steps=config.steps_per_epoch,
        triplets=config.triplets_per_step,
        seed=config.seed,
        epoch=epoch,
    )


def train_global(
    model: SimilarityModel,
    config: ExperimentConfig,
    dataset: Dataset,
    *,
    directory: Path,
    validate: Validate,
) -> StageResult:
    """Stage 1: the global branch and the attribute table, alone.

    Args:
        model: at its starting weights; left with the weights of the last epoch.
        config: the settings.
        dataset: training images and labels.
        directory: where the stage keeps its files.
        validate: measures the model after each epoch; `val_map` decides which epoch is best.

    Returns:
        The stage's result.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), two-stage training, first stage.
    """
    model.joint = model.local_branch.trainable = False
    group = LearningRateGroup(
        [model.global_branch, model.attribute_table], config.stage1_learning_rate
    )
    return _train(
        model,
        config,
        dataset,
        groups=[group],
        title="stage 1 (global branch)",
        first_plan_epoch=0,
        epochs=config.stage1_epochs,
        decay=config.stage1_decay,
        decay_epochs=config.stage1_decay_epochs,
        directory=directory,
        validate=validate,
    )


def train_jointly(
    model: SimilarityModel,
    config: ExperimentConfig,
    dataset: Dataset,
    *,
    directory: Path,
    validate: Validate,
) -> StageResult:
    """Stage 2: both branches, the global one at a learning rate of its own.

    Arguments and result as for `train_global`, from whose last epoch it starts.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), two-stage training, second stage.
    """
    model.joint = model.local_branch.trainable = True
    groups = [
        LearningRateGroup(
            [model.global_branch, model.attribute_table], config.stage2_global_learning_rate
        ),
        LearningRateGroup([model.local_branch], config.stage2_local_learning_rate),
    ]
    return _train(
        model,
        config,
        dataset,
        groups=groups,
        title="stage 2 (both branches)",
        first_plan_epoch=config.stage1_epochs,
        epochs=config.stage2_epochs,
        decay=config.stage2_decay,
        decay_epochs=config.stage2_decay_epochs,
        directory=directory,
        validate=validate,
    )


def loss_scaling(trainer: Trainer) -> list[keras.optimizers.Optimizer]:
    """Return what scales the loss of a float16 training: its scale is part of the state."""
    scales = isinstance(trainer.optimizer, keras.mixed_precision.LossScaleOptimizer)
    return [trainer.optimizer] if scales else []


def _train(
    model: SimilarityModel,
    config: ExperimentConfig,
    dataset: Dataset,
    *,
    groups: list[LearningRateGroup],
    title: str,
    first_plan_epoch: int,
    epochs: int,
    decay: float,
    decay_epochs: int,
    directory: Path,
    validate: Validate,
) -> StageResult:
    train = dataset.split("train")
    plan = epoch_planner(config, LabelIndex(train.split.labels, dataset.attributes.names))
    optimizer, parts = grouped_optimizer(
        groups, factor=decay, every_steps=decay_epochs * config.steps_per_epoch
    )
    embeddings = ("global", "local") if model.joint else ("global",)
    trainer = Trainer(model, SimilarityObjective(config, embeddings))
    trainer.compile(optimizer=optimizer, jit_compile=config.xla)
    return run_stage(
        trainer,
        partial(
            training_steps,
            # The second stage goes on where the first one's triplets ended.
            lambda epoch: plan(first_plan_epoch + epoch),
            views=train.views,
            sources=train.sources if model.joint else None,
            epochs=epochs,
        ),
        TrainingState(directory / "state", model, parts + loss_scaling(trainer)),
        title=title,
        epochs=epochs,
        steps_per_epoch=config.steps_per_epoch,
        directory=directory,
        validate=validate,
        monitor="val_map",
    )
