"""What the heads start from: PyTorch's defaults, as the authors' release has them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from asen_tf.layers import Linear


@pytest.mark.parametrize("inputs", [16, 400])
def test_weights_and_biases_fill_the_interval_evenly(inputs: int) -> None:
    layer = Linear(20_000 // inputs * 4)
    layer.build((None, inputs))
    limit = inputs**-0.5
    for values in (layer.kernel.numpy().ravel(), layer.bias.numpy()):
        assert np.abs(values).max() <= limit
    kernel = layer.kernel.numpy().ravel() / limit
    # A uniform variable on [-1, 1] has mean 0 and variance 1/3; 3.5 standard errors of 80,000.
    assert abs(kernel.mean()) < 3.5 * (1 / 3) ** 0.5 / len(kernel) ** 0.5
    assert abs(kernel.var() - 1 / 3) < 3.5 * (4 / 45) ** 0.5 / len(kernel) ** 0.5
    assert np.histogram(kernel, 10, (-1, 1))[0].min() > 0.08 * len(kernel)


def test_kernel_bias_and_a_second_layer_start_differently() -> None:
    first, second = Linear(4), Linear(4)
    for layer in (first, second):
        layer.build((None, 4))
    assert not np.allclose(first.kernel[0], first.bias)
    assert not np.allclose(first.kernel, second.kernel)


def test_the_same_seed_gives_the_same_start() -> None:
    def start() -> np.ndarray:
        keras.utils.set_random_seed(3)
        layer = Linear(5)
        layer.build((None, 7))
        return np.concatenate([layer.kernel.numpy().ravel(), layer.bias.numpy()])

    np.testing.assert_array_equal(start(), start())


def test_it_computes_what_a_dense_layer_computes() -> None:
    layer = Linear(3, activation="relu", use_bias=False)
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    found = layer(x).numpy()
    np.testing.assert_allclose(found, np.maximum(x @ layer.kernel.numpy(), 0), rtol=1e-5, atol=1e-6)
