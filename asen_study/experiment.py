"""The single door to a run: `run(config)` trains, evaluates and keeps everything it found.

A run is identified by what determines its digits: configuration, data and code. A finished run is
returned as it is; an interrupted one goes on where it stopped; nothing finished is overwritten.

What runs start from, made once and shared: the pretrained backbone, ASEN++'s first stage.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from asen_study.production import key, open_dataset, produce, strategy
from asen_study.runs import Run
from asen_tf.config import ExperimentConfig
from asen_tf.data import AnnotationError
from asen_tf.data.dataset import Dataset
from asen_tf.evaluation.evaluate import evaluate, validate
from asen_tf.models import SimilarityModel, build_model, load_starting_weights
from asen_tf.training import BEST, is_chief, phases, pretrain_backbone, train, unreplicated

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

    Args: as for `asen_study.experiment.run`.

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

    Args: as for `asen_study.experiment.run`.

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
    precision), `test_pairs.npz` (what the model says of the test images), `model.keras`,
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
    dataset = open_dataset(config, data_dir)
    places = {"data_dir": data_dir, "results_dir": results_dir, "study": study}
    name = f"{config.method}-seed{config.seed}-{key(config.to_dict(), dataset)}"
    finished = Path(results_dir) / study / name
    stages, start = phases(config), None
    if not finished.exists():  # what it starts from is made first: each sets the seed anew
        check_measurable(dataset)
        if len(stages) == 2:
            start, stages = first_stage(config, **places), stages[1:]
        elif config.starting_weights == "pretrain":
            pretrain(config, **places)

    def work(directory: Path, output: Path) -> None:
        (phase,) = stages
        training = strategy(config)
        with training.scope():
            model = starting_model(config, dataset.attributes.names, **places)
            if start is not None:
                load_first_stage(model, start)
        stage = train(
            model,
            config,
            dataset,
            phase,
            directory=directory / phase.name,
            validate=validate(dataset.split("valid"), batch=config.embed_batch),
        )
        if not is_chief(training):
            return
        model = unreplicated(model)
        model.load_weights(stage.directory / BEST)
        history = [start.table("history")] if start is not None else []
        history.append(stage.table().assign(stage=phase.name))
        pd.concat(history).to_csv(output / "history.csv", index=False)
        if start is not None:
            shutil.copytree(start.path / "tensorboard", output / "tensorboard" / "stage1")
        logs = output / "tensorboard" / phase.name
        shutil.copytree(directory / phase.name / "tensorboard", logs)
        model.save(output / "model.keras")
        evaluate(model, config, dataset, output)

    return produce(finished, config, dataset, work, together=True)


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
