"""The classifier that gives a backbone its start."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_study.starts import (
    AttributeClassifier,
    ClassificationObjective,
    augment,
    augmented,
)
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


# === What it minimises ===


def test_cross_entropy_and_accuracy_equal_a_loop_over_labelled_values() -> None:
    rng = np.random.default_rng(1)
    logits, value = rng.normal(size=(6, 4, 4)), rng.integers(-1, 4, size=(6, 4))
    value[:, 3] = -1  # an attribute that nothing in the batch is labelled with
    costs, right = [[] for _ in range(4)], []
    for image, attribute in zip(*np.nonzero(value >= 0), strict=True):
        scores, label = logits[image, attribute], value[image, attribute]
        log_sum = math.log(sum(math.exp(score) for score in scores))
        costs[attribute].append(log_sum - scores[label])
        right.append(max(range(4), key=lambda i: scores[i]) == label)
    assert len({len(cost) for cost in costs}) > 2 and 0 < sum(right) < len(right)
    expected = sum(sum(cost) / max(len(cost), 1) for cost in costs) / 4
    losses = ClassificationObjective()(
        {"value": tf.constant(value, tf.int32)}, {"logits": tf.constant(logits, tf.float32)}
    )
    assert float(losses["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses["accuracy"]) == pytest.approx(sum(right) / len(right))


def test_batch_without_any_label_costs_nothing() -> None:
    batch, outputs = {"value": tf.fill((2, 3), -1)}, {"logits": tf.ones((2, 3, 4))}
    losses = ClassificationObjective()(batch, outputs)
    assert (float(losses["loss"]), float(losses["accuracy"])) == (0.0, 0.0)


# === Random changes ===


def places_seen(count: int, side: int = 64) -> np.ndarray:
    """Return `(count, 2, 2)`: step and centre, along x and y, of what `augment` reads."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 0], image[..., 1] = np.meshgrid(3 * np.arange(side), 3 * np.arange(side))
    changed = augment(np.repeat(image[None], count, axis=0), tf.constant([4, 2])).numpy() / 3.0
    inner = slice(12, -12)  # never beyond the edge, where the ramp would end
    lines = changed[:, inner, inner, 0].mean(axis=1), changed[:, inner, inner, 1].mean(axis=2)
    place = np.arange(side)[inner] - (side - 1) / 2
    return np.stack([np.polyfit(place, line.T, 1).T for line in lines], axis=1)


def test_mirror_zoom_and_shift_stay_within_their_bounds_and_reach_them() -> None:
    steps, centres = np.moveaxis(places_seen(200), 2, 0)
    assert 60 < (steps[:, 0] < 0).sum() < 140  # about half of them are mirrored
    np.testing.assert_allclose(np.abs(steps[:, 0]), steps[:, 1], atol=0.02)  # no stretching
    assert np.exp(-0.05) - 0.01 < steps[:, 1].min() < 0.96  # no picture stands on its head
    assert 1.04 < steps[:, 1].max() < np.exp(0.05) + 0.01
    moved = (centres - 31.5) / 64
    assert np.abs(moved).max() < 0.062
    assert moved.min(axis=0).max() < -0.05 and moved.max(axis=0).min() > 0.05


def test_changes_are_a_pure_function_of_images_and_seed() -> None:
    images, seed = np.repeat(pictures(1, 32), 4, axis=0), tf.constant([1, 7])
    first = augment(images, seed).numpy()
    assert first.dtype == np.uint8 and first.shape == images.shape
    np.testing.assert_array_equal(augment(images, seed), first)
    for other in ([2, 7], [1, 8]):
        assert (augment(images, tf.constant(other)).numpy() != first).any(axis=(1, 2, 3)).all()
    assert all((first[0] != other).any() for other in first[1:])  # each in its own way


def test_no_value_is_made_up_at_the_edges() -> None:
    flat = np.full((8, 20, 20, 3), (200, 10, 77), np.uint8)
    np.testing.assert_array_equal(augment(flat, tf.constant([0, 0])), flat)
    assert augment(np.full((8, 1, 1, 3), 9, np.uint8), tf.constant([0, 0])).numpy().min() == 9


def test_changes_touch_the_views_alone_and_differ_by_seed_and_step() -> None:
    batch = {"view": pictures(6)[None], "value": np.arange(6)[None]}
    steps = tf.data.Dataset.from_tensors(batch).repeat(3)

    def seen(seed: int, first: int = 0) -> list[dict]:
        part = steps.skip(first)
        return list(augmented(part, seed=seed, first=first).as_numpy_iterator())

    whole, other = seen(5), seen(6)
    assert len(whole) == 3
    for number, found in enumerate(whole):
        np.testing.assert_array_equal(found["value"], batch["value"])
        for different in (batch, other[number], whole[number - 1]):
            assert (found["view"] != different["view"]).any()
    # As if never interrupted.
    np.testing.assert_array_equal(seen(5, first=2)[0]["view"], whole[2]["view"])
