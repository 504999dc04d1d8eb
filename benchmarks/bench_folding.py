"""Folding batch norm into the convolutions before it, for inference: is anything gained?"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_tf.backbones import build_backbone

SIZES = {"resnet50": 224, "resnet34": 112}  # the paper's branches


def folded(model: keras.Model) -> keras.Model:
    """Return a copy whose convolutions do what their batch norm did: `w s`, and `b - m s`."""
    norms = {
        layer.name: norm
        for norm in model.layers
        if isinstance(norm, keras.layers.BatchNormalization)
        for layer in [norm.input._keras_history.layer]
        if isinstance(layer, keras.layers.Conv2D)
    }
    gone = {norm.name for norm in norms.values()}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in gone:
            return keras.layers.Activation("linear", name=layer.name)
        more = {"use_bias": True} if layer.name in norms else {}
        return layer.__class__.from_config({**layer.get_config(), **more})

    made = keras.models.clone_model(model, clone_function=copy)
    for layer in model.layers:
        if layer.name in norms:
            gamma, beta, mean, variance = norms[layer.name].get_weights()
            scale = gamma / np.sqrt(variance + norms[layer.name].epsilon)
            (kernel,) = layer.get_weights()
            made.get_layer(layer.name).set_weights([kernel * scale, beta - mean * scale])
        elif layer.name not in gone:
            made.get_layer(layer.name).set_weights(layer.get_weights())
    return made


@pytest.mark.parametrize("name", SIZES)
def test_folded_batch_norm(paired: Any, notes: Any, name: str) -> None:
    """The same features to 1e-5 of the largest, and hardly sooner."""
    model = build_backbone(name)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, part.shape) for part in layer.get_weights()])
    images = tf.constant(rng.normal(size=(16, SIZES[name], SIZES[name], 3)), tf.float32)
    changed = folded(model)
    plain, fold = (tf.function(lambda x, m=m: m(x, training=False)) for m in (model, changed))
    expected = plain(images).numpy()
    np.testing.assert_allclose(fold(images), expected, atol=1e-5 * np.abs(expected).max())
    ours, theirs = paired(lambda: fold(images).numpy(), lambda: plain(images).numpy(), rounds=7)
    notes.add(
        f"Folding batch norm into the convolutions of {name}, inference, against as it is",
        ours=f"{len(images) / ours:.1f} images/s",
        against=f"{len(images) / theirs:.1f} images/s",
        ratio=theirs / ours,
    )
