"""The single entry point for a run: `run(config)` trains, evaluates and keeps everything it found.

A run is identified by what determines its digits: configuration, data and code. A finished run is
returned as it is; an interrupted one goes on where it stopped; nothing finished is overwritten.
What runs start from is made once and shared: the pretrained backbone, ASEN++'s first stage.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from asen_study.pretraining import pretrain_backbone
from asen_study.production import key, open_dataset, produce
from asen_study.runs import Places, Run
from asen_tf.config import ExperimentConfig
from asen_tf.data import AnnotationError
from asen_tf.data.dataset import Dataset
from asen_tf.evaluation.evaluate import evaluate, validate
from asen_tf.models import SimilarityModel, build_model, load_starting_weights
from asen_tf.training import BEST, Phase, StageResult, Team, phases, train

# Settings that decide the pretrained backbone; runs that differ in others share it.
_PRETRAIN_FIELDS = (
    *("seed", "dataset", "missing_images", "train_images"),
    *("source_size", "fit", "global_size"),
    *("pretrain_epochs", "pretrain_batch", "pretrain_learning_rate", "pretrain_backbone"),
    *("mixed_precision", "xla"),
)

# Settings that do not concern the first stage; runs that differ in nothing else share it.
_SECOND_STAGE_FIELDS = (
    *("local_size", "roi_threshold", "region", "attribute_tables", "fusion_weight"),
    *("local_loss_weight", "alignment_loss_weight", "stage2_epochs", "stage2_decay"),
    *("stage2_local_learning_rate", "stage2_global_learning_rate", "stage2_decay_epochs"),
    "bootstrap_resamples",
)


def run(
    config: ExperimentConfig,
    *,
    data_dir: str | Path = "data",
    results_dir: str | Path = "results",
    study: str = "quick",
) -> Run:
    """Train and evaluate one configuration, or return the finished run of an earlier call.

    Writes `results_dir/study/<method>-seed<seed>-<key>/` when everything is done: `config.json`,
    `history.csv`, `metrics.json`, `map.csv`, `triplets.csv`, `localisation.csv` (where true boxes
    are known), `fusion.csv` (for methods of two branches), `map_any_value.csv` (where images hold
    several values of an attribute: any shared one counts), `queries.npz` (every query's average
    precision), `test_pairs.npz` (the model's outputs for the test images), `model.keras`,
    `tensorboard/`, and `manifest.json`. Until then the work is kept beside it, under `.work/`,
    epoch by epoch. What other runs share, such as a pretrained backbone and ASEN++'s first stage,
    gets a directory of its own.

    Args:
        config: what to run.
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
        study: the study's directory.

    Returns:
        The finished run.

    Raises:
        asen_tf.data.AnnotationError, asen_tf.data.SamplingError: for data that cannot be
            trained on.
    """
    dataset = open_dataset(config, data_dir, results_dir)
    place = Places(data_dir, results_dir, study).study_dir
    finished = place / f"{config.method}-seed{config.seed}-{key(config.to_dict(), dataset)}"
    *earlier, phase = phases(config)
    backbone = stage1 = None
    if not finished.exists():  # what it starts from is made first: each sets the seed anew
        check_measurable(dataset)
        stage1 = _first_stage(config, dataset, place) if earlier else None
        backbone = _backbone(config, dataset, place)

    def train_last(team: Team, directory: Path) -> StageResult:
        folder = directory / phase.name
        return _train(config, dataset, phase, team, folder, backbone=backbone, stage1=stage1)

    def write(stage: StageResult, output: Path) -> None:
        stage.network.load_weights(stage.directory / BEST)
        history = [stage.table().assign(stage=phase.name)]
        logs = output / "tensorboard"
        if stage1 is not None:
            history.insert(0, stage1.table("history"))
            shutil.copytree(stage1.path / "tensorboard", logs / "stage1")
        pd.concat(history).to_csv(output / "history.csv", index=False)
        shutil.copytree(stage.directory / "tensorboard", logs / phase.name)
        stage.network.save(output / "model.keras")
        evaluate(stage.network, config, dataset, output)

    return produce(finished, config, dataset, train_last, write)


def pretrain(
    config: ExperimentConfig,
    *,
    data_dir: str | Path = "data",
    results_dir: str | Path = "results",
    study: str = "quick",
) -> Run:
    """Train the starting backbone of a configuration, or return the finished one.

    Runs that agree in the settings that concern the backbone share it.

    Args: as for `run`.

    Returns:
        A run that holds `backbone.weights.h5`, `history.csv`, `config.json`, `manifest.json`.
    """
    place = Places(data_dir, results_dir, study).study_dir
    return _pretrained(config, open_dataset(config, data_dir, results_dir), place)


def starting_model(
    config: ExperimentConfig, attributes: tuple[str, ...], backbone: Run | None = None
) -> SimilarityModel:
    """Build a configuration's model with its starting weights.

    Args:
        config: the settings.
        attributes: names of the attributes.
        backbone: of `pretrain`, for `starting_weights="pretrain"`.
    """
    model = build_model(config, attributes)
    weights = None if backbone is None else backbone.path / "backbone.weights.h5"
    load_starting_weights(model, config, weights)
    return model


def check_measurable(dataset: Dataset) -> None:
    """Check that a run can choose its best epoch and be measured, before it is trained.

    Raises:
        asen_tf.data.AnnotationError: valid or test has neither queries nor triplets.
    """
    for name in ("valid", "test"):
        split = dataset.split(name).split
        if split.triplets is None and not len(split.queries):
            raise AnnotationError(
                f"the {name} split needs at least one query, or nothing can be measured",
                path=split.root / f"query_{name}.txt",
                got="none",
                remedy="add images to the split; in a catalogue's CSV, the column `split` says "
                "which images are train, valid and test",
            )


# === What runs start from ===


def _backbone(config: ExperimentConfig, dataset: Dataset, place: Path) -> Run | None:
    """Return the pretrained backbone that a configuration starts from; None if it needs none."""
    needed = config.starting_weights == "pretrain"
    return _pretrained(config, dataset, place) if needed else None


def _pretrained(config: ExperimentConfig, dataset: Dataset, place: Path) -> Run:
    settings = {name: config.to_dict()[name] for name in _PRETRAIN_FIELDS}
    finished = place / f"backbone-seed{config.seed}-{key(settings, dataset)}"

    def train_classifier(team: Team, directory: Path) -> StageResult:
        return pretrain_backbone(config, dataset, directory=directory)

    def write(stage: StageResult, output: Path) -> None:
        stage.network.backbone.save_weights(output / "backbone.weights.h5")
        stage.table().to_csv(output / "history.csv", index=False)
        shutil.copytree(stage.directory / "tensorboard", output / "tensorboard")

    return produce(finished, config, dataset, train_classifier, write, together=False)


def _first_stage(config: ExperimentConfig, dataset: Dataset, place: Path) -> Run:
    """Train the first of ASEN++'s two stages, or return the finished one.

    Runs whose settings differ only in what concerns the second stage share it. It is trained, and
    its regions are measured, with the paper's values of those settings.

    Returns:
        A run that holds `global.npz` (weights of the last epoch), `history.csv`, `tensorboard/`,
        `config.json`, `manifest.json`.
    """
    published = ExperimentConfig().to_dict()
    shared = config.override(**{name: published[name] for name in _SECOND_STAGE_FIELDS})
    finished = place / f"stage1-seed{config.seed}-{key(shared.to_dict(), dataset)}"
    phase = phases(shared)[0]
    backbone = _backbone(shared, dataset, place)  # before the seed is set for what follows

    def train_global(team: Team, directory: Path) -> StageResult:
        return _train(shared, dataset, phase, team, directory, backbone=backbone)

    def write(stage: StageResult, output: Path) -> None:
        layers = stage.network.global_layers
        weights = [weight for layer in layers for weight in layer.get_weights()]
        np.savez(output / "global.npz", *weights)
        stage.table().assign(stage=phase.name).to_csv(output / "history.csv", index=False)
        shutil.copytree(stage.directory / "tensorboard", output / "tensorboard")

    return produce(finished, shared, dataset, train_global, write)


def _load_first_stage(model: SimilarityModel, stage1: Run) -> None:
    """Put the weights of a finished first stage into the layers that it trained."""
    with np.load(stage1.path / "global.npz", allow_pickle=False) as stored:
        arrays = [stored[f"arr_{index}"] for index in range(len(stored.files))]
    variables = [variable for layer in model.global_layers for variable in layer.weights]
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _train(
    config: ExperimentConfig,
    dataset: Dataset,
    phase: Phase,
    team: Team,
    directory: Path,
    *,
    backbone: Run | None,
    stage1: Run | None = None,
) -> StageResult:
    """Train a new model for one stage, from what it starts from."""
    with team.scope():
        model = starting_model(config, dataset.attributes.names, backbone)
        if stage1 is not None:
            _load_first_stage(model, stage1)
    check = validate(dataset.split("valid"), batch=config.embed_batch)
    return train(model, config, dataset, phase, directory=directory, validate=check)
