"""Spatial attention against the formulas of the paper, one position at a time."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_contract import normal

from asen_tf.layers import AttributeSpatialAttention


def built(units: int, channels: int, attribute_dim: int) -> AttributeSpatialAttention:
    """Return a layer whose weights, biases too, are random and not small."""
    layer = AttributeSpatialAttention(units)
    layer.build([(None, None, None, channels), (None, None, attribute_dim)])
    layer.set_weights([normal(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
    return layer


def dense_tanh(dense: keras.layers.Dense, vector: np.ndarray) -> list[float]:
    kernel, bias = dense.kernel.numpy(), dense.bias.numpy()
    return [
        math.tanh(sum(vector[i] * kernel[i, j] for i in range(len(vector))) + bias[j])
        for j in range(len(bias))
    ]


def naive(
    layer: AttributeSpatialAttention, x: np.ndarray, e: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """k = tanh(conv(x)), q = tanh(W e + b), s = <q, k> / sqrt(d), a = softmax s, v = sum a x."""
    x, e = x.astype(np.float64), e.astype(np.float64)
    (batch, height, width, channels), count = x.shape, e.shape[1]
    maps, attended = np.zeros((batch, count, height, width)), np.zeros((batch, count, channels))
    positions = [(i, j) for i in range(height) for j in range(width)]
    for b in range(batch):
        for a in range(count):
            query = dense_tanh(layer.query, e[b, a])
            for i, j in positions:
                key = dense_tanh(layer.key, x[b, i, j])
                score = sum(q * k for q, k in zip(query, key, strict=True))
                maps[b, a, i, j] = math.exp(score / math.sqrt(layer.units))
            maps[b, a] /= sum(maps[b, a, i, j] for i, j in positions)
            for i, j in positions:
                attended[b, a] += maps[b, a, i, j] * x[b, i, j]
    return attended, maps


@pytest.mark.parametrize(
    ("shape", "count"),
    [((2, 3, 4, 6), 3), ((1, 5, 2, 3), 1), ((1, 1, 7, 4), 2), ((3, 1, 1, 2), 2)],
    ids=["wide", "one attribute", "one row", "one position"],
)
def test_the_layer_is_the_formula(shape: tuple[int, ...], count: int) -> None:
    layer = built(5, shape[-1], 4)
    features, attributes = normal(*shape, seed=7), normal(shape[0], count, 4, seed=8)
    attended, maps = layer([features, attributes])
    expected_attended, expected_maps = naive(layer, features, attributes)
    np.testing.assert_allclose(maps, expected_maps, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(attended, expected_attended, rtol=1e-4, atol=1e-5)


def test_two_positions_worked_by_hand() -> None:
    layer = AttributeSpatialAttention(1)
    layer.build([(1, 1, 2, 1), (1, 1, 1)])
    layer.set_weights([np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1)])
    # k = tanh(atanh 0.5), tanh(atanh -0.5) and q = tanh(atanh 0.8): scores 0.4 and -0.4,
    # so the maps are 1 / (1 + exp(-0.8)) = 0.68997 and the rest.
    features = np.arctanh([[[[0.5], [-0.5]]]]).astype(np.float32)
    attended, maps = layer([features, np.arctanh([[[0.8]]]).astype(np.float32)])
    np.testing.assert_allclose(maps, [[[[0.68997, 0.31003]]]], atol=1e-5)
    np.testing.assert_allclose(attended, [[[0.37995 * math.atanh(0.5)]]], atol=1e-5)


def test_the_maps_are_shares_of_the_picture_and_attributes_look_elsewhere() -> None:
    layer = built(8, 6, 4)
    _, maps = layer([normal(2, 9, 5, 6), 3.0 * normal(2, 3, 4)])
    assert maps.shape == (2, 3, 9, 5) and maps.dtype == tf.float32
    assert (maps.numpy() > 0.0).all()
    np.testing.assert_allclose(maps.numpy().sum(axis=(2, 3)), 1.0, atol=1e-5)
    assert np.abs(maps[:, 0] - maps[:, 1]).max() > 0.01


def test_one_layer_takes_pictures_of_any_size_also_in_a_graph() -> None:
    layer = built(5, 6, 4)
    graph = tf.function(layer.__call__, reduce_retracing=True)
    for height, width in ((2, 3), (7, 7), (14, 1)):
        inputs = [normal(2, height, width, 6), normal(2, 3, 4)]
        attended, maps = graph(inputs)
        assert attended.shape == (2, 3, 6) and maps.shape == (2, 3, height, width)
        np.testing.assert_allclose(maps, layer(inputs)[1], atol=1e-6)


def test_attributes_and_images_do_not_see_each_other() -> None:
    layer = built(5, 6, 4)
    features, attributes = normal(3, 4, 4, 6), normal(3, 2, 4)
    attended, maps = layer([features, attributes])
    for image in range(3):
        for a in range(2):
            alone = layer([features[image, None], attributes[image, None, a : a + 1]])
            np.testing.assert_allclose(alone[0][0, 0], attended[image, a], atol=1e-5)
            np.testing.assert_allclose(alone[1][0, 0], maps[image, a], atol=1e-6)


def test_moving_the_pattern_moves_the_map_and_not_the_vector() -> None:
    layer = built(5, 6, 4)
    features, attributes = normal(1, 4, 5, 6), normal(1, 2, 4)
    attended, maps = layer([features, attributes])
    moved_attended, moved_maps = layer([np.roll(features, (1, 2), (1, 2)), attributes])
    np.testing.assert_allclose(moved_maps, np.roll(maps, (1, 2), (2, 3)), atol=1e-6)
    np.testing.assert_allclose(moved_attended, attended, atol=1e-5)


def test_zero_features_are_looked_at_evenly_and_give_zero() -> None:
    layer = built(5, 6, 4)
    features = tf.Variable(tf.zeros((2, 3, 4, 6)))
    with tf.GradientTape() as tape:
        attended, maps = layer([features, normal(2, 3, 4)])
        loss = tf.reduce_sum(attended)
    np.testing.assert_allclose(maps, np.full((2, 3, 3, 4), 1 / 12), atol=1e-6)
    np.testing.assert_array_equal(attended, np.zeros((2, 3, 6)))
    # v is the mean here, and the scores' part of the gradient is multiplied by x = 0.
    np.testing.assert_allclose(tape.gradient(loss, features), 3 / 12 * np.ones((2, 3, 4, 6)), 1e-5)


def test_the_gradient_is_the_slope_of_the_formula() -> None:
    layer = built(3, 2, 2)
    features, attributes = normal(1, 2, 2, 2), tf.Variable(normal(1, 1, 2))
    weight = np.array([1.0, -2.0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([features, attributes])[0] * weight)
    found = tape.gradient(loss, attributes)
    step = 1e-4
    for i in range(2):
        shift = np.eye(2)[i] * step
        up, down = (naive(layer, features, attributes.numpy() + s)[0] for s in (shift, -shift))
        slope = ((up - down) * weight).sum() / (2 * step)
        assert float(found[0, 0, i]) == pytest.approx(slope, rel=1e-2, abs=1e-4)


def test_half_precision_keeps_the_map_in_float32(half_precision: None) -> None:
    layer = built(8, 6, 4)
    inputs = [normal(1, 40, 40, 6), normal(1, 2, 4)]  # 1600 positions
    attended, maps = layer(inputs)
    assert attended.dtype == tf.float16 and maps.dtype == tf.float32
    np.testing.assert_allclose(maps.numpy().sum(axis=(2, 3)), 1.0, atol=1e-4)
    expected_attended, expected_maps = naive(layer, *inputs)
    np.testing.assert_allclose(maps, expected_maps, rtol=0.02)
    np.testing.assert_allclose(attended, expected_attended, atol=0.01)


@pytest.mark.parametrize("units", [0, -3])
def test_a_space_without_dimensions_is_refused(units: int) -> None:
    with pytest.raises(ValueError, match=f"units and heads must be .*each; got {units}"):
        AttributeSpatialAttention(units)
