from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy

from asen_tf.evaluation.localisation import attention_entropy, region_side


def test_entropy_of_hand_worked_maps() -> None:
    flat = np.full((3, 4), 1 / 12)
    peak = np.zeros((3, 4))
    peak[1, 2] = 1.0
    pair = peak / 2.0
    pair[0, 0] = 0.5
    expected = [1.0, 0.0, math.log(2) / math.log(12)]
    found = attention_entropy(np.stack([flat, peak, pair]))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_entropy_of_random_maps_is_scipys_as_a_share() -> None:
    maps = np.random.default_rng(0).random((5, 6, 7))
    maps /= maps.sum(axis=(1, 2), keepdims=True)
    expected = [entropy(attention.ravel()) / math.log(42) for attention in maps]
    np.testing.assert_allclose(attention_entropy(maps), expected)


def test_a_map_of_one_cell_has_no_entropy() -> None:
    assert attention_entropy(np.ones((2, 1, 1))) == pytest.approx([0.0, 0.0])


def test_sides_are_shares_of_the_frame() -> None:
    boxes = np.array([[0, 0, 96, 96], [10, 20, 34, 44]], np.int32)
    np.testing.assert_allclose(region_side(boxes, 96), [1.0, 0.25])
