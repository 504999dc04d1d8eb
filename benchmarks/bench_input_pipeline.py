"""The input pipeline: images per second alone, and what a training step waits for it."""

from __future__ import annotations

import itertools
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asen_tf.data.dataset import Dataset
from asen_tf.data.images import load_image
from asen_tf.data.pipeline import training_steps
from asen_tf.models import build_model
from asen_tf.presets import paper, quick
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.similarity import epoch_planner
from asen_tf.training.trainer import SimilarityObjective, Trainer
from data_prep.synthetic import make_dataset

STEPS = 40
CONFIG = quick().override(steps_per_epoch=STEPS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A thousand drawn garments, decoded into the cache."""
    folder: Path = tmp_path_factory.mktemp("data")
    make_dataset(folder, images=1000, size=320, seed=0)
    return Dataset(folder, CONFIG)


def steps(dataset: Dataset, epochs: int = 1) -> Any:
    """Return the steps of stage 2, which needs the images at both sizes."""
    images = dataset.split("train")
    plan = epoch_planner(CONFIG, images.split)
    return training_steps(
        plan, views=images.views, sources=images.sources, first_epoch=0, epochs=epochs
    )


def wait_and_work(dataset: Dataset) -> tuple[float, float]:
    """Train a few steps of stage 2; return seconds spent waiting and in all."""
    model = build_model(CONFIG, dataset.attributes.names)
    groups = [
        LearningRateGroup(model.global_layers, CONFIG.stage2_global_learning_rate),
        LearningRateGroup(model.local_layers, CONFIG.stage2_local_learning_rate),
    ]
    optimizer, _ = grouped_optimizer(groups, factor=1.0, every_steps=STEPS)
    trainer = Trainer(model, SimilarityObjective(CONFIG, ("global", "local")))
    trainer.compile(optimizer=optimizer)
    stream = iter(steps(dataset))
    for batch in itertools.islice(stream, 5):  # builds the graph, fills the buffers
        trainer.train_on_batch(batch)
    waited, began = 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        batch = next(stream, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited, time.perf_counter() - began
        trainer.train_on_batch(batch)


def test_waiting_for_images(benchmark: Any, notes: Any, dataset: Dataset) -> None:
    """The share of a training step of stage 2, quick preset, that is spent waiting."""
    waited, whole = benchmark.pedantic(partial(wait_and_work, dataset), rounds=1)
    per_step = CONFIG.attributes_per_step * CONFIG.values_per_attribute * CONFIG.images_per_value
    began = time.perf_counter()
    count = sum(1 for _ in steps(dataset))
    alone = count * per_step / (time.perf_counter() - began)
    training = (STEPS - 5) * per_step / whole
    notes.add(
        "Input pipeline of the preset quick, images decoded before: images per second alone, and "
        "share of a stage-2 step spent waiting",
        ours=f"{alone:,.0f} images/s alone",
        against=f"training {training:,.0f} images/s; waiting {100 * waited / whole:.2f}%",
        ratio=alone / training,
        goal="waiting under 2%",
        met=waited / whole < 0.02,
    )
    assert np.isfinite(alone)


def test_decoding_at_paper_size(paired: Any, notes: Any, dataset: Dataset) -> None:
    """Images per second out of JPEG files, without the cache, to the source size of the paper."""
    split, side = dataset.split("train").split, paper().source_size
    config = paper().override(dataset=split.root.name, cache_images=False)
    sources = Dataset(split.root.parent, config).split("train").sources
    rows = np.arange(96)

    def loop() -> np.ndarray:
        return np.stack([load_image(split.path(row), side) for row in rows])

    np.testing.assert_array_equal(sources[rows], loop())
    ours, theirs = paired(lambda: sources[rows], loop)
    notes.add(
        "Decoding JPEG files of 320 px to the paper's source size, against one by one",
        ours=f"{len(rows) / ours:,.0f} images/s",
        against=f"{len(rows) / theirs:,.0f} images/s",
        ratio=theirs / ours,
    )
