"""The single door to a run: `run(config)` trains, evaluates and keeps everything it found.

A run is identified by what determines its digits: configuration, data and code. A finished run is
returned as it is; an interrupted one goes on where it stopped; nothing finished is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from asen_tf import provenance
from asen_tf.config import ExperimentConfig
from asen_tf.data import Dataset
from asen_tf.evaluation import evaluate, validate
from asen_tf.files import replacing, write_json
from asen_tf.models import build_model, load_starting_weights
from asen_tf.results import Run
from asen_tf.training import BEST, pretrain_backbone, train_global, train_jointly

# Settings that decide the pretrained backbone; runs that differ in others share it.
_PRETRAIN_FIELDS = (
    "seed",
    "dataset",
    "missing_images",
    "source_size",
    "global_size",
    "pretrain_epochs",
    "pretrain_batch",
    "pretrain_learning_rate",
    "pretrain_backbone",
    "mixed_precision",
    "xla",
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
    `history.csv`, `metrics.json`, `map.csv`, `localisation.csv` (where true boxes are known),
    `queries.npz` (every query's average precision), `test_pairs.npz` (what the model says of the
    test images), `model.keras`, `tensorboard/`, and `manifest.json`. Until then the work is kept
    beside it, under `.work/`, epoch by epoch.

    Args:
        config: what to run.
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
        study: the study's directory.

    Returns:
        The finished run.

    Raises:
        asen_tf.annotations.AnnotationError, asen_tf.data.SamplingError: for data that cannot be
            trained on.
    """
    dataset = _open(config, data_dir)
    place = Path(results_dir) / study
    key = _key(config.to_dict(), dataset)
    finished = place / f"{config.method}-seed{config.seed}-{key}"
    if finished.exists():
        print(f"{finished}: finished before, nothing to do", flush=True)
        return Run(finished)
    weights = None
    if config.starting_weights == "pretrain":
        backbone = pretrain(config, data_dir=data_dir, results_dir=results_dir, study=study)
        weights = backbone.path / "backbone.weights.h5"

    def work(directory: Path, output: Path) -> None:
        with _strategy(config).scope():
            model = build_model(config, dataset.attributes.names)
            load_starting_weights(model, config, weights)
            check = validate(dataset.split("valid"), batch=config.embed_batch)
            history = []
            for name, train in (("stage1", train_global), ("stage2", train_jointly)):
                stage = train(model, config, dataset, directory=directory / name, validate=check)
                history.append(stage.table().assign(stage=name))
            model.load_weights(stage.directory / BEST)
        pd.concat(history).to_csv(output / "history.csv", index=False)
        for name in ("stage1", "stage2"):
            shutil.copytree(directory / name / "tensorboard", output / "tensorboard" / name)
        model.save(output / "model.keras")
        evaluate(model, config, dataset, output)

    _produce(finished, config, dataset, work)
    return Run(finished)


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
    dataset = _open(config, data_dir)
    settings = {name: config.to_dict()[name] for name in _PRETRAIN_FIELDS}
    key = _key(settings, dataset)
    finished = Path(results_dir) / study / f"backbone-seed{config.seed}-{key}"
    if finished.exists():
        print(f"{finished}: finished before, nothing to do", flush=True)
        return Run(finished)

    def work(directory: Path, output: Path) -> None:
        classifier, stage = pretrain_backbone(config, dataset, directory=directory)
        classifier.backbone.save_weights(output / "backbone.weights.h5")
        stage.table().to_csv(output / "history.csv", index=False)
        shutil.copytree(directory / "tensorboard", output / "tensorboard")

    _produce(finished, config, dataset, work)
    return Run(finished)


def _produce(
    finished: Path,
    config: ExperimentConfig,
    dataset: Dataset,
    work: Callable[[Path, Path], None],
) -> None:
    """Run `work(directory for unfinished things, directory of results)`; show results at once."""
    started = time.monotonic()
    _prepare(config)
    directory = finished.parent / ".work" / finished.name
    resumed = directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    print(f"{finished}: {'going on' if resumed else 'starting'}", flush=True)
    with replacing(finished) as output:
        output.mkdir()
        work(directory, output)
        write_json(output / "config.json", config.to_dict())
        write_json(
            output / "manifest.json",
            {
                "config_hash": config.hash,
                "data_fingerprint": dataset.fingerprint,
                "seed": config.seed,
                "resumed": resumed,
                "wall_seconds": round(time.monotonic() - started, 1),
                "peak_memory_mib": round(provenance.peak_memory_mib(), 1),
                **provenance.describe(),
            },
        )
    shutil.rmtree(directory)


def _prepare(config: ExperimentConfig) -> None:
    """Make what follows a function of the seed alone."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(config.mixed_precision)


def _strategy(config: ExperimentConfig) -> tf.distribute.Strategy:
    if config.strategy == "mirrored":
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _open(config: ExperimentConfig, data_dir: str | Path) -> Dataset:
    return Dataset(
        data_dir,
        config.dataset,
        source_size=config.source_size,
        global_size=config.global_size,
        missing=config.missing_images,
        cache=config.cache_images,
    )


def _key(settings: dict[str, Any], dataset: Dataset) -> str:
    """Identify what decides a result's digits: settings, data, code."""
    parts = [settings, dataset.fingerprint, provenance.code_fingerprint()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
