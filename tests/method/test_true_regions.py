"""Squares at true parts: their sides tell no value, they hold the part, and they are repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from asen_tf.data.regions import true_squares
from asen_tf.evaluation.intervals import bootstrap_interval
from asen_tf.evaluation.metrics import average_precision, random_average_precision

IMAGES, SIZE = 600, 128


def split(seed: int) -> tuple[dict, np.ndarray]:
    """Boxes whose side and existence tell the value: value v has a side near (v + 1) / 10."""
    rng, boxes, rows = np.random.default_rng(seed), {}, []
    for image in range(IMAGES):
        value = int(rng.integers(5))
        rows.append((image, 0, value))
        if value > 0:  # value 0 is invisible
            wide, tall = rng.uniform(0.09, 0.11, 2) * (value + 1)
            left, top = rng.uniform(0.0, 1.0 - wide), rng.uniform(0.0, 1.0 - tall)
            boxes[image, 0] = (left, top, left + wide, top + tall)
    return boxes, np.array(rows)


TRAIN, TEST = split(0), split(1)


def squares(**changes) -> np.ndarray:
    chosen = {"reference": TRAIN[0], "shape": (IMAGES, 2), "size": SIZE, **changes}
    return true_squares(*TEST, **chosen)


def gain_over_chance(sides: np.ndarray) -> tuple[float, float]:
    """Rank images by how near their sides are; return the interval of AP minus its expectation."""
    values, gains = TEST[1][:, 2], []
    for query in range(100):
        rest = np.arange(100, IMAGES)
        relevant = values[rest] == values[query]
        order = np.argsort(np.abs(sides[rest] - sides[query]), kind="stable")
        chance = random_average_precision(int(relevant.sum()), len(rest))
        gains.append(average_precision(relevant[order]) - chance)
    return bootstrap_interval(gains, seed=0)


def test_the_side_of_a_square_tells_no_value() -> None:
    """The same boxes as they are, the whole frame without one, tell it: the oracle can see it."""
    boxes = TEST[0]
    given = [boxes.get((image, 0), (0.0, 0.0, 1.0, 1.0)) for image in range(IMAGES)]
    uncorrected = np.array([max(box[2] - box[0], box[3] - box[1]) for box in given])
    assert gain_over_chance(uncorrected)[0] > 0.5
    found = squares()[:, 0]
    low, high = gain_over_chance(found[:, 2] - found[:, 0])
    assert low < 0.0 < high < 0.02


def test_squares_lie_in_the_frame_and_at_the_part() -> None:
    found = squares()[:, 0]
    assert (found[:, :2] >= 0).all() and (found[:, 2:] <= SIZE).all()
    sides = found[:, 2:] - found[:, :2]
    assert (sides[:, 0] == sides[:, 1]).all() and (sides > 0).all()
    for (image, _), (left, top, right, bottom) in TEST[0].items():
        y, x = (top + bottom) / 2 * SIZE, (left + right) / 2 * SIZE
        assert found[image, 0] <= y <= found[image, 2] and found[image, 1] <= x <= found[image, 3]


def test_parts_without_a_box_are_spread_as_those_of_the_training_split() -> None:
    hidden = TEST[1][TEST[1][:, 2] == 0, 0]
    found = squares()[hidden, 0] / SIZE
    known = np.array(list(TRAIN[0].values()))
    for axis in (0, 1):
        centre = (found[:, axis] + found[:, axis + 2]) / 2
        expected = (known[:, 1 - axis] + known[:, 3 - axis]) / 2
        assert abs(np.mean(centre) - np.mean(expected)) < 0.05
        assert np.std(centre) == pytest.approx(np.std(expected), rel=0.2)
    assert len(np.unique(found, axis=0)) > 0.9 * len(hidden)


def test_squares_are_the_same_each_time_and_follow_the_training_split() -> None:
    np.testing.assert_array_equal(squares(), squares())
    small = {key: (0.5, 0.5, 0.52, 0.52) for key in TRAIN[0]}
    assert (np.ptp(squares(reference=small)[:, 0, ::2], axis=1) <= 3).all()


def test_an_attribute_without_any_box_takes_the_whole_frame() -> None:
    assert (squares()[:, 1] == (0, 0, SIZE, SIZE)).all()
    assert (squares(reference={})[:, 0] == (0, 0, SIZE, SIZE)).all()
