"""Half precision: bfloat16 in the CPU's own arithmetic, and the scale of a float16 loss."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from line_training import Line, Squares

from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.similarity import loss_scaling
from asen_tf.training.stage import TrainingState
from asen_tf.training.trainer import Trainer

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def policy_as_before():
    yield
    keras.mixed_precision.set_global_policy("float32")


# === bfloat16, where the CPU has it ===

FLAGS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
IN_BFLOAT16 = """
import keras, numpy
from asen_tf.backbones import build_backbone
keras.mixed_precision.set_global_policy("mixed_bfloat16")
build_backbone("compact")(numpy.zeros((2, 32, 32, 3), "float32"))
"""


@pytest.mark.skipif("avx512_bf16" not in FLAGS, reason="the CPU has no arithmetic of bfloat16")
def test_bfloat16_is_the_cpus_own_where_it_has_it() -> None:
    told = subprocess.run(
        [sys.executable, "-c", IN_BFLOAT16],
        cwd=ROOT,
        env=os.environ | {"ONEDNN_VERBOSE": "1"},  # oneDNN tells of each kernel that it runs
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kernels = [line for line in told.splitlines() if ",convolution," in line and "exec" in line]
    assert len(kernels) > 5
    for line in kernels:
        implementation, data = line.split(",")[4], line.split(",")[6]
        assert "avx512_core_bf16" in implementation or "amx" in implementation, line
        assert data.startswith("src_bf16"), line


# === The scale of float16 ===


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
