"""Training a similarity model: its stages, and what each trains, how long and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from asen_tf.backbones import freeze
from asen_tf.config import TWO_BRANCHES, ExperimentConfig
from asen_tf.data import Split
from asen_tf.data.dataset import Dataset, SplitImages
from asen_tf.data.images import ImageSource
from asen_tf.data.pipeline import ImageFeatures, training_steps
from asen_tf.data.sampling import (
    LabelIndex,
    Plan,
    SamplingError,
    batch_all,
    listed_triplets,
    random_triplets,
)
from asen_tf.files import during
from asen_tf.models import FrozenFeatures, SimilarityModel
from asen_tf.training.cluster import team_of
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.stage import StageResult, TrainingState, Validate, measured_once, run_stage
from asen_tf.training.trainer import SimilarityObjective, Trainer

_LARGEST = 4 * 2**30  # bytes of memory for what frozen stages give: 48,000 photographs


@dataclass(frozen=True)
class Phase:
    """A stage of a method's training: what is trained, how long, how fast.

    Attributes:
        name: of the stage's folder and in the history.
        title: what the progress bar says.
        joint: whether the local branch is trained, too.
        first_epoch: how many epochs the method has been trained before; sampling goes on there.
        epochs: of this stage.
        global_rate: learning rate of the layers that see the whole image.
        local_rate: learning rate of the local layers, if they are trained.
        decay: factor of the learning rates every `decay_epochs`.
        decay_epochs: see `decay`.
        moves: how images are moved at random: "flips" and "zooms" of `training_steps`.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), two-stage training.
    """

    name: str
    title: str
    joint: bool
    first_epoch: int
    epochs: int
    global_rate: float
    local_rate: float
    decay: float
    decay_epochs: int
    moves: tuple[str, ...] = ()


def phases(config: ExperimentConfig) -> tuple[Phase, ...]:
    """Return the stages that train a configuration's method.

    ASEN++ and RPF have two: the global branch alone, then both, the global one more slowly.
    Methods of one branch, and these with `stages=1`, have a single one as long as both together,
    with the first one's rates, which decay to the same share of their start: every method sees as
    many images and ends at a low rate. A method of one branch
    with `single_branch_stages=2` has those of ASEN++, with the same rates of its global branch.
    """
    everything = config.stage1_epochs + config.stage2_epochs
    first = {
        "first_epoch": 0,
        "global_rate": config.stage1_learning_rate,
        "local_rate": config.stage2_local_learning_rate,
        "decay": config.stage1_decay,
        "decay_epochs": config.stage1_decay_epochs,
        "moves": tuple(n for n in ("flips", "zooms") if getattr(config, f"stage1_{n}")),
    }
    single = {**first, "epochs": everything, "decay": _stretched(config, everything)}
    both = config.method in TWO_BRANCHES
    title = "both branches" if both else config.method
    if (config.stages if both else config.single_branch_stages) == 1:
        return (Phase("training", f"training {title}", both, **single),)
    return (
        Phase("stage1", "stage 1 (global branch)", False, epochs=config.stage1_epochs, **first),
        Phase(
            "stage2",
            f"stage 2 ({title})",
            both,
            first_epoch=config.stage1_epochs,
            epochs=config.stage2_epochs,
            global_rate=config.stage2_global_learning_rate,
            local_rate=config.stage2_local_learning_rate,
            decay=config.stage2_decay,
            decay_epochs=config.stage2_decay_epochs,
        ),
    )


def _stretched(config: ExperimentConfig, epochs: int) -> float:
    """Return the decay by which `epochs` epochs end at the share at which stage 1 ends."""
    falls = (config.stage1_epochs - 1) // config.stage1_decay_epochs
    longer = (epochs - 1) // config.stage1_decay_epochs
    return config.stage1_decay ** (falls / longer) if longer else config.stage1_decay


def epoch_planner(config: ExperimentConfig, split: Split) -> Callable[[int], Plan]:
    """Return the sampler that a configuration names, as a function of the epoch.

    Raises:
        SamplingError: the training split does not hold what the sampler needs.
    """
    if (config.sampling == "listed_triplets") != (split.triplets is not None):
        has = "labels" if split.triplets is None else "lists of triplets"
        raise SamplingError(
            f"{split.dataset} has {has}; sampling must be listed_triplets for lists, and one of "
            f"random_triplets, batch_all for labels; got {config.sampling}"
        )
    given = {"steps": config.steps_per_epoch, "seed": config.seed}
    if split.triplets is not None:
        given["triplets_per_step"] = config.triplets_per_step
        return lambda epoch: listed_triplets(split.triplets, epoch=epoch, **given)
    index = LabelIndex(split.labels, split.attributes.names, partial=config.train_images > 0)
    for attribute in set(range(len(split.attributes))) - set(index.sampled):
        print(
            f"{split.attributes.names[attribute]}: not trained; among {config.train_images} images "
            "it has no two values with two images each",
            flush=True,
        )
    if config.sampling == "random_triplets":
        given["triplets"] = config.triplets_per_step
        return lambda epoch: random_triplets(index, epoch=epoch, **given)
    given["attributes"] = config.attributes_per_step
    given["values"], given["images"] = config.values_per_attribute, config.images_per_value
    return lambda epoch: batch_all(index, epoch=epoch, **given)


def learning_rate_groups(
    model: SimilarityModel, phase: Phase, backbone_share: float
) -> list[LearningRateGroup]:
    """Return which layers a stage trains at which rate.

    Args:
        model: the model, with its frozen parts marked as such.
        phase: the stage.
        backbone_share: the rate of a backbone as a share of its branch's; 1 keeps both together.
    """
    trained = [(model.global_layers, phase.global_rate)]
    if phase.joint:
        trained.append((model.local_layers, phase.local_rate))
    if backbone_share == 1.0:
        return [LearningRateGroup(layers, rate) for layers, rate in trained]
    backbones = {id(backbone) for _, backbone in model.backbones}
    groups = []
    for layers, rate in trained:
        # A backbone is a layer of its branch, which is a model of layers.
        parts = [part for layer in layers for part in getattr(layer, "layers", [layer])]
        heads = [part for part in parts if id(part) not in backbones and part.weights]
        groups.append(LearningRateGroup(heads, rate))
        inner = [part for part in parts if id(part) in backbones]
        groups.append(LearningRateGroup(inner, rate * backbone_share))
    return [group for group in groups if group.variables]


@during("training")
def train(
    model: SimilarityModel,
    config: ExperimentConfig,
    dataset: Dataset,
    phase: Phase,
    *,
    directory: Path,
    validate: Validate,
) -> StageResult:
    """Train a model for one stage, by the strategy in whose scope it was made.

    To be called outside that scope.

    Args:
        model: with the weights that the stage starts from; left with those of the last epoch.
        config: the settings.
        dataset: training images and labels.
        phase: one of `phases(config)`.
        directory: where the stage keeps its files.
        validate: measures the model after each epoch; `val_map` (of listed triplets
            `val_accuracy`) decides which epoch is best.

    Returns:
        The stage's result.

    Raises:
        ConfigError: the settings do not suit the number of replicas.
    """
    model.joint = phase.joint or not model.local_layers
    for layer in model.local_layers:
        layer.trainable = phase.joint
    for name, backbone in model.backbones:
        norms = not config.train_batch_norms
        freeze(name, backbone, stages=config.frozen_stages, batch_norms=norms)
    groups = learning_rate_groups(model, phase, config.backbone_rate_share)
    if isinstance(model, FrozenFeatures) and model.settings.feature_map == "none":
        return measured_once(model, directory=directory, validate=validate)  # nothing is fitted
    images = dataset.split("train")
    team = team_of(model.distribute_strategy)
    views = images.views
    if isinstance(model, FrozenFeatures):
        views = _computed_once(model.mean_features, images, batch=config.embed_batch)
        if not model.trained:
            model.whiten(views.array[np.unique(images.split.labels[:, 0])])
            return measured_once(model, directory=directory, validate=validate)
    elif (
        config.frozen_stages
        and config.cache_images
        and not phase.moves  # features of a moved image are others
        and team.replicas == 1  # several would each hold all features
    ):
        frozen = tf.function(model.resume_after(config.frozen_stages))
        views = _computed_once(frozen, images, batch=config.embed_batch)
    plan = epoch_planner(config, images.split)
    team.prepare(model, config, plan)
    with team.scope():
        optimizer, parts = grouped_optimizer(
            groups, factor=phase.decay, every_steps=phase.decay_epochs * config.steps_per_epoch
        )
        objective = SimilarityObjective(config, ("global", "local") if phase.joint else ("global",))
        trainer = Trainer(model, objective)
        trainer.compile(optimizer=optimizer, jit_compile=config.xla)
    steps = partial(
        training_steps,
        lambda epoch: plan(phase.first_epoch + epoch),
        views=views,
        sources=images.sources if phase.joint or "zooms" in phase.moves else None,
        squares=images.squares if phase.joint else None,
        moves=(*phase.moves, "jitter") if phase.joint and config.region_jitter else phase.moves,
        seed=config.seed,
        epochs=phase.epochs,
    )
    return run_stage(
        trainer,
        steps,
        TrainingState(directory / "state", model, parts + loss_scaling(trainer)),
        title=phase.title,
        epochs=phase.epochs,
        steps_per_epoch=config.steps_per_epoch,
        directory=directory,
        validate=validate,
        monitor="val_map" if images.split.triplets is None else "val_accuracy",
    )


def _computed_once(
    compute: Callable[[np.ndarray], tf.Tensor], images: SplitImages, *, batch: int
) -> ImageSource | ImageFeatures:
    """Return the features of the labelled images; those of all others are zero.

    Args:
        compute: gives the features of a batch of views.
        images: of the training split.
        batch: images at once.

    Returns:
        The features; the views themselves where features would take more than `_LARGEST` bytes.
    """
    labelled = np.unique(images.split.labels[:, 0])
    features = None
    with tqdm(total=len(labelled), desc="computing frozen stages once", unit="image") as bar:
        for start in range(0, len(labelled), batch):
            chosen = labelled[start : start + batch]
            found = np.asarray(compute(images.views[chosen]), np.float32)
            if features is None:
                if len(images.views) * found[0].nbytes > _LARGEST:
                    return images.views
                features = np.zeros((len(images.views), *found.shape[1:]), np.float32)
            features[chosen] = found
            bar.update(len(chosen))
    return ImageFeatures(features)


def loss_scaling(trainer: Trainer) -> list[keras.optimizers.Optimizer]:
    """Return what scales the loss in float16 training: its scale is part of the state."""
    scales = isinstance(trainer.optimizer, keras.mixed_precision.LossScaleOptimizer)
    return [trainer.optimizer] if scales else []
