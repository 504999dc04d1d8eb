"""What the heads start from: PyTorch's defaults, as the authors' release has them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from asen_tf.layers import start_as_released
from asen_tf.models import build_model
from asen_tf.presets import smoke


@pytest.mark.parametrize("inputs", [16, 400])
def test_weights_and_biases_fill_the_interval_evenly(inputs: int) -> None:
    layer = start_as_released(keras.layers.Dense(20_000 // inputs * 4), inputs)
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
    first, second = (start_as_released(keras.layers.Dense(4), 4) for _ in range(2))
    for layer in (first, second):
        layer.build((None, 4))
    assert not np.allclose(first.kernel[0], first.bias)
    assert not np.allclose(first.kernel, second.kernel)


def test_the_same_seed_gives_the_same_start() -> None:
    def start() -> np.ndarray:
        keras.utils.set_random_seed(3)
        layer = start_as_released(keras.layers.Dense(5), 7)
        layer.build((None, 7))
        return np.concatenate([layer.kernel.numpy().ravel(), layer.bias.numpy()])

    np.testing.assert_array_equal(start(), start())


@pytest.mark.parametrize("method", ["rpf", "asen_pp", "asen", "asen_v2", "csn", "triplet"])
def test_every_head_of_every_method_starts_so(method: str) -> None:
    config = smoke().override(method=method, starting_weights="random", attribute_dim=400)
    model = build_model(config, ("a", "b"))
    seen = 0
    for variable in model.trainable_variables:
        layer = variable.name.split("/")[-2]
        if "_patch" in variable.name or "cross_attention/attention" in variable.name:
            continue  # multi-head attention starts as Keras has it
        if layer in ("key", "query", "score", "attribute", "squeeze", "gate", "global_embedding"):
            seen += 1
            if variable.name.endswith("kernel:0"):
                limit = variable.shape[0] ** -0.5
            found = np.abs(variable.numpy())
            assert 0.5 * limit < found.max() <= limit or found.size < 4, variable.name
        if layer == "attribute_table":
            assert 0.9 < variable.numpy().std() < 1.1
    assert seen >= 2
