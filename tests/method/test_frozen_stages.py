"""What frozen stages give is computed once: training from it is the training from pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from asen_study.matrix import settings
from asen_tf.backbones import build_backbone, cut_after, freeze
from asen_tf.data.dataset import Dataset
from asen_tf.models import build_model
from asen_tf.presets import smoke
from asen_tf.training import phases, similarity, train
from data_prep.synthetic import make_dataset

FEATURES = (4, 4, 128)  # of all stages of the compact backbone but its last, for views of 32 px


@pytest.fixture(scope="module")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_dataset(folder, images=160, size=64)
    return folder


@pytest.mark.parametrize(
    ("name", "stages", "channels"),
    [
        ("efficientnet_lite0", 1, 16),
        ("efficientnet_lite0", 5, 112),
        ("efficientnet_lite0", 7, 112),  # the joined map needs stage 5 as well
        ("resnet34", 2, 128),
        ("resnet34", 3, 256),
    ],
)
def test_both_parts_of_a_cut_backbone_are_the_whole(name: str, stages: int, channels: int) -> None:
    backbone = build_backbone(name, prefix="x_")
    freeze(name, backbone, stages=stages, batch_norms=True)
    before, after = cut_after(name, backbone, stages)
    images = tf.random.stateless_uniform((2, 64, 64, 3), (0, 1))
    features = before(images)
    assert features.shape[-1] == channels
    assert not before.trainable_variables
    np.testing.assert_array_equal(after(features), backbone(images))


@pytest.mark.parametrize("method", ["triplet", "asen_pp", "rpf"])
def test_training_from_features_is_training_from_pixels(
    method: str, garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf.config.experimental.enable_op_determinism()
    config = settings(method, smoke()).override(
        starting_weights="random",
        frozen_stages=1,
        train_batch_norms=False,
    )
    phase = phases(config)[-1]  # of ASEN++ the one that trains both branches
    dataset = Dataset(garments, config)
    seen = []
    monkeypatch.setattr(
        similarity,
        "ImageFeatures",
        lambda array, make=similarity.ImageFeatures: seen.append(array.shape) or make(array),
    )

    def trained(cached: bool) -> list[np.ndarray]:
        tf.keras.utils.set_random_seed(1)
        model = build_model(config, dataset.attributes.names)
        train(
            model,
            config.override(cache_images=cached),
            dataset,
            phase,
            directory=tmp_path / str(cached),
            validate=lambda network: {"val_map": 1.0},
        )
        return model.get_weights()

    pixels = trained(False)
    assert not seen
    features = trained(True)
    assert seen == [(len(dataset.split("train").views), *FEATURES)]
    start = build_model(config, dataset.attributes.names)
    moved = [np.abs(a - b).max() for a, b in zip(pixels, start.get_weights(), strict=True)]
    assert max(moved) > 1e-3
    for a, b in zip(pixels, features, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=2e-5)


def test_features_beyond_the_limit_are_computed_at_every_step(
    garments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = smoke().override(global_backbone="efficientnet_lite0", starting_weights="random")
    model = build_model(config, ("a", "b"))
    images = Dataset(garments, config).split("train")
    compute = model.resume_after(1)
    monkeypatch.setattr(similarity, "_LARGEST", 16 * 16 * 16 * 4 * len(images.views) - 1)
    assert similarity._computed_once(compute, images, batch=8) is images.views
    monkeypatch.setattr(similarity, "_LARGEST", 16 * 16 * 16 * 4 * len(images.views))
    assert similarity._computed_once(compute, images, batch=8).array.shape[1:] == (16, 16, 16)
