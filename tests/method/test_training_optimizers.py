"""Optimizers and objectives against Adam in plain NumPy, and numbers worked by hand."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from naive_losses import batch_all_loss

from asen_tf.losses import alignment_loss, triplet_ranking_loss
from asen_tf.presets import smoke
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer, step_decay
from asen_tf.training.trainer import SimilarityObjective


def layer(name: str, values: list[float]) -> keras.layers.Dense:
    """A layer whose one variable holds the values."""
    made = keras.layers.Dense(1, use_bias=False, name=name)
    with tf.name_scope(name):  # as Keras does when it builds a layer on its first call
        made.build((None, len(values)))
    made.set_weights([np.reshape(values, (-1, 1))])
    return made


def values(made: keras.layers.Layer) -> list[float]:
    return made.get_weights()[0][:, 0].tolist()


def adam(start: float, gradients: list[float], rates: list[float]) -> float:
    """Kingma and Ba's Adam for one number, with the epsilon where Keras puts it."""
    x, mean, square = start, 0.0, 0.0
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        scale = math.sqrt(1.0 - 0.999**step) / (1.0 - 0.9**step)
        x -= rate * scale * mean / (math.sqrt(square) + 1e-7)
    return x


def apply(optimizer, gradients: dict[keras.layers.Layer, list[float]]) -> None:
    pairs = [
        (tf.constant(np.reshape(gradient, (-1, 1)), tf.float32), made.trainable_variables[0])
        for made, gradient in gradients.items()
    ]
    optimizer.apply_gradients(pairs)


# === Learning rates ===


def test_each_group_moves_by_its_own_rate_in_the_first_step() -> None:
    # Adam's first step is rate * g / |g|: the gradient's size does not count, its sign does.
    fast, slow = layer("fast", [1.0, 2.0]), layer("slow", [1.0, 2.0])
    groups = [LearningRateGroup([fast], 0.5), LearningRateGroup([slow], 0.001)]
    optimizer, _ = grouped_optimizer(groups, factor=1.0, every_steps=1)
    apply(optimizer, {fast: [3.0, -0.2], slow: [3.0, -0.2]})
    np.testing.assert_allclose(values(fast), [0.5, 2.5], rtol=1e-5)
    np.testing.assert_allclose(values(slow), [0.999, 2.001], rtol=1e-6)


@pytest.mark.parametrize("number", [1, 2], ids=["one group", "two groups"])
def test_steps_equal_adam_with_stepwise_decay(number: int) -> None:
    layers = [layer("first", [0.3]), layer("second", [-0.7])][:number]
    rates = [0.1, 0.02][:number]
    groups = [LearningRateGroup([made], rate) for made, rate in zip(layers, rates, strict=True)]
    optimizer, _ = grouped_optimizer(groups, factor=0.5, every_steps=2)
    gradients = np.random.default_rng(0).normal(size=(7, 2))
    for row in gradients:
        apply(optimizer, {made: [row[i]] for i, made in enumerate(layers)})
    shares = [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
    for i, (made, rate) in enumerate(zip(layers, rates, strict=True)):
        start = [0.3, -0.7][i]
        expected = adam(start, gradients[:, i].tolist(), [rate * share for share in shares])
        undecayed = adam(start, gradients[:, i].tolist(), [rate] * 7)
        assert values(made)[0] == pytest.approx(expected, abs=1e-5)
        assert abs(expected - undecayed) > 1e-3


def test_layers_of_a_group_share_its_rate() -> None:
    parts = [layer("table", [0.0]), layer("branch", [0.0]), layer("other", [0.0])]
    groups = [LearningRateGroup(parts[:2], 0.25), LearningRateGroup(parts[2:], 0.5)]
    optimizer, _ = grouped_optimizer(groups, factor=1.0, every_steps=1)
    apply(optimizer, {part: [-1.0] for part in parts})
    np.testing.assert_allclose([values(part)[0] for part in parts], [0.25, 0.25, 0.5], rtol=1e-5)


def test_returned_adams_hold_the_moments_and_the_steps() -> None:
    first, second = layer("first", [0.0]), layer("second", [0.0])
    groups = [LearningRateGroup([first], 0.1), LearningRateGroup([second], 0.2)]
    optimizer, adams = grouped_optimizer(groups, factor=0.5, every_steps=2)
    for _ in range(3):
        apply(optimizer, {first: [1.0], second: [-2.0]})
    for made, gradient in zip(adams, (1.0, -2.0), strict=True):
        found = {variable.name: variable.numpy() for variable in made.variables}
        assert found["iteration:0"] == 3
        (mean,) = [value for name, value in found.items() if "/m/" in f"/{name}"]
        assert mean.item() == pytest.approx(gradient * (1.0 - 0.9**3), rel=1e-5)


def test_one_group_needs_no_wrapper() -> None:
    group = LearningRateGroup([layer("only", [0.0])], 0.1)
    optimizer, adams = grouped_optimizer([group], factor=1.0, every_steps=1)
    assert adams == [optimizer] and isinstance(optimizer, keras.optimizers.Adam)


def test_layer_that_is_not_trained_is_in_no_group() -> None:
    frozen, free = layer("frozen", [0.0]), layer("free", [0.0])
    frozen.trainable = False
    group = LearningRateGroup([frozen, free], 0.1)
    assert [variable.name for variable in group.variables] == ["free/kernel:0"]


def test_rate_falls_at_exactly_the_agreed_steps() -> None:
    schedule = step_decay(0.8, factor=0.5, every_steps=3)
    rates = [float(schedule(step)) for step in range(8)]
    np.testing.assert_allclose(rates, [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize("same", [True, False], ids=["one layer twice", "two layers of one name"])
def test_variable_names_that_occur_twice_are_refused(same: bool) -> None:
    first = layer("twin", [0.0])
    second = first if same else layer("twin", [0.0])
    groups = [LearningRateGroup([first], 0.1), LearningRateGroup([second], 0.2)]
    with pytest.raises(ValueError, match="got more than one of twin/kernel:0"):
        grouped_optimizer(groups, factor=1.0, every_steps=1)


# === Objectives ===


@pytest.mark.parametrize("sampling", ["batch_all", "random_triplets"])
def test_total_is_the_weighted_sum_of_the_three_losses(sampling: str) -> None:
    config = smoke().override(
        sampling=sampling, global_loss_weight=2.0, local_loss_weight=0.3, alignment_loss_weight=0.05
    )
    rng = np.random.default_rng(0)
    left, right = (tf.constant(rng.normal(size=(2, 3, 4)), tf.float32) for _ in range(2))
    value = tf.constant([[0, 0, 1], [5, 5, 2]])
    objective = SimilarityObjective(config, ("global", "local"))
    losses = objective({"value": value}, {"global": left, "local": right})
    if sampling == "batch_all":
        parts = [batch_all_loss(part, value, config.margin) for part in (left, right)]
    else:
        parts = [triplet_ranking_loss(part, config.margin) for part in (left, right)]
    parts = [float(part) for part in (*parts, alignment_loss(left, right))]
    assert tuple(losses) == objective.names == ("loss", "global", "local", "alignment")
    np.testing.assert_allclose([float(losses[name]) for name in objective.names[1:]], parts)
    total = 2.0 * parts[0] + 0.3 * parts[1] + 0.05 * parts[2]
    assert float(losses["loss"]) == pytest.approx(total, rel=1e-6) and min(parts) > 0.0


def test_global_branch_alone_has_neither_local_nor_alignment_loss() -> None:
    objective = SimilarityObjective(smoke(), ("global",))
    embeddings = tf.constant(np.random.default_rng(0).normal(size=(1, 3, 4)), tf.float32)
    losses = objective({"value": tf.constant([[0, 0, 1]])}, {"global": embeddings})
    assert tuple(losses) == objective.names == ("loss", "global")
    assert float(losses["loss"]) == float(losses["global"])
