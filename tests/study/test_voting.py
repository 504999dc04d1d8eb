"""Votes of the nearest labelled images: worked numbers, a naive loop, and calibrated confidence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asen_study import voting
from asen_study.voting import TEMPERATURE, Calibration, calibrate, vote


def at(*degrees: float) -> np.ndarray:
    """Return unit vectors in the plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def at_cosines(*cosines: float) -> np.ndarray:
    return np.array([[c, math.sqrt(1 - c * c)] for c in cosines])


def test_the_documented_vote() -> None:
    votes = vote(
        at(0), labelled=at_cosines(0.9, 0.8, 0.8), values=np.array([0, 1, 1]), count=2, neighbours=3
    )
    assert votes.values.tolist() == [0]
    assert votes.shares[0] == pytest.approx(math.e / (math.e + 2))


def test_neighbours_beyond_the_number_do_not_vote() -> None:
    labelled, values = at_cosines(0.9, 0.89, 0.88, 0.88, 0.88), np.array([0, 0, 1, 1, 1])
    few = vote(at(0), labelled=labelled, values=values, count=2, neighbours=2)
    assert (few.values[0], few.shares[0]) == (0, 1.0)
    assert vote(at(0), labelled=labelled, values=values, count=2, neighbours=5).values[0] == 1
    assert vote(at(0), labelled=labelled, values=values, count=2, neighbours=99).values[0] == 1


def test_votes_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    vectors, labelled = (rng.normal(size=(n, 5)) for n in (7, 30))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labelled /= np.linalg.norm(labelled, axis=1, keepdims=True)
    values = rng.integers(0, 4, 30)
    found = vote(vectors, labelled=labelled, values=values, count=4, neighbours=6)
    for row, vector in enumerate(vectors):
        near = sorted(range(30), key=lambda i: -float(vector @ labelled[i]))[:6]
        totals = [0.0] * 4
        for i in near:
            totals[values[i]] += math.exp(float(vector @ labelled[i]) / TEMPERATURE)
        assert found.values[row] == max(range(4), key=totals.__getitem__)
        assert found.shares[row] == pytest.approx(max(totals) / sum(totals))


@pytest.mark.parametrize("block", [1024, 2, 1])
def test_none_votes_for_itself_however_many_are_computed_at_once(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(voting, "_BLOCK", block)
    labelled, values = at(0, 1, 90, 85, 50), np.array([0, 1, 1, 0, 1])
    votes = vote(labelled, labelled=labelled, values=values, count=2, neighbours=1, leave_out=True)
    assert votes.values.tolist() == [1, 0, 0, 1, 0]
    with pytest.raises(ValueError, match="labelled images"):
        vote(at(0), labelled=at(0), values=np.array([0]), count=1, neighbours=1, leave_out=True)


def sample(seed: int, images: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return images of two values that overlap: at 0 and 60 degrees, give or take 25."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2, images)
    return at(*(values * 60 + rng.normal(0, 25, images))), values


def test_confidence_is_how_often_votes_are_right() -> None:
    labelled, values = sample(1)
    known, truth = sample(2)
    fitted = calibrate(known, truth, labelled=labelled, values=values, count=2)
    new, new_truth = sample(3, images=4000)
    votes = vote(new, labelled=labelled, values=values, count=2, neighbours=fitted.neighbours)
    sure = fitted.confidence(votes.shares)
    right = votes.values == new_truth
    for low, high in ((0.5, 0.8), (0.8, 0.9), (0.9, 1.0)):
        inside = (sure >= low) & (sure < high)
        if inside.sum() > 200:
            assert right[inside].mean() == pytest.approx(sure[inside].mean(), abs=0.08)
    assert right.mean() == pytest.approx(sure.mean(), abs=0.03)
    # What is left above a threshold is right more often than all together.
    assert right[sure >= 0.9].mean() > right.mean()


@pytest.mark.parametrize("right", [0, 4])
def test_few_images_give_a_share_and_never_certainty(right: int) -> None:
    labelled, values = at(0, 90), np.array([0, 1])
    truth = np.array([0] * right + [1] * (4 - right))
    fitted = calibrate(at(0, 1, 2, 3), truth, labelled=labelled, values=values, count=2)
    assert fitted.slope == 0.0
    assert fitted.confidence(np.array([1.0]))[0] == pytest.approx((right + 1) / 6)


def test_a_larger_share_of_the_votes_never_counts_for_less() -> None:
    # At 0 degrees all agree, on a wrong value; at 90 two of three do, on the right one.
    labelled, values = at(0, 0, 0, 90, 90, 90), np.array([0, 0, 0, 0, 0, 1])
    known, truth = at(*[0] * 8, *[90] * 12), np.array([1] * 8 + [0] * 12)
    options = {"labelled": labelled, "values": values, "count": 2, "neighbours": (3,)}
    fitted = calibrate(known, truth, **options)
    assert fitted.slope == 0.0 and fitted.images == 20
    assert fitted.confidence(np.array([2 / 3, 1.0])) == pytest.approx([13 / 22] * 2)
    assert calibrate(known, 1 - truth, **options).slope > 0.0  # the other way round they tell


def test_of_equally_good_numbers_the_fewest_neighbours_vote() -> None:
    labelled, values = at(0, 1, 2, 90, 91, 92), np.array([0, 0, 0, 1, 1, 1])
    fitted = calibrate(at(0, 90), np.array([0, 1]), labelled=labelled, values=values, count=2)
    assert fitted.neighbours == 1


def test_a_calibration_needs_images() -> None:
    with pytest.raises(ValueError, match="got none"):
        calibrate(np.zeros((0, 2)), np.zeros(0), labelled=at(0), values=np.array([0]), count=1)


def test_confidence_of_a_known_curve() -> None:
    curve = Calibration(neighbours=3, slope=2.0, intercept=-1.0, images=50)
    assert curve.confidence(np.array([0.5, 1.0])).tolist() == pytest.approx([0.5, 0.7310586])
