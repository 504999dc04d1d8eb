"""Precision, XLA, one replica: both stages run, and steps cost what they cost in float32."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from line_training import Line, Squares

from asen_tf import experiment
from asen_tf.presets import smoke
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.similarity import loss_scaling
from asen_tf.training.state import TrainingState
from asen_tf.training.trainer import Trainer
from data_prep.synthetic import make_dataset

STEPS = 5  # of the first stage, an epoch each


@pytest.fixture(autouse=True)
def policy_as_before():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory):
    """Return what each step measured, by option; the start is the same for all."""
    folder = tmp_path_factory.mktemp("options")
    make_dataset(folder / "data", images=200, size=64, dataset="Garments")
    once = {"steps_per_epoch": 1, "stage1_epochs": STEPS, "stage2_epochs": 2}
    once |= {"stage1_learning_rate": 1e-4, "stage2_local_learning_rate": 1e-4}  # the paper's

    @functools.cache
    def of(**options) -> pd.DataFrame:
        config = smoke().override(starting_weights="random", **once, **options)
        run = experiment.run(
            config, data_dir=folder / "data", results_dir=folder / "results", study="tests"
        )
        return run.table("history")

    return of


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"xla": True}, 1e-4),
        ({"strategy": "mirrored"}, 1e-5),
        ({"mixed_precision": "mixed_float16"}, 5e-3),
        ({"mixed_precision": "mixed_bfloat16"}, 3e-2),
    ],
    ids=["XLA", "mirrored", "float16", "bfloat16"],
)
def test_steps_cost_what_they_cost_in_float32(history, options, tolerance: float) -> None:
    plain, other = history(), history(**options)
    assert list(other["stage"]) == ["stage1"] * STEPS + ["stage2"] * 2
    first = plain["stage"] == "stage1"
    print(options, (other["loss"] - plain["loss"]).tolist())
    assert plain.loc[first, "loss"].nunique() == STEPS  # the weights move from step to step
    np.testing.assert_allclose(other.loc[first, "loss"], plain.loc[first, "loss"], atol=tolerance)
    # The second stage begins with regions that may lie a pixel beside: close, and finite.
    np.testing.assert_allclose(other["loss"], plain["loss"], atol=max(0.05, tolerance))
    assert np.isfinite(other[["loss", "val_map"]].to_numpy()).all()
    assert np.isfinite(other.loc[~first, ["global", "local", "alignment"]].to_numpy(float)).all()


def half_precision_trainer() -> tuple[Trainer, list]:
    keras.mixed_precision.set_global_policy("mixed_float16")
    line = Line()
    groups = [LearningRateGroup([part], 0.1) for part in (line.slope, line.offset)]
    optimizer, adams = grouped_optimizer(groups, factor=0.5, every_steps=2)
    trainer = Trainer(line, Squares())
    trainer.compile(optimizer=optimizer)
    return trainer, adams


def test_the_scale_of_a_float16_loss_is_part_of_the_state(tmp_path: Path) -> None:
    trainer, adams = half_precision_trainer()
    (scaling,) = loss_scaling(trainer)
    variable = scaling._loss_scale._current_loss_scale  # Keras has no public way to set it
    variable.assign(64.0)
    TrainingState(tmp_path, trainer.network, [*adams, scaling]).save(0, {})
    variable.assign(2.0)
    TrainingState(tmp_path, trainer.network, [*adams, scaling]).restore()
    assert float(variable) == 64.0


def test_float32_has_no_scale() -> None:
    line = Line()
    optimizer, _ = grouped_optimizer(
        [LearningRateGroup([line.slope, line.offset], 0.1)], factor=0.5, every_steps=2
    )
    trainer = Trainer(line, Squares())
    trainer.compile(optimizer=optimizer)
    assert loss_scaling(trainer) == []
