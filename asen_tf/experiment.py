"""The single door to a run: `run(config)` trains, evaluates and keeps everything it found.

A run is identified by what determines its digits: configuration, data and code. A finished run is
returned as it is; an interrupted one goes on where it stopped; nothing finished is overwritten.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from asen_tf.annotations import AnnotationError
from asen_tf.config import ExperimentConfig
from asen_tf.data import Dataset
from asen_tf.evaluation import evaluate, validate
from asen_tf.production import key, open_dataset, produce, strategy
from asen_tf.results import Run
from asen_tf.starts import first_stage, load_first_stage, pretrain, starting_model
from asen_tf.training import BEST, is_chief, phases, train, unreplicated

__all__ = ["pretrain", "run"]


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
        asen_tf.annotations.AnnotationError, asen_tf.data.SamplingError: for data that cannot be
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
        asen_tf.annotations.AnnotationError: valid or test has neither queries nor triplets.
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
