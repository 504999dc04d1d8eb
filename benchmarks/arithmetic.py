"""What a network's arithmetic is, and what the machine's is at best."""

from __future__ import annotations

import time

import keras
import numpy as np
import tensorflow as tf

from asen_tf.models.asen_pp import AsenPlusPlus

_SIDE = 2048  # of the square matrices


def matrix_product_peak() -> float:
    """Return the machine's FLOP/s in a product of two square float32 matrices, best of three."""
    a, b = (np.random.default_rng(i).normal(size=(_SIDE, _SIDE)).astype(np.float32) for i in (0, 1))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - began)
    return 2.0 * _SIDE**3 / min(times)


def forward_flops(model: AsenPlusPlus, *, joint: bool) -> float:
    """Return the FLOP of one image's forward pass through the backbones of the branches.

    A multiplication and an addition count as two. The layers behind the feature maps are left out:
    they add less than a hundredth.
    """
    parts = [(model.global_branch, model.global_size)]
    parts += [(model.local_branch, model.get_config()["local_size"])] if joint else []
    return sum(backbone_flops(branch, side) for branch, side in parts)


def backbone_flops(branch: keras.Model, side: int) -> float:
    """Return the FLOP of a branch's backbone for one image of that side, as TensorFlow counts."""
    (backbone,) = [layer for layer in branch.layers if isinstance(layer, keras.Model)]
    image = tf.TensorSpec((1, side, side, 3))
    graph = tf.function(lambda x: backbone(x, training=False)).get_concrete_function(image).graph
    count = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    quiet = tf.compat.v1.profiler.ProfileOptionBuilder(count).with_empty_output().build()
    return float(tf.compat.v1.profiler.profile(graph, options=quiet).total_float_ops)
