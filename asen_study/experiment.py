"""The single entry point for a run: `run(config)` trains, evaluates and keeps everything it found.

A run is identified by what determines its digits: configuration, data and code. A finished run is
returned as it is; an interrupted one goes on where it stopped; nothing finished is overwritten.
What runs start from is made once and shared, by all studies of a results folder: the pretrained
backbone, ASEN++'s first stage.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from asen_study.evaluation import check_content, evaluate, validate
from asen_study.production import key, open_dataset, produce
from asen_study.runs import Places, Run, shared_place
from asen_study.starts import (
    find_imagenet,
    load_starting_weights,
    open_gates,
    pretrain_backbone,
    start_as_keras,
)
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.data import SPLITS, read_split
from asen_tf.data.dataset import Dataset
from asen_tf.files import replacing
from asen_tf.models import SimilarityModel, build_model
from asen_tf.models.build import METHODS
from asen_tf.training import BEST, Phase, StageResult, Team, phases, train
from asen_tf.training.similarity import epoch_planner
from asen_tf.training.stage import save_weights

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
    *("region_rule", "region_share", "least_region", "region_jitter", "map_reading"),
    *("local_loss_weight", "alignment_loss_weight", "stage2_epochs", "stage2_decay"),
    *("alignment", "patch_layers", "local_start"),
    *("stage2_local_learning_rate", "stage2_global_learning_rate", "stage2_decay_epochs"),
    "bootstrap_resamples",
)


def run(config: ExperimentConfig, places: Places) -> Run:
    """Train and evaluate one configuration, or return the finished run of an earlier call.

    Writes `<method>-seed<seed>-<key>/` into the study's directory when everything is done:
    `config.json`, `history.csv`, `metrics.json`, `map.csv`, `triplets.csv`, `localisation.csv`
    (where true boxes are known), `fusion.csv` (for methods of two branches), `map_any_value.csv`
    (where images hold several values of an attribute: any shared one counts), `queries.npz` (every
    query's average precision), `test_pairs.npz` (the model's outputs for the test images),
    `model.keras`, `tensorboard/`, and `manifest.json`. Until then the work is kept beside it, under
    `.work/`, epoch by epoch. What other runs share, such as a pretrained backbone and ASEN++'s
    first stage, gets a directory of its own.

    Args:
        config: what to run.
        places: where the data are, and the study that keeps the run.

    Returns:
        The finished run.

    Raises:
        asen_tf.data.AnnotationError, asen_tf.data.SamplingError: for data that cannot be
            trained on.
        ConfigError: for preprocessing "release", which is for measuring what was trained elsewhere.
    """
    if config.preprocessing != "ours":
        raise ConfigError(
            "training reads images in its own way, preprocessing='ours'; 'release' is for imported "
            f"models (asen_study.measurement.measure); got {config.preprocessing!r}"
        )
    if config.networks > 1:
        return _fused(config, places)
    dataset = open_dataset(config, places)
    finished = _place(config, dataset, places)
    *earlier, phase = phases(config)
    backbone = stage1 = zoomed = None
    if not finished.exists():  # what it starts from is made first: each sets the seed anew
        check(config, dataset)
        stage1 = _first_stage(config, dataset, places) if earlier else None
        if config.local_start == "zooms":
            zoomed = _first_stage(config.override(stage1_zooms=True), dataset, places)
        backbone = _backbone(config, dataset, places)

    def train_last(team: Team, directory: Path) -> StageResult:
        folder = directory / phase.name
        started = {"backbone": backbone, "stage1": stage1, "zoomed": zoomed}
        return _train(config, dataset, phase, team, folder, **started)

    def write(stage: StageResult, output: Path) -> None:
        stage.network.load_weights(stage.directory / BEST)
        history = [stage.table().assign(stage=phase.name)]
        logs = output / "tensorboard"
        if stage1 is not None:
            history.insert(0, stage1.table("history"))
            shutil.copytree(stage1.path / "tensorboard", logs / "stage1")
        if zoomed is not None:
            history.insert(0, zoomed.table("history").assign(stage="zooms"))
            shutil.copytree(zoomed.path / "tensorboard", logs / "zooms")
        pd.concat(history).to_csv(output / "history.csv", index=False)
        shutil.copytree(stage.directory / "tensorboard", logs / phase.name)
        _save(stage.network, output)
        evaluate(stage.network, config, dataset, output)

    return produce(finished, config, dataset, train_last, write)


def _place(config: ExperimentConfig, dataset: Dataset, places: Places) -> Path:
    """Return where a run is kept."""
    name = f"{config.method}-seed{config.seed}-{key(config.to_dict(), dataset)}"
    return places.study_dir / name


def _fused(config: ExperimentConfig, places: Places) -> Run:
    """Fuse networks of consecutive seeds on the same data, or return the finished run.

    Each network is a run of its own, which is trained only if it is not there.
    """
    parts = [
        run(config.override(networks=1, seed=config.seed + later), places)
        for later in range(config.networks)
    ]
    dataset = open_dataset(config, places)

    def join(team: Team, directory: Path) -> SimilarityModel:
        model = build_model(config, dataset.attributes.names)
        trained = [layer for part in parts for layer in part.load_model().global_layers]
        for layer, other in zip(model.global_layers, trained, strict=True):
            layer.set_weights(other.get_weights())
        return model

    def write(model: SimilarityModel, output: Path) -> None:
        names = [f"seed {part.config.seed}" for part in parts]
        history = [p.table("history").assign(stage=n) for p, n in zip(parts, names, strict=True)]
        pd.concat(history).to_csv(output / "history.csv", index=False)
        for part, name in zip(parts, names, strict=True):
            shutil.copytree(part.path / "tensorboard", output / "tensorboard" / name)
        _save(model, output)
        evaluate(model, config, dataset, output)

    return produce(_place(config, dataset, places), config, dataset, join, write, together=False)


def _save(model: SimilarityModel, output: Path) -> None:
    """Save a run's model; whether there is room for it is known first."""
    needed = sum(weight.nbytes for weight in model.get_weights())
    with replacing(output / "model.keras", needed=needed) as temporary:
        model.save(temporary)


def pretrain(config: ExperimentConfig, places: Places) -> Run:
    """Train the starting backbone of a configuration, or return the finished one.

    Runs that agree in the settings that concern the backbone share it.

    Args: as for `run`.

    Returns:
        A run that holds `backbone.weights.h5`, `history.csv`, `config.json`, `manifest.json`.
    """
    dataset = open_dataset(config, places)
    return _pretrained(config, dataset, places)


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
    if config.initial_values == "keras":
        start_as_keras(model)
    weights = None if backbone is None else backbone.path / "backbone.weights.h5"
    load_starting_weights(model, config, weights)
    return model


def check(config: ExperimentConfig, dataset: Dataset) -> None:
    """Check all that a run needs, before an image is decoded or anything is trained.

    Raises:
        asen_tf.backbones.BackboneError: there are no starting weights.
        asen_tf.data.AnnotationError: a split file breaks a rule, images are missing, or a split
            has nothing to train on or to measure, see `asen_study.evaluation.check_content`.
        asen_tf.data.SamplingError: the training split does not hold what the sampler needs.
    """
    fields = dataclasses.fields(METHODS[config.method].Settings)
    for name in [field.name for field in fields if field.name.endswith("_backbone")]:
        if config.starting_weights == "imagenet":
            find_imagenet(getattr(config, name), Path(config.imagenet_dir))
    missing = "ignore" if config.packed else config.missing_images
    for name in SPLITS:
        split = read_split(dataset.data_dir, dataset.name, name, missing=missing)
        check_content(split)
        if name == "train":
            frozen = config.method == "features" and config.feature_map != "linear"
            if not (frozen or config.train_images):  # fewer images: those that can be learned
                epoch_planner(config, split)
    for name in ("valid", "test"):  # a damaged image must not end a run at its evaluation
        dataset.split(name)


# === What runs start from ===


def _backbone(config: ExperimentConfig, dataset: Dataset, places: Places) -> Run | None:
    """Return the pretrained backbone that a configuration starts from; None if it needs none."""
    needed = config.starting_weights == "pretrain"
    return _pretrained(config, dataset, places) if needed else None


def _pretrained(config: ExperimentConfig, dataset: Dataset, places: Places) -> Run:
    settings = {name: config.to_dict()[name] for name in _PRETRAIN_FIELDS}
    name = f"backbone-seed{config.seed}-{key(settings, dataset)}"

    def train_classifier(team: Team, directory: Path) -> StageResult:
        return pretrain_backbone(config, dataset, directory=directory)

    def write(stage: StageResult, output: Path) -> None:
        save_weights(stage.network.backbone, output / "backbone.weights.h5")
        stage.table().to_csv(output / "history.csv", index=False)
        shutil.copytree(stage.directory / "tensorboard", output / "tensorboard")

    finished = shared_place(places, name)
    return produce(finished, config, dataset, train_classifier, write, together=False)


def _first_stage(config: ExperimentConfig, dataset: Dataset, places: Places) -> Run:
    """Train the first of ASEN++'s two stages, or return the finished one.

    Runs whose settings differ only in what concerns the second stage share it. It is trained, and
    its regions are measured, with the paper's values of those settings.

    Returns:
        A run that holds `global.npz` (weights of the last epoch, or of the best: `stage2_start`),
        `history.csv`, `tensorboard/`, `config.json`, `manifest.json`.
    """
    published = ExperimentConfig().to_dict()
    shared = config.override(**{name: published[name] for name in _SECOND_STAGE_FIELDS})
    name = f"stage1-seed{config.seed}-{key(shared.to_dict(), dataset)}"
    finished = shared_place(places, name)
    phase = phases(shared)[0]
    backbone = _backbone(shared, dataset, places)  # before the seed is set for what follows

    def train_global(team: Team, directory: Path) -> StageResult:
        return _train(shared, dataset, phase, team, directory, backbone=backbone)

    def write(stage: StageResult, output: Path) -> None:
        if config.stage2_start == "best":
            stage.network.load_weights(stage.directory / BEST)
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
    zoomed: Run | None = None,
) -> StageResult:
    """Train a new model for one stage, from what it starts from.

    Of `zoomed` the local branch alone keeps weights; the attributes' table is that of `stage1`.
    """
    with team.scope():
        model = starting_model(config, dataset.attributes.names, backbone)
        if zoomed is not None:
            _load_first_stage(model, zoomed)
            model.start_local_from_global()
        if stage1 is not None:
            _load_first_stage(model, stage1)
        if config.local_start == "global":
            model.start_local_from_global()
        if config.local_start == "placeless":
            open_gates(model.backbones[-1][1])
    check = validate(dataset.split("valid"), batch=config.embed_batch)
    return train(model, config, dataset, phase, directory=directory, validate=check)
