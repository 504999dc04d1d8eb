"""The squares at true parts of drawn garments do not give the value away; the boxes would."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asen_tf.data import read_split
from asen_tf.data.fitting import Box
from asen_tf.data.regions import true_squares
from benchmarks.drawn_squares import as_they_are, drawn, main, over_chance
from data_prep.garments.render import render
from data_prep.garments.values import ATTRIBUTES
from data_prep.synthetic import make_dataset

SIDE = 64  # px of the drawings: boxes are shares of it
NAMES = list(ATTRIBUTES)
TRAIN, TEST = 500, 400  # drawings
COPIES = 6  # squares of each drawing, with moves of their own
TOLERANCE = 0.012  # of MAP

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
    return draw(0, TRAIN), draw(1, TEST)


def repeated(split: Drawn, images: int) -> Drawn:
    """Return a split with `COPIES` of each image; those of one are `images` numbers apart."""
    boxes, rows = split
    starts = range(0, COPIES * images, images)
    copies = {(image + start, a): box for (image, a), box in boxes.items() for start in starts}
    return copies, np.concatenate([rows + (start, 0, 0) for start in starts])


def gains(
    train: np.ndarray, test: np.ndarray, seen: list[np.ndarray], leaf: int = 5 * COPIES
) -> dict[str, float]:
    """Rank by what a forest makes of numbers `(n, A, k)`; return each attribute's AP over chance.

    Each half of the test drawings, with all their copies, asks for the other half.
    """
    found = {}
    for attribute, name in enumerate(NAMES):
        known, asked = (rows[rows[:, 1] == attribute] for rows in (train, test))
        told, numbers = seen[0][known[:, 0], attribute], seen[1][asked[:, 0], attribute]
        half = asked[:, 0] % TEST < TEST // 2
        ways = [
            [(numbers[part], asked[part, 2]) for part in way]
            for way in ((half, ~half), (~half, half))
        ]
        found[name] = np.mean(
            np.concatenate([over_chance(told, known[:, 2], *way, leaf=leaf) for way in ways])
        )
    return found


@pytest.fixture(scope="module")
def squares(splits: tuple[Drawn, Drawn]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the rows of both splits, and side and offset of their squares."""
    reference, rows, seen = splits[0][0], [], []
    for split, images in zip(splits, (TRAIN, TEST), strict=True):
        boxes, labels = repeated(split, images)
        shape = (COPIES * images, len(NAMES))
        rows.append(labels)
        seen.append(drawn(boxes, labels, reference=reference, shape=shape, size=160))
    return *rows, seen


def test_the_side_of_a_drawn_square_tells_no_value(squares: tuple) -> None:
    train, test, seen = squares
    found = gains(train, test, [part[..., :1] for part in seen])
    assert max(map(abs, found.values())) < TOLERANCE


def test_with_its_offset_it_tells_skirts_and_trousers_and_hardly_others(squares: tuple) -> None:
    found = gains(*squares)
    assert 0.02 < found.pop("skirt_length") < 0.12
    assert TOLERANCE < found.pop("pant_length") < 0.04
    assert max(map(abs, found.values())) < TOLERANCE


def test_the_offset_is_that_of_the_part_in_its_square(splits: tuple[Drawn, Drawn]) -> None:
    """Undone, it leads from where the square lies to the part's own centre."""
    (boxes, rows), _ = splits
    given = {"reference": boxes, "shape": (TRAIN, len(NAMES)), "size": 160}
    placed, told = true_squares(boxes, rows, **given) / 160, drawn(boxes, rows, **given)
    shifted = 0
    for (image, attribute), (left, top, right, bottom) in boxes.items():
        side, down, across = told[image, attribute]
        y0, x0, y1, x1 = placed[image, attribute]
        assert side == pytest.approx(y1 - y0) and side == pytest.approx(x1 - x0)
        assert (y0 + y1) / 2 + down * side == pytest.approx((top + bottom) / 2, abs=1e-3)
        assert (x0 + x1) / 2 + across * side == pytest.approx((left + right) / 2, abs=1e-3)
        moved = max(abs(down), abs(across))  # by up to 15%, and rounding to pixels, elsewhere
        inside = min(y0, x0) > 0 and max(y1, x1) < 1
        assert not inside or moved * side <= 0.15 * side + 1 / 160
        shifted += moved > 0.2
    assert shifted > 10


def test_the_boxes_as_they_are_would_tell_it(splits: tuple[Drawn, Drawn]) -> None:
    """With the whole frame for parts that have none: the oracle can see it."""
    (known, train), (asked, test) = splits
    seen = [as_they_are(known, (TRAIN, len(NAMES))), as_they_are(asked, (TEST, len(NAMES)))]
    found = gains(train, test, [part[..., :1] for part in seen], leaf=5)
    assert min(found.values()) > 0.05 and np.mean(list(found.values())) > 0.15


def test_the_command_writes_a_row_for_every_attribute(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", images=160, test_images=80, size=48)
    assert main(["--data", str(tmp_path / "data"), "--out", str(tmp_path)]) == 0
    found = pd.read_csv(tmp_path / "drawn_squares.csv", comment="#")
    keys = itertools.product(("drawn", "box"), ("side", "side and offset"), NAMES)
    assert [*found[["square", "seen", "attribute"]].itertuples(index=False, name=None)] == [*keys]
    asked = read_split(tmp_path / "data", "Garments", "test").queries[:, 1].tolist()
    assert found["queries"].tolist() == 4 * [asked.count(place) for place in range(len(NAMES))]
    known = found[found["queries"] > 1]
    assert (known["ci_low"] <= known["over_chance"]).all() and len(known) > 4
    assert (known["over_chance"] <= known["ci_high"]).all()
