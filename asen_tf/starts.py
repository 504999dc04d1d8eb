"""What runs start from, made once and shared: the pretrained backbone, ASEN++'s first stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from asen_tf.config import ExperimentConfig
from asen_tf.evaluation import validate
from asen_tf.models import SimilarityModel, build_model, load_starting_weights
from asen_tf.production import key, open_dataset, produce, strategy
from asen_tf.results import Run
from asen_tf.training import is_chief, phases, pretrain_backbone, train, unreplicated

# Settings that decide the pretrained backbone; runs that differ in others share it.
_PRETRAIN_FIELDS = (
    *("seed", "dataset", "missing_images", "source_size", "global_size"),
    *("pretrain_epochs", "pretrain_batch", "pretrain_learning_rate", "pretrain_backbone"),
    *("mixed_precision", "xla"),
)

# Settings that the first stage knows nothing of; runs that differ in nothing else share it.
_SECOND_STAGE_FIELDS = (
    *("local_size", "roi_threshold", "region", "attribute_tables", "fusion_weight"),
    *("local_loss_weight", "alignment_loss_weight", "stage2_epochs", "stage2_decay"),
    *("stage2_local_learning_rate", "stage2_global_learning_rate", "stage2_decay_epochs"),
    "bootstrap_resamples",
)


def pretrain(
    config: ExperimentConfig,
    *,
    data_dir: str | Path = "data",
    results_dir: str | Path = "results",
    study: str = "quick",
) -> Run:
    """Train the starting backbone of a configuration, or return the finished one.

    Runs that agree in the settings that concern the backbone share it.

    Args: as for `asen_tf.experiment.run`.

    Returns:
        A run that holds `backbone.weights.h5`, `history.csv`, `config.json`, `manifest.json`.
    """
    dataset = open_dataset(config, data_dir)
    settings = {name: config.to_dict()[name] for name in _PRETRAIN_FIELDS}
    name = f"backbone-seed{config.seed}-{key(settings, dataset)}"

    def work(directory: Path, output: Path) -> None:
        classifier, stage = pretrain_backbone(config, dataset, directory=directory)
        classifier.backbone.save_weights(output / "backbone.weights.h5")
        stage.table().to_csv(output / "history.csv", index=False)
        shutil.copytree(directory / "tensorboard", output / "tensorboard")

    return produce(Path(results_dir) / study / name, config, dataset, work)


def starting_model(
    config: ExperimentConfig, attributes: tuple[str, ...], **places: str | Path
) -> SimilarityModel:
    """Build a configuration's model with its starting weights.

    Args:
        config: the settings.
        attributes: names of the attributes.
        **places: `data_dir`, `results_dir`, `study`; where a pretrained backbone is made or found.
    """
    weights = None
    if config.starting_weights == "pretrain":
        weights = pretrain(config, **places).path / "backbone.weights.h5"
    model = build_model(config, attributes)
    load_starting_weights(model, config, weights)
    return model


def first_stage(
    config: ExperimentConfig,
    *,
    data_dir: str | Path = "data",
    results_dir: str | Path = "results",
    study: str = "quick",
) -> Run:
    """Train the first of ASEN++'s two stages, or return the finished one.

    Runs whose settings differ only in what concerns the second stage share it. It is trained, and
    its regions are measured, with the paper's values of those settings.

    Args: as for `asen_tf.experiment.run`.

    Returns:
        A run that holds `global.npz` (weights of the last epoch, for `load_first_stage`),
        `history.csv`, `tensorboard/`, `config.json`, `manifest.json`.
    """
    published = ExperimentConfig().to_dict()
    shared = config.override(**{name: published[name] for name in _SECOND_STAGE_FIELDS})
    dataset = open_dataset(shared, data_dir)
    places = {"data_dir": data_dir, "results_dir": results_dir, "study": study}
    name = f"stage1-seed{config.seed}-{key(shared.to_dict(), dataset)}"
    if shared.starting_weights == "pretrain":
        pretrain(shared, **places)  # before the seed is set for what follows

    def work(directory: Path, output: Path) -> None:
        training = strategy(shared)
        with training.scope():
            model = starting_model(shared, dataset.attributes.names, **places)
        check = validate(dataset.split("valid"), batch=shared.embed_batch)
        phase = phases(shared)[0]
        stage = train(model, shared, dataset, phase, directory=directory, validate=check)
        if not is_chief(training):
            return
        np.savez(output / "global.npz", *_global_weights(unreplicated(model)))
        stage.table().assign(stage=phase.name).to_csv(output / "history.csv", index=False)
        shutil.copytree(directory / "tensorboard", output / "tensorboard")

    return produce(Path(results_dir) / study / name, shared, dataset, work, together=True)


def load_first_stage(model: SimilarityModel, stage: Run) -> None:
    """Put the weights of a finished first stage into the layers that it trained."""
    with np.load(stage.path / "global.npz", allow_pickle=False) as stored:
        arrays = [stored[f"arr_{index}"] for index in range(len(stored.files))]
    variables = [variable for layer in model.global_layers for variable in layer.weights]
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _global_weights(model: SimilarityModel) -> list[np.ndarray]:
    return [weight for layer in model.global_layers for weight in layer.get_weights()]
