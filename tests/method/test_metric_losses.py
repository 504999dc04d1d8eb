"""Losses of metric learning against loops over pairs and triplets in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from naive_losses import IMAGES, NAIVE, unit

from asen_tf.config import METRIC_LOSSES
from asen_tf.losses import metric_loss


def group(values: int = 3, dimensions: int = 5, groups: int = 2, seed: int = 0):
    """Return random embeddings `(G, M, D)` and values `(G, M)` in blocks."""
    rng = np.random.default_rng(seed)
    held = np.stack([np.repeat(rng.permutation(9)[:values], IMAGES) for _ in range(groups)])
    shape = (groups, values * IMAGES, dimensions)
    return rng.normal(size=shape).astype(np.float32) * 3.0, held.astype(np.int32)


def loss(name: str, embeddings, values, *, margin: float = 0.2, images: int = IMAGES) -> float:
    found = metric_loss(
        name,
        tf.constant(embeddings),
        tf.constant(values),
        margin=margin,
        images_per_value=images,
    )
    assert found.dtype == tf.float32 and found.shape == ()
    return float(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_each_loss_is_the_mean_over_groups_of_its_definition(name: str, seed: int) -> None:
    embeddings, values = group(seed=seed)
    expected = [NAIVE[name](e, v, 0.2) for e, v in zip(embeddings, values, strict=True)]
    assert loss(name, embeddings, values) == pytest.approx(np.mean(expected), rel=1e-4)


def test_contrastive_by_hand() -> None:
    # Two equal vectors of one value, and two at right angles to them of another: within values
    # distance 0, across sqrt(2) > 1: nothing to pay.
    embeddings = np.array([[[2.0, 0], [1, 0], [0, 3], [0, 1]]], np.float32)
    assert loss("contrastive", embeddings, [[0, 0, 1, 1]], images=2) == pytest.approx(0.0, abs=1e-6)
    # Values crossed: of six pairs two equal ones at sqrt(2) cost 2 each, two different ones at 0
    # cost 1 each, two different ones at sqrt(2) nothing.
    assert loss("contrastive", embeddings, [[0, 1, 0, 1]], images=2) == pytest.approx(1.0, abs=1e-5)


def test_hardest_triplets_by_hand() -> None:
    embeddings = np.array([[[2.0, 0], [1, 0], [0, 3], [0, 1]]], np.float32)
    assert loss("hard", embeddings, [[0, 0, 1, 1]]) == pytest.approx(0.0, abs=1e-6)
    # Crossed: the positive is at distance 1, the nearest negative at 0: 0.2 + 1 - 0.
    assert loss("hard", embeddings, [[0, 1, 0, 1]]) == pytest.approx(1.2, abs=1e-6)


# === Degenerate groups ===


@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_length_of_embeddings_does_not_matter(name: str) -> None:
    embeddings, values = group()
    assert loss(name, 7.0 * embeddings, values) == pytest.approx(loss(name, embeddings, values))


@pytest.mark.parametrize("case", ["one value", "all different", "equal images", "zeros"])
@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_loss_and_gradient_stay_finite(name: str, case: str) -> None:
    embeddings, values = group()
    if case == "one value":
        values[:] = 3
    elif case == "all different":
        values[:] = np.arange(values.shape[1])
    elif case == "equal images":
        embeddings[:, 1::2] = embeddings[:, ::2]  # as where a value has few images
    else:
        embeddings[:] = 0.0
    variable = tf.Variable(embeddings)
    with tf.GradientTape() as tape:
        found = metric_loss(
            name, variable, tf.constant(values), margin=0.2, images_per_value=IMAGES
        )
    assert np.isfinite(float(found))
    if case in ("one value", "all different"):
        assert float(found) == 0.0
    gradient = tape.gradient(found, variable)
    assert gradient is None or np.isfinite(gradient.numpy()).all()


@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_half_precision_is_computed_in_single(name: str) -> None:
    embeddings, values = group()
    half = tf.cast(embeddings, tf.float16)
    found = metric_loss(name, half, tf.constant(values), margin=0.2, images_per_value=IMAGES)
    assert found.dtype == tf.float32
    assert float(found) == pytest.approx(loss(name, embeddings, values), rel=2e-2)


@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_descent_separates_two_values(name: str) -> None:
    embeddings, values = group(values=2, groups=1, seed=4)
    variable, optimizer = tf.Variable(embeddings), tf.keras.optimizers.Adam(0.1)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            found = metric_loss(
                name, variable, tf.constant(values), margin=0.2, images_per_value=IMAGES
            )
        optimizer.apply_gradients([(tape.gradient(found, variable), variable)])
        return found

    first = float(step())
    for _ in range(150):
        last = float(step())
    cosines = unit(variable.numpy()[0]) @ unit(variable.numpy()[0]).T
    same = values[0][:, None] == values[0][None]
    assert last < first and cosines[same].mean() > cosines[~same].mean() + 0.2


def test_an_unknown_loss_is_refused() -> None:
    embeddings, values = group()
    with pytest.raises(ValueError, match="must be one of semi_hard, hard, .*; got 'soft'"):
        loss("soft", embeddings, values)
