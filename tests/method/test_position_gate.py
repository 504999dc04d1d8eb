"""The position gate: a learned weight of every channel, smooth over the map."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from asen_tf.layers import PositionGate


def features(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def gate_layer(frequencies: int, channels: int) -> PositionGate:
    """Return a layer whose weights are all random, the bias too."""
    layer = PositionGate(frequencies)
    layer.build((None, None, None, channels))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


def naive(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray, frequencies: int) -> np.ndarray:
    """One position, channel and pair of frequencies at a time: k along y, m along x."""
    _, height, width, channels = inputs.shape
    outputs = np.zeros(inputs.shape)
    for row, column, channel in np.ndindex(height, width, channels):
        y, x = (row + 0.5) / height, (column + 0.5) / width
        total, weight = float(bias[channel]), 0
        for k in range(frequencies + 1):
            for m in range(frequencies + 1):
                if k == m == 0:
                    continue
                wave = math.cos(math.pi * k * y) * math.cos(math.pi * m * x)
                total += float(kernel[weight, channel]) * wave
                weight += 1
        gate = 1.0 / (1.0 + math.exp(-total))
        outputs[:, row, column, channel] = inputs[:, row, column, channel] * gate
    return outputs


# === What it computes ===


@pytest.mark.parametrize(
    ("frequencies", "height", "width"),
    [(1, 4, 4), (2, 3, 5), (4, 6, 2), (4, 1, 1), (3, 1, 7), (3, 7, 1)],
)
def test_every_map_size_equals_the_formula(frequencies: int, height: int, width: int) -> None:
    layer, inputs = gate_layer(frequencies, 3), features(2, height, width, 3)
    kernel, bias = layer.get_weights()
    assert kernel.shape == ((frequencies + 1) ** 2 - 1, 3) and bias.shape == (3,)
    expected = naive(inputs, kernel, bias, frequencies)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-5)


def test_a_single_wave_along_x_by_hand() -> None:
    layer = gate_layer(1, 1)
    # The weights of frequency 1 are for x, for y, and for both: x alone is on here.
    layer.set_weights([np.array([[2.0], [0.0], [0.0]]), np.zeros(1)])
    found = layer(np.ones((1, 3, 2, 1), np.float32))[0, :, :, 0].numpy()
    side = 1 / (1 + math.exp(-2 * math.cos(math.pi / 4)))
    np.testing.assert_allclose(found, [[side, 1 - side]] * 3, atol=1e-6)


def test_one_position_sees_the_even_waves_alone() -> None:
    # In the middle cos(pi k / 2) is 0 for odd k, and 1, -1, 1 for k = 0, 2, 4.
    layer = gate_layer(4, 1)
    kernel, bias = (array.astype(np.float64) for array in layer.get_weights())
    signs = [1, 0, -1, 0, 1]
    total = bias[0] + (np.outer(signs, signs).ravel()[1:] * kernel[:, 0]).sum()
    found = layer(np.full((1, 1, 1, 1), 3.0, np.float32))
    assert float(found[0, 0, 0, 0]) == pytest.approx(3.0 / (1.0 + math.exp(-total)), abs=1e-5)


def test_gates_lie_between_0_and_1_and_differ_by_channel() -> None:
    layer = PositionGate()
    gates = layer(np.ones((1, 9, 9, 8), np.float32)).numpy()[0]
    assert gates.min() > 0.0 and gates.max() < 1.0
    assert np.std(gates, axis=(0, 1)).min() > 0.01  # fresh weights favour places already
    assert np.std(gates, axis=2).min() > 0.01  # and every channel its own


def test_a_layer_without_waves_scales_by_its_bias_alone() -> None:
    layer, inputs = gate_layer(3, 2), features(2, 5, 4, 2)
    layer.set_weights([np.zeros((15, 2)), np.array([0.0, math.log(3.0)])])
    np.testing.assert_allclose(layer(inputs), inputs * [0.5, 0.75], atol=1e-6)


# === What it keeps and what it does not ===


def test_the_gate_is_one_function_of_the_place_at_all_map_sizes() -> None:
    # The middle of each third is the middle of every third ninth, too.
    layer = gate_layer(4, 2)
    coarse = layer(np.ones((1, 3, 3, 2), np.float32)).numpy()
    fine = layer(np.ones((1, 9, 9, 2), np.float32)).numpy()
    np.testing.assert_allclose(fine[:, 1::3, 1::3], coarse, atol=1e-5)


def test_a_moved_pattern_pools_to_something_else() -> None:
    layer = gate_layer(2, 4)
    pattern = np.zeros((1, 8, 8, 4), np.float32)
    pattern[:, 1:3, 1:3] = 1.0
    moved = np.roll(pattern, (4, 3), axis=(1, 2))
    before, after = (layer(array).numpy().mean(axis=(1, 2)) for array in (pattern, moved))
    assert pattern.mean() == moved.mean()
    assert np.abs(before - after).min() > 1e-4


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    layer, inputs = gate_layer(2, 3), features(3, 4, 5, 3)
    alone = np.concatenate([layer(image[None]) for image in inputs])
    np.testing.assert_allclose(layer(inputs), alone, atol=1e-6)


def test_a_batch_of_none_stays_one() -> None:
    assert gate_layer(2, 3)(np.zeros((0, 4, 5, 3), np.float32)).shape == (0, 4, 5, 3)


def test_a_size_that_is_known_when_it_runs_gives_the_same() -> None:
    layer, inputs = gate_layer(2, 3), features(1, 4, 5, 3)
    signature = tf.TensorSpec((None, None, None, 3), tf.float32)
    compiled = tf.function(layer, input_signature=(signature,))
    np.testing.assert_allclose(compiled(inputs), layer(inputs), atol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_near_float32_with_weights_in_float32(dtype: str) -> None:
    layer = PositionGate(2, dtype=dtype)
    layer.build((None, None, None, 3))
    inputs = features(2, 4, 5, 3)
    outputs = layer(inputs)
    assert outputs.dtype == dtype.removeprefix("mixed_")
    assert all(weight.dtype == "float32" for weight in layer.weights)
    expected = naive(inputs, *layer.get_weights(), 2)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.05)


# === Refused ===


@pytest.mark.parametrize("frequencies", [0, -1])
def test_no_frequency_is_refused(frequencies: int) -> None:
    with pytest.raises(ValueError, match=f"must be positive; got {frequencies}"):
        PositionGate(frequencies)
