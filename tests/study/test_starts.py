"""Where a backbone starts: the three starts that are compared, and the table of the comparison."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_study import tables
from asen_study.experiment import starting_model
from asen_study.matrix import LABELS, STARTS, classified_start, images_seen, settings
from asen_study.runs import Places, finished_runs
from asen_study.starts import open_gates
from asen_tf.backbones import build_backbone
from asen_tf.layers import PositionGate
from asen_tf.presets import compact, quick, smoke
from data_prep.synthetic import make_dataset


def test_the_starts_are_imagenet_a_classification_and_nothing() -> None:
    study = quick()
    configs = [settings(row, study) for row in STARTS]
    assert [config.starting_weights for config in configs] == ["imagenet", "pretrain", "random"]
    assert len({images_seen(config.to_dict()) for config in configs}) == 1
    assert len({(config.loss, config.seed, config.stage1_decay) for config in configs}) == 1
    # Nothing is gained from stages that stay random, or that learn at a tenth of the rate.
    assert [config.frozen_stages for config in configs] == [2, 0, 0]
    assert [config.backbone_rate_share for config in configs] == [0.1, 1.0, 1.0]


def test_a_study_that_starts_from_a_classification_starts_from_its_own() -> None:
    assert classified_start(smoke()) == smoke()
    other, own = classified_start(quick()), compact()
    names = ("global_backbone", "global_size", "pretrain_epochs", "pretrain_batch")
    assert [getattr(other, n) for n in names] == [getattr(own, n) for n in names]


def test_open_gates_stay_open_in_training() -> None:
    backbone = build_backbone("compact")
    open_gates(backbone)
    (gate,) = (layer for layer in backbone.layers if isinstance(layer, PositionGate))
    before = [weight.numpy() for weight in backbone.trainable_weights]
    kept = {id(weight) for weight in gate.weights}
    images = tf.random.stateless_normal((2, 32, 32, 3), seed=(0, 1))
    optimizer = keras.optimizers.Adam(1e-2)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((backbone(images, training=True) - 1.0) ** 2)
        gradients = tape.gradient(loss, backbone.trainable_weights)
        optimizer.apply_gradients(zip(gradients, backbone.trainable_weights, strict=True))
    for weight, old in zip(backbone.trainable_weights, before, strict=True):
        assert np.array_equal(weight.numpy(), old) == (id(weight) in kept), weight.name


@pytest.mark.parametrize("row", ["asen_pp/keras_values", "asen", "rpf"])
def test_initial_values_of_keras_are_in_all_heads_and_tables_and_nowhere_else(row: str) -> None:
    config = settings(row, smoke()).override(starting_weights="random")

    def begun(values: str) -> dict[str, np.ndarray]:
        keras.utils.set_random_seed(3)
        model = starting_model(config.override(initial_values=values), ("collar", "sleeve"))
        return {weight.name: weight.numpy() for weight in model.weights}

    released, found, again = begun("released"), begun("keras"), begun("keras")
    assert released.keys() == found.keys()
    changed = {name for name in found if not np.array_equal(found[name], released[name])}
    assert not any("backbone" in name or "batch_norm" in name for name in changed)
    kernels = {name for name in changed if found[name].ndim == 2 and "table" not in name}
    assert len(kernels) > 2 and any("embedding" in name for name in kernels)
    for name in changed:
        assert np.array_equal(found[name], again[name])  # the same seed, the same digits
        if name in kernels:
            limit = np.sqrt(6.0 / sum(found[name].shape))
        else:
            limit = 0.05 if "table" in name else 0.0
        furthest, few = np.abs(found[name]).max(), found[name].size < 100
        assert (0.5 if few else 0.9) * limit <= furthest <= limit, name
    assert len({found[name].tobytes() for name in kernels}) == len(kernels)  # each draws its own


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_table_has_the_validation_map_of_each_start_and_reads_finished_runs(
    tmp_path: Path,
) -> None:
    make_dataset(tmp_path / "data", images=160, size=64)
    places = Places(tmp_path / "data", tmp_path / "results", "smoke")
    table = tables.starts(smoke(), places)
    assert list(table["label"].unique()) == [LABELS[row] for row in STARTS]
    seen = images_seen(smoke().to_dict())
    for row in STARTS:
        curve = table[table["method"] == row]
        assert len(curve) == 4 and curve["images"].iloc[-1] == seen
        assert curve["val_map"].between(0, 100).all()
    before = {run.path.name for run in finished_runs(places.study_dir)}
    made = {path: path.stat().st_mtime_ns for path in places.study_dir.rglob("*.csv")}
    assert tables.starts(smoke(), places).equals(table)
    assert {run.path.name for run in finished_runs(places.study_dir)} == before
    assert {path: path.stat().st_mtime_ns for path in places.study_dir.rglob("*.csv")} == made
