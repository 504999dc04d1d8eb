"""The losses against hand-worked numbers and plain loops."""

from __future__ import annotations

import itertools
import math

import naive_losses
import numpy as np
import pytest
import tensorflow as tf
from naive_losses import batch_all_loss

from asen_tf.losses import (
    alignment_loss,
    cosine_similarity,
    e_info_nce,
    triplet_ranking_loss,
)


def _cosine(left: np.ndarray, right: np.ndarray) -> float:
    lengths = math.sqrt(sum(x * x for x in left)) * math.sqrt(sum(x * x for x in right))
    return sum(x * y for x, y in zip(left, right, strict=True)) / lengths if lengths else 0.0


def _at_cosine(cosine: float, length: float = 1.0) -> list[float]:
    """Return the plane vector of a length whose cosine with (1, 0) is the one given."""
    return [length * cosine, length * math.sqrt(1.0 - cosine**2)]


def _batch_all_loop(embeddings: np.ndarray, values: np.ndarray, margin: float) -> float:
    terms = []
    for group, labels in zip(embeddings.astype(np.float64), values, strict=True):
        for i, j, k in itertools.product(range(len(labels)), repeat=3):
            if i != j and labels[i] == labels[j] and labels[i] != labels[k]:
                cost = margin - _cosine(group[i], group[j]) + _cosine(group[i], group[k])
                if cost > 0.0:
                    terms.append(cost)
    return sum(terms) / len(terms) if terms else 0.0


# === Cosine ===


def test_cosine_of_hand_worked_vectors_ignores_their_lengths() -> None:
    left = tf.constant([[3.0, 4.0], [0.5, 0.0], [2.0, 2.0], [1.0, 0.0]])
    right = tf.constant([[4.0, 3.0], [70.0, 0.0], [-1.0, -1.0], [0.0, 9.0]])
    np.testing.assert_allclose(cosine_similarity(left, right), [0.96, 1, -1, 0], atol=1e-6)


def test_cosine_broadcasts_over_leading_axes() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(4, 1, 3)), rng.normal(size=(5, 3))
    expected = [[_cosine(row[0], other) for other in right] for row in left]
    np.testing.assert_allclose(cosine_similarity(left, right), expected, atol=1e-6)


def test_cosine_of_half_floats_is_float32() -> None:
    vectors = tf.constant([[300.0, 400.0]], tf.float16)  # squares overflow half floats
    result = cosine_similarity(vectors, vectors)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, [1.0], atol=1e-6)


def test_zero_vector_has_cosine_0_and_a_finite_gradient() -> None:
    vectors = tf.Variable([[0.0, 0.0]])
    with tf.GradientTape() as tape:
        cosine = cosine_similarity(vectors, tf.constant([[1.0, 2.0]]))
    assert cosine.numpy() == 0.0
    assert np.isfinite(tape.gradient(cosine, vectors)).all()


# === Triplet ranking ===


@pytest.mark.parametrize(
    ("positive", "negative", "cost"),
    [(0.9, 0.8, 0.1), (0.9, 0.5, 0.0), (0.5, 0.9, 0.6), (-1.0, 1.0, 2.2), (0.3, 0.3, 0.2)],
)
def test_one_triplet_costs_the_hand_worked_amount(
    positive: float, negative: float, cost: float
) -> None:
    triplet = [[2.0, 0.0], _at_cosine(positive, 3.0), _at_cosine(negative, 0.5)]
    loss = triplet_ranking_loss(tf.constant([triplet]), margin=0.2)
    assert loss.shape == () and loss.dtype == tf.float32
    assert float(loss) == pytest.approx(cost, abs=1e-6)


def test_triplets_are_averaged_with_those_that_cost_nothing() -> None:
    costly = [[1.0, 0.0], _at_cosine(0.9), _at_cosine(0.8)]
    free = [[1.0, 0.0], _at_cosine(0.9), _at_cosine(0.1)]
    loss = triplet_ranking_loss(tf.constant([costly, free, free, free]), margin=0.2)
    assert float(loss) == pytest.approx(0.1 / 4, abs=1e-6)


def test_triplet_of_zero_vectors_costs_the_margin() -> None:
    embeddings = tf.Variable(tf.zeros((2, 3, 4)))
    with tf.GradientTape() as tape:
        loss = triplet_ranking_loss(embeddings, margin=0.2)
    assert float(loss) == pytest.approx(0.2)
    assert np.isfinite(tape.gradient(loss, embeddings)).all()


# === Batch all ===


@pytest.mark.parametrize("margin", [0.0, 0.2, 2.0])
def test_batch_all_equals_the_triple_loop(margin: float) -> None:
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(3, 7, 4)).astype(np.float32)
    values = rng.integers(3, size=(3, 7))
    expected = _batch_all_loop(embeddings, values, margin)
    assert expected > 0.0
    result = float(batch_all_loss(tf.constant(embeddings), tf.constant(values), margin))
    assert result == pytest.approx(expected, rel=1e-5)


def test_batch_all_averages_over_the_triplets_that_break_the_margin() -> None:
    # Anchors 0 and 1 coincide at (1, 0); image 2 has cosine 0.9 to them and image 3 cosine -0.5.
    # Triplets of image 2 cost 0.2 - 1 + 0.9 = 0.1, twice; those of image 3 cost nothing.
    group = [[1.0, 0.0], [1.0, 0.0], _at_cosine(0.9), _at_cosine(-0.5)]
    loss = batch_all_loss(tf.constant([group]), tf.constant([[4, 4, 7, 8]]), 0.2)
    assert float(loss) == pytest.approx(0.1, abs=1e-6)


def test_batch_all_does_not_compare_images_of_different_groups() -> None:
    # The same value in both groups and another value nowhere: no negative within a group.
    embeddings = tf.constant(np.random.default_rng(2).normal(size=(2, 3, 4)), tf.float32)
    assert float(batch_all_loss(embeddings, tf.constant([[0, 0, 0], [1, 1, 1]]), 2.0)) == 0.0


@pytest.mark.parametrize("values", [[0, 0, 0], [0, 1, 2]], ids=["no negative", "no positive"])
def test_no_valid_triplet_gives_loss_0_and_gradient_0(values: list[int]) -> None:
    embeddings = tf.Variable(np.random.default_rng(3).normal(size=(1, 3, 4)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = batch_all_loss(embeddings, tf.constant([values]), 2.0)
    assert float(loss) == 0.0
    np.testing.assert_array_equal(tape.gradient(loss, embeddings), np.zeros((1, 3, 4)))


def test_batch_all_with_every_triplet_ranked_correctly_is_0() -> None:
    group = [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]
    assert float(batch_all_loss(tf.constant([group]), tf.constant([[0, 0, 1, 1]]), 0.2)) == 0.0


def test_batch_all_of_zero_vectors_costs_the_margin() -> None:
    embeddings = tf.Variable(tf.zeros((1, 4, 3)))
    with tf.GradientTape() as tape:
        loss = batch_all_loss(embeddings, tf.constant([[0, 0, 1, 1]]), 0.2)
    assert float(loss) == pytest.approx(0.2)
    assert np.isfinite(tape.gradient(loss, embeddings)).all()


# === Alignment ===


def test_alignment_is_the_sum_of_the_means_of_anchor_positive_and_negative() -> None:
    rng = np.random.default_rng(4)
    left, right = rng.normal(size=(2, 5, 3, 4))
    means = [
        np.mean([1.0 - _cosine(left[t, role], right[t, role]) for t in range(5)])
        for role in range(3)
    ]
    loss = alignment_loss(tf.constant(left), tf.constant(right))
    assert float(loss) == pytest.approx(sum(means), rel=1e-5)


@pytest.mark.parametrize(("factor", "expected"), [(5.0, 0.0), (-0.1, 6.0), (0.0, 3.0)])
def test_alignment_of_equal_opposite_and_zero_vectors(factor: float, expected: float) -> None:
    vectors = tf.constant(np.random.default_rng(5).normal(size=(2, 4, 3)))
    assert float(alignment_loss(vectors, factor * vectors)) == pytest.approx(expected, abs=1e-5)


def test_alignment_gradient_flows_into_both_branches() -> None:
    both = [tf.Variable([[[1.0, 0.0]]]), tf.Variable([[[0.6, 0.8]]])]
    with tf.GradientTape() as tape:
        loss = alignment_loss(*both)
    # Of unit vectors, d cos(g, l) / dg = l - cos g: (0.6, 0.8) - 0.6 (1, 0) = (0, 0.8).
    left, right = tape.gradient(loss, both)
    np.testing.assert_allclose(left, [[[0.0, -2.4]]], atol=1e-5)
    np.testing.assert_allclose(right, [[[-3.0 + 1.08, 1.44]]], atol=1e-5)


# === E-InfoNCE ===

# Three groups of four images: the first two of one attribute, so that images of another group are
# positives, too; a value has one number in several attributes and is not the same there.
ATTRIBUTES = np.repeat([[2], [2], [0]], 4, axis=1)
VALUES = np.array([[1, 1, 3, 4], [1, 3, 3, 5], [1, 1, 1, 0]])


def three(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(3, 4, 5)).astype(np.float32) for _ in range(3)]


def contrasted(global_, local, background) -> float:
    return float(e_info_nce(global_, local, background, tf.constant(ATTRIBUTES), VALUES))


def test_e_info_nce_equals_the_loop_over_all_images_of_a_step() -> None:
    embeddings = three()
    flat = [vectors.reshape(12, 5).astype(np.float64) for vectors in embeddings]
    expected = naive_losses.e_info_nce(*flat, ATTRIBUTES.ravel(), VALUES.ravel())
    assert contrasted(*embeddings) == pytest.approx(expected, rel=1e-5)
    # Lengths do not matter, and groups only gather the images.
    assert contrasted(*[7.0 * vectors for vectors in embeddings]) == pytest.approx(expected, 1e-5)


def test_e_info_nce_has_one_direction() -> None:
    global_, local, background = three()
    assert contrasted(global_, local, background) != pytest.approx(
        contrasted(local, global_, background), rel=1e-3
    )


def test_e_info_nce_of_one_image_is_log_13() -> None:
    one = tf.constant([[[0.6, 0.8]]])
    loss = e_info_nce(one, one, one, tf.constant([[0]]), tf.constant([[0]]))
    assert loss.dtype == tf.float32 and float(loss) == pytest.approx(math.log(13.0), rel=1e-6)


def test_e_info_nce_moves_all_three_and_survives_zero_and_opposed_vectors() -> None:
    variables = [tf.Variable(vectors) for vectors in three()]
    variables[0][0, 0].assign(tf.zeros(5))
    variables[1][0, 1].assign(-variables[0][0, 1])  # exp(-1 / 0.07) is small and not 0
    with tf.GradientTape() as tape:
        loss = e_info_nce(*variables, tf.constant(ATTRIBUTES), tf.constant(VALUES))
    for gradient in tape.gradient(loss, variables):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-3
