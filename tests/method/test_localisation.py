"""Localisation against a plain loop over pixels, and the baseline worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from asen_study.evaluation import localisation_rows
from asen_tf.evaluation.localisation import (
    attention_peak,
    contains,
    intersection_over_union,
    pointing_and_overlap,
)

SIDE = 20  # px of the frame; true boxes below lie on its pixel grid, so that loops are exact
NAMES = ("neckline", "sleeve", "buttons")
COLUMNS = ["method", "seed", "attribute", "pointing", "iou", "centre_pointing", "centre_iou"]


def rows(pairs, attention, boxes, regions, *, map_size=SIDE):
    scores = pointing_and_overlap(
        pairs=np.array(pairs),
        attention=np.array(attention, np.float32),
        boxes=np.array(boxes),
        map_size=map_size,
        regions=regions,
        attributes=NAMES,
    )
    return localisation_rows(scores, method="asen_pp", seed=7)


def numbers(row) -> list[float]:
    return [row[name] for name in COLUMNS[3:]]


def covered(box, side: int) -> set[tuple[int, int]]:
    """Pixels whose centre is in a box of shares: left, top, right, bottom."""
    left, top, right, bottom = box
    return {
        (x, y)
        for x in range(side)
        for y in range(side)
        if left <= (x + 0.5) / side < right and top <= (y + 0.5) / side < bottom
    }


def overlap(first, second, side: int) -> float:
    one, other = covered(first, side), covered(second, side)
    return len(one & other) / len(one | other)


def random_box(rng: np.random.Generator, *, square: bool) -> tuple[int, int, int, int]:
    width, height = rng.integers(1, SIDE // 2, size=2) * 2  # even: half a side is whole pixels
    height = width if square else height
    left, top = rng.integers(0, SIDE - width + 1), rng.integers(0, SIDE - height + 1)
    return left, top, left + width, top + height


# === The whole table ===


def test_table_equals_a_loop_over_pixels() -> None:
    rng = np.random.default_rng(3)
    pairs = [(image, attribute) for image in range(12) for attribute in range(3)]
    attention = rng.uniform(size=(len(pairs), 5, 4))
    squares = [random_box(rng, square=True) for _ in pairs]
    truths = {pair: random_box(rng, square=False) for pair in pairs if rng.uniform() < 0.7}
    shares = {pair: tuple(edge / SIDE for edge in box) for pair, box in truths.items()}
    table = rows(pairs, attention, [(t, x, b, r) for x, t, r, b in squares], shares)

    measured: dict[str, list[list[float]]] = {"overall": []}
    for pair, heat, square in zip(pairs, attention, squares, strict=True):
        if pair not in truths:
            continue
        cells = [(heat[row][column], row, column) for row in range(5) for column in range(4)]
        _, row, column = max(cells, key=lambda cell: cell[0])
        left, top, right, bottom = truths[pair]
        x, y = (column + 0.5) * SIDE / 4, (row + 0.5) * SIDE / 5
        half = (square[2] - square[0]) // 2
        middle = SIDE // 2
        centred = (middle - half, middle - half, middle + half, middle + half)
        score = [
            float(left <= x < right and top <= y < bottom),
            overlap(shares[pair], tuple(edge / SIDE for edge in square), SIDE),
            float(left <= middle < right and top <= middle < bottom),
            overlap(shares[pair], tuple(edge / SIDE for edge in centred), SIDE),
        ]
        measured.setdefault(NAMES[pair[1]], []).append(score)
        measured["overall"].append(score)

    assert [row["attribute"] for row in table] == [*NAMES, "overall"]
    for row in table:
        assert list(row) == COLUMNS and (row["method"], row["seed"]) == ("asen_pp", 7)
        expected = [
            100.0 * sum(part) / len(part) for part in zip(*measured[row["attribute"]], strict=True)
        ]
        assert 0.0 < min(expected) and max(expected) < 100.0  # the case decides something
        np.testing.assert_allclose(numbers(row), expected, rtol=1e-9)


def test_overall_counts_pairs_and_not_attributes() -> None:
    # One sleeve is found, three necklines are not: 25 percent, where attributes would make 50.
    heat = [[1.0, 0.0], [0.0, 0.0]]  # points at (1/4, 1/4)
    regions = {(i, 0): (0.5, 0.5, 1.0, 1.0) for i in range(3)} | {(0, 1): (0.0, 0.0, 0.5, 0.5)}
    table = rows([(0, 0), (0, 1), (1, 0), (2, 0)], [heat] * 4, [(0, 0, 20, 20)] * 4, regions)
    assert [(row["attribute"], row["pointing"]) for row in table] == [
        ("neckline", 0.0),
        ("sleeve", 100.0),
        ("overall", 25.0),
    ]


# === The baseline ===


def test_baseline_is_a_centred_square_of_the_regions_own_side() -> None:
    # A region of 10 px of 20 in the upper left corner covers its true box, a quarter of the frame,
    # in full: IoU 1. The centred square of that side, 1/4 to 3/4, shares a sixteenth with it:
    # 1/16 / (1/4 + 1/4 - 1/16) = 1/7. The centre (1/2, 1/2) is the box's open corner: outside.
    regions = {(0, 0): (0.0, 0.0, 0.5, 0.5)}
    (row, _) = rows([(0, 0)], [[[0.0, 1.0], [0.0, 0.0]]], [(0, 0, 10, 10)], regions)
    np.testing.assert_allclose(numbers(row), [0.0, 100.0, 0.0, 100.0 / 7.0])


def test_region_of_the_whole_frame_is_no_better_than_the_baseline() -> None:
    regions = {(0, 0): (0.25, 0.5, 0.75, 1.0)}
    (row, _) = rows([(0, 0)], [[[1.0, 0.0], [0.0, 0.0]]], [(0, 0, 20, 20)], regions)
    np.testing.assert_allclose(numbers(row), [0.0, 25.0, 100.0, 25.0])


def test_region_edges_are_top_left_bottom_right_and_true_ones_left_top_right_bottom() -> None:
    regions = {(0, 0): (0.5, 0.0, 1.0, 0.5)}  # the upper right quarter
    (row, _) = rows([(0, 0)], [[[0.0, 1.0], [0.0, 0.0]]], [(0, 10, 10, 20)], regions)
    assert numbers(row)[:2] == [100.0, 100.0]


# === Degenerate ===


def test_no_true_boxes_give_no_rows() -> None:
    assert rows([(0, 0), (1, 2)], np.ones((2, 3, 3)), [(0, 0, 20, 20)] * 2, {}) == []


def test_boxes_of_other_pairs_count_for_nothing() -> None:
    regions = {(1, 0): (0.0, 0.0, 1.0, 1.0), (0, 1): (0.0, 0.0, 1.0, 1.0)}
    assert rows([(0, 0)], np.ones((1, 3, 3)), [(0, 0, 20, 20)], regions) == []


def test_attribute_without_a_true_box_has_no_row() -> None:
    regions = {(0, 2): (0.0, 0.0, 1.0, 1.0)}
    table = rows([(0, 0), (0, 2)], np.ones((2, 3, 3)), [(0, 0, 20, 20)] * 2, regions)
    assert [row["attribute"] for row in table] == ["buttons", "overall"]


def test_flat_map_points_at_its_first_cell() -> None:
    assert attention_peak(np.full((4, 5), 0.05)) == (0.1, 0.125)


@pytest.mark.parametrize(
    ("cell", "peak"), [((0, 0), (0.25, 0.125)), ((3, 1), (0.75, 0.875)), ((1, 0), (0.25, 0.375))]
)
def test_peak_is_the_centre_of_the_highest_cell(cell, peak) -> None:
    heat = np.zeros((4, 2))
    heat[cell] = 0.3
    assert attention_peak(heat) == peak
    shifted = attention_peak(heat, (-0.125, 0.625))  # three quarters of it, an eighth before
    assert shifted == pytest.approx(tuple(0.75 * share - 0.125 for share in peak))


def test_box_holds_its_upper_left_edge_and_not_its_lower_right() -> None:
    box = (0.2, 0.4, 0.6, 0.8)
    assert contains(box, (0.2, 0.4)) and contains(box, (0.5, 0.5))
    assert not contains(box, (0.6, 0.5)) and not contains(box, (0.5, 0.8))
    assert not contains(box, (0.1, 0.5)) and not contains(box, (0.5, 0.1))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((0, 0, 4, 2), 1.0),
        ((2, 0, 6, 2), 4 / 12),
        ((1, 1, 2, 2), 1 / 8),
        ((4, 0, 8, 2), 0.0),  # side by side
        ((9, 9, 10, 10), 0.0),  # apart along both axes: two negative lengths
        ((1, 1, 1, 1), 0.0),  # a point
    ],
)
def test_overlap_of_hand_worked_boxes_whichever_comes_first(second, expected) -> None:
    first = (0.0, 0.0, 4.0, 2.0)
    assert intersection_over_union(first, second) == pytest.approx(expected)
    assert intersection_over_union(second, first) == pytest.approx(expected)


def test_overlap_of_two_points_is_0_and_no_division_by_zero() -> None:
    assert intersection_over_union((1, 1, 1, 1), (1, 1, 1, 1)) == 0.0
