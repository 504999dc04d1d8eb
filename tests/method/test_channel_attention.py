"""Channel attention against the formulas of the paper, one channel at a time."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_contract import normal

from asen_tf.layers import AttributeChannelAttention


def built(
    units: int, reduction: int, channels: int, attribute_dim: int
) -> AttributeChannelAttention:
    """Return a layer whose weights, biases too, are random and not small."""
    layer = AttributeChannelAttention(units, reduction)
    layer.build([(None, None, channels), (None, None, attribute_dim)])
    layer.set_weights([normal(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
    return layer


def dense(layer: keras.layers.Dense, vector: list[float]) -> list[float]:
    kernel, bias = layer.kernel.numpy().astype(np.float64), layer.bias.numpy()
    assert kernel.shape == (len(vector), len(bias))
    return [
        sum(vector[i] * kernel[i, j] for i in range(len(vector))) + bias[j]
        for j in range(len(bias))
    ]


def naive(layer: AttributeChannelAttention, v: np.ndarray, e: np.ndarray) -> np.ndarray:
    """r = relu(W' e + b'), m = sigmoid(W2 relu(W1 [v ; r] + b1) + b2), v' = v m."""
    gated = np.zeros(v.shape)
    for b in range(v.shape[0]):
        for a in range(v.shape[1]):
            r = [max(0.0, value) for value in dense(layer.attribute, list(e[b, a]))]
            hidden = [max(0.0, value) for value in dense(layer.squeeze, [*v[b, a], *r])]
            for c, value in enumerate(dense(layer.gate, hidden)):
                gated[b, a, c] = v[b, a, c] / (1.0 + math.exp(-value))
    return gated


@pytest.mark.parametrize(
    ("reduction", "channels", "count"), [(2, 6, 3), (3, 7, 1), (1, 2, 4), (5, 5, 2)]
)
def test_the_layer_is_the_formula(reduction: int, channels: int, count: int) -> None:
    layer = built(5, reduction, channels, 4)
    attended, attributes = normal(2, count, channels, seed=7), normal(2, count, 4, seed=8)
    expected = naive(layer, attended, attributes)
    np.testing.assert_allclose(layer([attended, attributes]), expected, rtol=1e-4, atol=1e-6)


def test_one_channel_worked_by_hand() -> None:
    layer = AttributeChannelAttention(1, 1)
    layer.build([(1, 1, 1), (1, 1, 1)])
    # r = relu(3 * 2 - 1) = 5; hidden = relu(4 * 1 + 5 * 2 - 12) = 2; gate = sigmoid(2 * 0.5 - 1).
    weights = [[[3.0]], [-1.0], [[1.0], [2.0]], [-12.0], [[0.5]], [-1.0]]
    layer.set_weights([np.array(weight) for weight in weights])
    gated = layer([np.full((1, 1, 1), 4.0), np.full((1, 1, 1), 2.0)])
    np.testing.assert_allclose(gated, [[[2.0]]], atol=1e-6)


def test_gates_lie_between_closed_and_open_and_keep_the_sign() -> None:
    attended = normal(3, 4, 8)
    gates = built(5, 2, 8, 4)([attended, normal(3, 4, 4)]).numpy() / attended
    assert (gates >= 0.0).all() and (gates <= 1.0 + 1e-6).all()
    assert gates.min() < 0.1 and gates.max() > 0.9  # random weights open some and close others


def test_the_attribute_decides_about_the_same_vector() -> None:
    layer = built(5, 2, 8, 4)
    attended = np.repeat(normal(1, 1, 8), 2, axis=1)
    attributes = normal(1, 2, 4)
    first, second = layer([attended, attributes])[0].numpy()
    assert np.abs(first - second).max() > 0.01
    swapped = layer([attended, attributes[:, ::-1]])[0].numpy()
    np.testing.assert_allclose(swapped, [second, first], atol=1e-6)


def test_attributes_and_images_do_not_see_each_other() -> None:
    layer = built(5, 2, 6, 4)
    attended, attributes = normal(3, 2, 6), normal(3, 2, 4)
    together = layer([attended, attributes]).numpy()
    for b, a in np.ndindex(3, 2):
        alone = layer([attended[b, None, a : a + 1], attributes[b, None, a : a + 1]])
        np.testing.assert_allclose(alone[0, 0], together[b, a], atol=1e-5)


def test_zero_features_stay_zero_and_their_gradient_is_the_gate() -> None:
    layer = built(5, 2, 6, 4)
    attended, attributes = tf.Variable(tf.zeros((2, 3, 6))), normal(2, 3, 4)
    with tf.GradientTape() as tape:
        gated = layer([attended, attributes])
        loss = tf.reduce_sum(gated)
    np.testing.assert_array_equal(gated, np.zeros((2, 3, 6)))
    # d(v m) / dv = m + v dm/dv, and v = 0: the gate at zero, which a tiny v shows, too.
    tiny = np.full((2, 3, 6), 1e-6, np.float32)
    gate = naive(layer, tiny, attributes) / 1e-6
    np.testing.assert_allclose(tape.gradient(loss, attended), gate, rtol=1e-3)


def test_the_gradient_with_respect_to_the_attribute_is_the_slope_of_the_formula() -> None:
    layer = built(5, 2, 4, 2)
    attended, attributes = normal(1, 1, 4, seed=3), tf.Variable(normal(1, 1, 2, seed=4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([attended, attributes]))
    found = tape.gradient(loss, attributes).numpy()
    assert np.abs(found).max() > 1e-3
    for i in range(2):
        shift = np.eye(2)[i] * 1e-4
        up, down = (naive(layer, attended, attributes.numpy() + s).sum() for s in (shift, -shift))
        assert found[0, 0, i] == pytest.approx((up - down) / 2e-4, rel=1e-2, abs=1e-4)


def test_half_precision_stays_close(half_precision: None) -> None:
    inputs = [normal(2, 3, 8), normal(2, 3, 4)]
    layer = built(5, 2, 8, 4)
    half = layer(inputs)
    assert half.dtype == tf.float16
    np.testing.assert_allclose(half, naive(layer, *inputs), atol=0.02)


@pytest.mark.parametrize(("units", "reduction"), [(0, 2), (-1, 2), (4, 0)])
def test_sizes_that_are_not_positive_are_refused(units: int, reduction: int) -> None:
    with pytest.raises(ValueError, match=f"attribute_units={units}, reduction={reduction}"):
        AttributeChannelAttention(units, reduction)


def test_a_reduction_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="reduction=7 leaves no unit of 6 channels; lower it"):
        AttributeChannelAttention(4, 7).build([(None, 2, 6), (None, 2, 3)])
