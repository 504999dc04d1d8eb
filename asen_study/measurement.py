"""Measuring a model that came as a file: the authors' checkpoint, say, or one trained elsewhere.

`run(config)` of `asen_study.experiment` trains what it measures; here nothing is trained.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from asen_study import experiment
from asen_study.evaluation import evaluate
from asen_study.production import describe, fix_randomness, key, once, open_dataset
from asen_study.runs import Places, Run, Selection
from asen_study.starts import load_starting_weights
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.data.dataset import Dataset
from asen_tf.embedder import Embedder
from asen_tf.files import file_digest, write_text
from asen_tf.models import SimilarityModel, build_model, load_saved
from asen_tf.models.build import METHODS


def run_or_measure(
    model_file: str | Path | None, config: ExperimentConfig, places: Places
) -> tuple[Run, Path]:
    """Return the run of a configuration, trained if need be, or what a model's file scores.

    Args:
        model_file: for `measure`; None for `asen_study.experiment.run`.
        config: the settings.
        places: where the data are, and the study.

    Returns:
        The run, and the folder of its figures: the study's, or the measured model's own.
    """
    if model_file is None:
        return experiment.run(config, places), places.study_dir / "figures"
    run = measure(model_file, config, places)
    return run, run.path / "figures"


def measure(model_file: str | Path, config: ExperimentConfig, places: Places) -> Run:
    """Evaluate a saved model on a dataset's test split, or return what an earlier call found.

    Writes `<file's name>-<key>/` into the study's directory: what `asen_study.experiment.run`
    lists, without `history.csv`, `model.keras` and `tensorboard/`, and instead of `manifest.json` a
    `provenance.json` with the SHA-256 of the file. So a study's tables, which gather what was
    trained with its settings, leave it out.

    Args:
        model_file: a `.keras` file, of `asen weights`, for example.
        config: names the dataset, and how to read and measure it. The method, its parts and sizes
            are the file's; settings of training play no part.
        places: where the data are, and the study that keeps the numbers.

    Returns:
        The evaluated run.

    Raises:
        asen_tf.models.ModelFileError: the file holds no model of this package.
        ConfigError: the model's attributes are not those of the dataset.
        asen_tf.data.AnnotationError: the dataset cannot be read.
    """
    file = Path(model_file)
    model = load_saved(file)
    config = settings_of(model, config)
    dataset = open_dataset(config, places)
    _check_attributes(file, model, dataset)
    origin = {"model_file": file.name, "model_sha256": file_digest(file)}
    identity = key({**config.to_dict(), **origin}, dataset)
    name = re.sub(r"[^\w-]+", "_", file.stem)
    finished = places.study_dir / f"{name}-{identity}"

    def make(unfinished: Path, output: Path) -> None:
        print(f"{finished}: measuring {file} on {dataset.name}", flush=True)
        fix_randomness(config)
        evaluate(model, config, dataset, output)
        describe(output, config, dataset, origin, name="provenance.json")

    if not once(finished, make):
        print(f"{finished}: measured before, nothing to do", flush=True)
    return Run(finished)


def measure_elsewhere(selection: Selection, dataset: str, places: Places) -> pd.DataFrame:
    """Measure the models of finished runs on the test split of another dataset.

    Args:
        selection: the runs. Those whose local branch sees the true part are left out, and those
            that have lost their model, but for what was measured while they had it.
        dataset: has the attributes of the runs' own, and a validation and a test split.
        places: where the data are, and the study that keeps the numbers, in a folder of the
            dataset's name.

    Returns:
        As `StudyTables.map`; empty if there is no such dataset.
    """
    if not (Path(places.data_dir) / dataset).is_dir():
        return pd.DataFrame()
    places = dataclasses.replace(places, study=f"{places.study}/{dataset}")
    tables = []
    for run, row in selection.named:
        if run.config.region == "true":
            continue  # a model that is told where the part is
        kept = f"map_{dataset}"
        if run.holds("model.keras"):
            table = measure(
                run.path / "model.keras", run.config.override(dataset=dataset), places
            ).table("map")
            write_text(run.path / f"{kept}.csv", table.to_csv(index=False, lineterminator="\n"))
        elif run.has(kept):
            table = run.table(kept)
        else:
            continue
        ranked = table["method"] != "random"
        table["method"] = table["method"].where(~ranked, row)
        tables.append(table if not tables else table[ranked])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def settings_of(model: SimilarityModel, config: ExperimentConfig) -> ExperimentConfig:
    """Return a configuration with the model's own method, sizes and parts."""
    names = {field.name for field in dataclasses.fields(config)}
    own = {name: value for name, value in model.get_config().items() if name in names}
    (method,) = [name for name, kind in METHODS.items() if kind is type(model)]
    return config.override(method=method, **own)


def _check_attributes(file: Path, model: SimilarityModel, dataset: Dataset) -> None:
    if model.attribute_names != dataset.attributes.names:
        raise ConfigError(
            f"{file}: the model must know the attributes of {dataset.name}, in their order: "
            f"{', '.join(dataset.attributes.names)}; got {', '.join(model.attribute_names)}"
        )


def trained_or_new(study: Path, config: ExperimentConfig, attributes: Sequence[str]) -> Embedder:
    """Return a study's model; or, if it has none, a new one, which has not learned anything yet.

    Prints which of the two it is.

    Args:
        study: the study's folder; of its models it is that of ASEN++ with the lowest seed.
        config: of the new model, and the seed of its weights.
        attributes: names of the attributes that the new model is asked for.

    Raises:
        asen_tf.embedder.EmbedderError: the study's model cannot be used, or none is of ASEN++.
    """
    if any(study.glob("[!.]*/model.keras")):
        print(f"The trained model of {study}.")
        return Embedder.load(study)
    print(f"{study} holds no trained model (`make study` makes one): this one is untrained.")
    fix_randomness(config)
    model = build_model(config, attributes)
    load_starting_weights(model, config, None)
    return Embedder(model)
