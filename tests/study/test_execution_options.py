"""Precision, XLA, one replica: both stages run, and their losses agree with float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from asen_study import experiment
from asen_study.evaluation import validate
from asen_study.production import open_dataset, produce
from asen_study.runs import Places
from asen_tf.config import ExperimentConfig
from asen_tf.models import build_model
from asen_tf.presets import smoke
from asen_tf.training import StageResult, Team, phases, similarity, train
from asen_tf.training.similarity import loss_scaling
from asen_tf.training.trainer import Trainer
from data_prep.synthetic import make_dataset

STEPS = 5  # of the first stage, an epoch each
SETTINGS = {
    "starting_weights": "random",
    "steps_per_epoch": 1,
    "stage1_epochs": STEPS,
    "stage2_epochs": 2,
    "stage1_learning_rate": 1e-4,  # the paper's
    "stage2_local_learning_rate": 1e-4,
}
LOSSES = ("global", "local", "alignment")


@dataclass(frozen=True)
class Steps:
    """What each step cost, what the model then said, and what it was trained by."""

    history: pd.DataFrame
    embedded: dict[str, float]
    trainers: list[Trainer]

    def of(self, stage: str) -> pd.DataFrame:
        return self.history[self.history["stage"] == stage]


class Kept(Trainer):
    """The trainer; keeps which ones there were."""

    trainers: list[Trainer] = []

    def compile(self, **options) -> None:
        super().compile(**options)
        self.trainers.append(self)


def train_in_stages(config: ExperimentConfig, data: Path, folder: Path, *, stages: int) -> Steps:
    """Train the first one or two stages as `experiment.run` does, but embed only once, at last."""
    dataset, tables, embedded = open_dataset(config, Places(data)), [], {}

    def train_all(team: Team, directory: Path) -> StageResult:
        with team.scope():
            model = build_model(config, dataset.attributes.names)
        for phase in phases(config)[:stages]:
            place = directory / phase.name
            nothing = {"directory": place, "validate": lambda network: {"val_map": 0.0}}
            stage = train(model, config, dataset, phase, **nothing)
            tables.append(stage.table().assign(stage=phase.name))
        if stages == 2:
            embedded.update(validate(dataset.split("valid"), batch=config.embed_batch)(model))
        return stage

    Kept.trainers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "Trainer", Kept)
        produce(folder / config.hash, config, dataset, train_all, lambda stage, output: None)
    return Steps(pd.concat(tables), embedded, Kept.trainers)


@pytest.fixture(scope="module", autouse=True)
def policy_as_before():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    make_dataset(folder / "data", images=200, size=64, dataset="Garments")
    return folder / "data"


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Steps]:
    """Return what trains by options, each once; start and images are the same for all."""
    folder = tmp_path_factory.mktemp("trained")

    @functools.cache
    def by(stages: int = 2, **options) -> Steps:
        config = smoke().override(**{**SETTINGS, **options})
        return train_in_stages(config, data, folder, stages=stages)

    return by


# Options, tolerance of the losses of stage 1, what convolutions compute in, compiled or not.
CASES = {
    "XLA": ({"xla": True}, 1e-4, "float32", True),
    "mirrored": ({"strategy": "mirrored"}, 1e-5, "float32", False),
    "float16": ({"mixed_precision": "mixed_float16"}, 3e-3, "float16", False),
    "bfloat16": ({"mixed_precision": "mixed_bfloat16"}, 3e-3, "bfloat16", False),
}
# `test_replicas.py` trains two mirrored replicas, one of which is slow here; compiling takes long.
MARKS = {"mirrored": pytest.mark.slow, "XLA": pytest.mark.slow}
every_option = pytest.mark.parametrize(
    ("options", "tolerance", "dtype", "compiled"),
    [pytest.param(*case, id=name, marks=MARKS.get(name, ())) for name, case in CASES.items()],
)


@every_option
def test_steps_cost_what_they_cost_in_float32(
    trained, options: dict, tolerance: float, dtype: str, compiled: bool
) -> None:
    plain, other = trained(), trained(**options)
    still = trained(stages=1, stage1_learning_rate=0.0).of("stage1")["loss"]
    costs = [steps.of("stage1")["loss"] for steps in (plain, other)]
    print(options, np.abs(costs[1] - costs[0]).max(), np.abs(still - costs[0]).max())
    np.testing.assert_allclose(costs[1], costs[0], rtol=0, atol=tolerance)
    # The weights move, so that a training that moves none would be seen at this tolerance.
    assert still.iloc[0] == pytest.approx(costs[0].iloc[0], abs=1e-6)
    assert np.abs(still - costs[1]).max() > 3 * tolerance
    # The second stage begins with regions that may lie a pixel beside: close, and finite.
    joint = [steps.of("stage2")[["loss", *LOSSES]] for steps in (plain, other)]
    assert len(joint[1]) == SETTINGS["stage2_epochs"] and np.isfinite(joint[1].to_numpy()).all()
    np.testing.assert_allclose(joint[1]["loss"], joint[0]["loss"], rtol=0, atol=0.05)
    assert other.embedded.keys() == plain.embedded.keys()
    assert np.isfinite([*other.embedded.values()]).all()


@every_option
def test_options_are_in_force_in_both_stages(
    trained, options: dict, tolerance: float, dtype: str, compiled: bool
) -> None:
    trainers = trained(**options).trainers
    assert len(trainers) == 2
    for trainer in trainers:
        layers = [x for x in trainer.network.submodules if isinstance(x, keras.layers.Conv2D)]
        assert len(layers) > 10
        assert {layer.compute_dtype for layer in layers} == {dtype}
        assert {weight.dtype for weight in trainer.network.weights} == {tf.float32}
        assert bool(trainer.jit_compile) == compiled
        assert len(loss_scaling(trainer)) == (dtype == "float16")
        mirrored = isinstance(trainer.distribute_strategy, tf.distribute.MirroredStrategy)
        assert mirrored == ("strategy" in options)


@pytest.mark.slow
@every_option
def test_whole_runs_take_the_same_steps(
    trained, data, tmp_path, options: dict, tolerance: float, dtype: str, compiled: bool
) -> None:
    config = smoke().override(**SETTINGS, **options)
    history = experiment.run(config, Places(data, tmp_path)).table("history")
    assert list(history["stage"]) == ["stage1"] * STEPS + ["stage2"] * SETTINGS["stage2_epochs"]
    expected = trained(**options).history
    for name in ("loss", *LOSSES):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    assert np.isfinite(history["val_map"]).all()
