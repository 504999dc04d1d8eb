"""The contract that every layer of the package must keep, and inputs for layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normally distributed numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run_layer_contract(
    layer_class: type[keras.layers.Layer],
    settings: Mapping[str, Any],
    inputs: Sequence[np.ndarray],
    *,
    output_shapes: Sequence[tuple[int, ...]],
    weights: int,
    directory: Path,
) -> None:
    """Check a layer's config, shapes, gradients and saving.

    Args:
        layer_class: the layer, registered with Keras.
        settings: arguments of its constructor.
        inputs: the arrays that it is called on; one is passed as it is, several as a list.
        output_shapes: the shape of each output for these inputs.
        weights: how many trainable weights it has; one step of gradient descent moves each.
        directory: where the saved model may go.
    """
    # === Config ===
    layer = layer_class(**settings, name="subject")
    config = json.loads(json.dumps(layer.get_config()))
    assert {name: config[name] for name in settings} == dict(settings)
    assert all(getattr(layer, name) == value for name, value in settings.items())
    assert layer_class.from_config(config).get_config() == layer.get_config()

    # === Shapes ===
    symbols = [keras.Input(array.shape[1:], dtype=array.dtype) for array in inputs]
    model = keras.Model(symbols, layer(symbols if len(symbols) > 1 else symbols[0]))
    outputs = tf.nest.flatten(model(list(inputs)))
    found = [tuple(output.shape) for output in outputs]
    assert found == list(output_shapes), f"{found} are not the shapes {output_shapes}"
    shapes = [array.shape for array in inputs]
    told = layer.compute_output_shape(shapes if len(shapes) > 1 else shapes[0])
    told = [tuple(shape) for shape in (told if len(outputs) > 1 else [told])]
    assert told == found, f"compute_output_shape tells {told} instead of {found}"

    # === Gradient step ===
    assert len(layer.trainable_weights) == weights
    if weights:
        rng = np.random.default_rng(0)
        floats = [output.dtype.is_floating for output in outputs]
        # Random coefficients: a plain sum of a softmax would be the same whatever the weights are.
        coefficients = [rng.normal(size=shape) for shape in output_shapes]
        before = [weight.numpy() for weight in layer.trainable_weights]
        with tf.GradientTape() as tape:
            results = tf.nest.flatten(model(list(inputs)))
            terms = zip(results, coefficients, floats, strict=True)
            loss = sum(tf.reduce_sum(result * c) for result, c, is_float in terms if is_float)
        gradients = tape.gradient(loss, layer.trainable_weights)
        steps = list(zip(gradients, layer.trainable_weights, strict=True))
        keras.optimizers.SGD(0.1).apply_gradients(steps)
        for (_, weight), old in zip(steps, before, strict=True):
            assert np.isfinite(weight).all(), f"{weight.name} is not finite after a step"
            assert (weight.numpy() != old).any(), f"{weight.name} did not move"

    # === Save and load ===
    expected = [output.numpy() for output in tf.nest.flatten(model(list(inputs)))]
    model.save(directory / "model.keras")
    loaded = keras.models.load_model(directory / "model.keras", safe_mode=True)
    for old, new in zip(expected, tf.nest.flatten(loaded(list(inputs))), strict=True):
        np.testing.assert_array_equal(new, old)
