"""A training step at paper size: images per second, and how near the machine's arithmetic it is."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from asen_tf.files import replacing
from asen_tf.layers import RegionOfInterest
from asen_tf.models import build_model
from asen_tf.presets import paper
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.trainer import SimilarityObjective, Trainer
from benchmarks.arithmetic import forward_flops, matrix_product_peak
from benchmarks.table import MEASURED, OPERATIONS
from benchmarks.where_time_goes import by_operation

CONFIG = paper()
IMAGES = 3 * CONFIG.triplets_per_step
ATTRIBUTES = tuple(f"attribute_{index}" for index in range(8))
# What the weights' gradients and the inputs' gradients add: each as much as the forward pass.
BACKWARD = 3.0


def batch(joint: bool) -> dict[str, tf.Tensor]:
    """Return one step of noise: 16 triplets."""
    rng = np.random.default_rng(0)
    groups = (CONFIG.triplets_per_step, 3)
    sizes = {"view": CONFIG.global_size} | ({"source": CONFIG.source_size} if joint else {})
    pixels = {
        name: tf.constant(rng.integers(0, 256, (*groups, side, side, 3), np.uint8))
        for name, side in sizes.items()
    }
    attribute = np.repeat(rng.integers(len(ATTRIBUTES), size=(groups[0], 1)), 3, axis=1)
    value = np.tile([0, 0, 1], (groups[0], 1))
    return {**pixels, "attribute": tf.constant(attribute, tf.int32), "value": tf.constant(value)}


def trainer(joint: bool) -> Trainer:
    """Return what trains a stage, compiled as `asen_tf.training.train` does."""
    model = build_model(CONFIG, ATTRIBUTES)
    model.joint = joint
    for layer in model.local_layers:
        layer.trainable = joint
    groups = [LearningRateGroup(model.global_layers, 1e-5)]
    groups += [LearningRateGroup(model.local_layers, 1e-4)] if joint else []
    optimizer, _ = grouped_optimizer(groups, factor=0.9, every_steps=1000)
    made = Trainer(
        model, SimilarityObjective(CONFIG, ("global", "local") if joint else ("global",))
    )
    made.compile(optimizer=optimizer)
    return made


def write_operations(stage: int, shares: list[tuple[str, float]]) -> None:
    """Write the stage's rows of the table of operations; the other stage's stay."""
    table = pd.DataFrame(shares, columns=["operation", "share"]).assign(stage=stage)
    path = MEASURED / OPERATIONS
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[before["stage"] != stage], table]).sort_values(
            ["stage", "share"], ascending=[True, False]
        )
    with replacing(path) as temporary:
        table[["stage", "operation", "share"]].to_csv(temporary, index=False, float_format="%.4f")


@pytest.mark.parametrize("stage", [1, 2])
def test_training_step(benchmark: Any, notes: Any, stage: int) -> None:
    """Seconds of a step; the matrix product is timed between the steps."""
    training, step = trainer(stage == 2), batch(stage == 2)
    products: list[float] = []
    training.train_on_batch(step)
    benchmark.pedantic(
        lambda: training.train_on_batch(step),
        setup=lambda: products.append(matrix_product_peak()),
        rounds=4,
    )
    seconds, peak = benchmark.stats.stats.median, statistics.median(products)
    needed = BACKWARD * IMAGES * forward_flops(training.network, joint=stage == 2)
    share = needed / seconds / peak
    notes.add(
        f"Training step of stage {stage} at paper size: share of the matrix-product peak",
        ours=f"{IMAGES / seconds:.1f} images/s, {seconds:.1f} s a step",
        against=f"peak {peak / 1e9:.0f} GFLOP/s; the step needs {needed / 1e12:.2f} TFLOP",
        ratio=share,
    )
    shares = by_operation(lambda: training.train_on_batch(step))
    for name, part in shares[:8]:
        print(f"   {100 * part:5.1f}%  {name}")
    write_operations(stage, shares)


def test_region_in_a_step(benchmark: Any, notes: Any) -> None:
    """What cutting the regions takes of a stage-2 step."""
    training, step = trainer(True), batch(True)
    training.train_on_batch(step)
    spans = []
    for _ in range(3):
        began = time.perf_counter()
        training.train_on_batch(step)
        spans.append(time.perf_counter() - began)
    whole = statistics.median(spans)
    maps = tf.random.stateless_uniform((IMAGES, 14, 14), (0, 1)) ** 8
    sources = tf.reshape(step["source"], (-1, CONFIG.source_size, CONFIG.source_size, 3))
    layer = RegionOfInterest(CONFIG.global_size, CONFIG.local_size, CONFIG.roi_threshold)
    compiled = tf.function(lambda a, b: layer([a, b])[0])
    compiled(maps, sources)
    benchmark.pedantic(lambda: compiled(maps, sources).numpy(), rounds=9)
    spent = benchmark.stats.stats.median
    notes.add(
        "Region of interest: share of a stage-2 step at paper size",
        ours=f"{1000 * spent:.0f} ms",
        against=f"step {whole:.1f} s",
        ratio=spent / whole,
        goal="under 5%",
        met=spent / whole < 0.05,
    )
