"""The squares at true parts of drawn garments do not give the value away; the boxes would."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from asen_tf.data.fitting import Box
from asen_tf.data.regions import true_squares
from asen_tf.evaluation.metrics import average_precision, random_average_precision
from data_prep.garments.render import render
from data_prep.garments.values import ATTRIBUTES

SIDE = 64  # px of the drawings: boxes are shares of it
NAMES = list(ATTRIBUTES)

Drawn = tuple[dict[tuple[int, int], Box], np.ndarray]


def draw(seed: int, images: int) -> Drawn:
    """Return the boxes by image and attribute, and rows of image, attribute and value."""
    boxes, rows = {}, []
    for image in range(images):
        drawn = render(seed, image, SIDE)
        rows += [(image, NAMES.index(name), value) for name, value in drawn.labels.items()]
        for name, box in drawn.boxes.items():
            left, top, right, bottom = (edge / SIDE for edge in box)
            boxes[image, NAMES.index(name)] = (left, top, right, bottom)
    return boxes, np.array(rows)


@pytest.fixture(scope="module")
def splits() -> tuple[Drawn, Drawn]:
    return draw(0, 500), draw(1, 400)


def gains(train: np.ndarray, test: np.ndarray, sides: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Rank by what a forest makes of the sides alone; return each attribute's AP over chance."""
    found = []
    for attribute in range(len(NAMES)):
        known, asked = train[:, 1] == attribute, test[:, 1] == attribute
        forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=0)
        forest.fit(sides[0][known, None], train[known, 2])
        guess = forest.predict_proba(sides[1][asked, None])
        guess /= np.linalg.norm(guess, axis=1, keepdims=True)
        values, over_chance = test[asked, 2], []
        queries, rest = np.arange(len(values) // 4), np.arange(len(values) // 4, len(values))
        for query in queries:
            relevant = values[rest] == values[query]
            order = np.argsort(-(guess[rest] @ guess[query]), kind="stable")
            chance = random_average_precision(int(relevant.sum()), len(rest))
            over_chance.append(average_precision(relevant[order]) - chance)
        found.append(np.mean(over_chance))
    return np.array(found)


def test_the_side_of_a_drawn_square_tells_no_value(splits: tuple[Drawn, Drawn]) -> None:
    (known, train), (asked, test) = splits
    sides = []
    for boxes, rows, images in ((known, train, 500), (asked, test, 400)):
        squares = true_squares(boxes, rows, reference=known, shape=(images, 8), size=160)
        chosen = squares[rows[:, 0], rows[:, 1]]
        sides.append((chosen[:, 2] - chosen[:, 0]).astype(float))
    found = gains(train, test, (sides[0], sides[1]))
    assert np.abs(found).max() < 0.04 and abs(found.mean()) < 0.01


def test_the_boxes_as_they_are_would_tell_it(splits: tuple[Drawn, Drawn]) -> None:
    """With the whole frame for parts that have none: the oracle can see it."""
    sides = []
    for boxes, rows in splits:
        own = [boxes.get((image, attribute), (0, 0, 1, 1)) for image, attribute, _ in rows.tolist()]
        sides.append(np.array([max(box[2] - box[0], box[3] - box[1]) for box in own], float))
    found = gains(splits[0][1], splits[1][1], (sides[0], sides[1]))
    assert found.min() > 0.05 and found.mean() > 0.15
