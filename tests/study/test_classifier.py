"""The classifier that gives a backbone its start."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_study.pretraining import AttributeClassifier
from asen_tf.backbones import build_backbone

COUNTS = (3, 2, 5)


def pictures(count: int = 2, side: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> AttributeClassifier:
    model = AttributeClassifier(COUNTS, backbone="compact", image_size=24)
    rng = np.random.default_rng(1)
    model.bias.assign(np.arange(10.0))
    model.place.assign(rng.normal(scale=0.1, size=model.place.shape))
    return model


def test_logits_are_each_attributes_of_what_it_pools(model: AttributeClassifier) -> None:
    logits = model({"view": pictures()}, training=False)["logits"].numpy()
    assert logits.shape == (2, 3, 5) and logits.dtype == np.float32
    pixels = (pictures() / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    features = np.reshape(model.backbone(pixels.astype(np.float32)), (2, 9, 256))
    kernel, bias = (weight.numpy() for weight in model.focus.weights)
    for attribute, (first, values) in enumerate(((0, 3), (3, 2), (5, 5))):
        content = features @ kernel[0, 0, :, attribute] + bias[attribute]
        place = 30.0 * model.place.numpy()[:, :, attribute].reshape(9)
        weights = np.exp(content + place)
        weights /= weights.sum(axis=1, keepdims=True)
        pooled = np.sum(weights[:, :, None] * features, axis=1)
        expected = pooled @ model.kernel.numpy()[first : first + values].T
        expected += np.arange(10.0)[first : first + values]
        np.testing.assert_allclose(logits[:, attribute, :values], expected, atol=1e-4)


def test_values_that_an_attribute_lacks_have_probability_0(model: AttributeClassifier) -> None:
    shares = tf.nn.softmax(model({"view": pictures()})["logits"]).numpy()
    for attribute, values in enumerate(COUNTS):
        assert (shares[:, attribute, values:] == 0.0).all()
        np.testing.assert_allclose(shares[:, attribute, :values].sum(axis=-1), 1.0, atol=1e-5)


def test_the_place_of_a_part_counts(model: AttributeClassifier) -> None:
    image = np.full((1, 24, 24, 3), 128, np.uint8)
    image[:, 4:8, 4:8] = 255
    corners = [model({"view": view})["logits"] for view in (image, image[:, ::-1, ::-1])]
    assert np.abs(corners[0] - corners[1]).max() > 1e-3


def test_everything_learns(model: AttributeClassifier) -> None:
    assert len(model.trainable_variables) == len(model.backbone.trainable_variables) + 5
    with tf.GradientTape() as tape:
        logits = model({"view": pictures(4)}, training=True)["logits"]
        loss = tf.reduce_sum(tf.nn.log_softmax(logits)[:, :, 0])
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert gradient is not None and np.abs(gradient).max() > 0


def test_its_backbone_fits_where_the_methods_take_theirs_from(
    model: AttributeClassifier, tmp_path: Path
) -> None:
    path = tmp_path / "backbone.weights.h5"
    model.backbone.save_weights(path)
    image = np.random.default_rng(1).normal(size=(1, 40, 32, 3)).astype(np.float32)
    loaded = build_backbone("compact", weights=path, prefix="global_")
    np.testing.assert_array_equal(loaded(image), model.backbone(image))


def test_a_saved_classifier_says_the_same(model: AttributeClassifier, tmp_path: Path) -> None:
    model.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras", safe_mode=True)
    assert loaded.get_config() == model.get_config()
    for name in ("value_counts", "backbone_name", "image_size"):
        assert getattr(loaded, name) == getattr(model, name)
    view = {"view": pictures()}
    np.testing.assert_array_equal(loaded(view)["logits"], model(view)["logits"])
