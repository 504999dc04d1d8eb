"""Filling empty cells: what the nearest labelled images vote for, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from asen_tf.evaluation import ranked

NEIGHBOURS = (1, 3, 5, 10, 20, 50)  # how many may vote; the best number is chosen
TEMPERATURE = 0.1  # in cosine units: a neighbour nearer by this much weighs e times as much
_FEWEST = 10  # images below which the share of right votes is all that is known
_BLOCK = 1024  # images whose cosines are in memory at once


@dataclass(frozen=True)
class Votes:
    """What neighbours vote for, image by image.

    Attributes:
        values: `(Q,)` int, the value with the largest share of the votes.
        shares: `(Q,)` float in [0, 1], that share.
    """

    values: np.ndarray
    shares: np.ndarray


def vote(
    vectors: np.ndarray,
    *,
    labelled: np.ndarray,
    values: np.ndarray,
    count: int,
    neighbours: int,
    leave_out: bool = False,
) -> Votes:
    """Let the nearest labelled images vote, each with weight `exp(cosine / TEMPERATURE)`.

    Example:
        Neighbours with cosines 0.9 ("V"), 0.8 ("round") and 0.8 ("round"): "round" has the share
        2 / (2 + e) = 0.42 of the three votes, "V" 0.58.

    Args:
        vectors: `(Q, D)` float, unit vectors of the images in question.
        labelled: `(N, D)` float, unit vectors of the labelled images; N at least 1.
        values: `(N,)` int in `[0, count)`.
        count: V, the number of values.
        neighbours: how many vote; all, if there are fewer.
        leave_out: the images in question are the labelled ones, and none votes for itself.

    Raises:
        ValueError: there is no labelled image that could vote.
    """
    voters = len(labelled) - leave_out
    if voters < 1:
        raise ValueError(f"a vote needs labelled images; got {len(labelled)}")
    used = min(neighbours, voters)
    found, shares = np.zeros(len(vectors), np.int64), np.zeros(len(vectors))
    for start in range(0, len(vectors), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(vectors)))
        cosines = vectors[rows].astype(np.float64) @ labelled.T.astype(np.float64)
        if leave_out:
            cosines[np.arange(len(rows)), rows] = -np.inf
        nearest = ranked(cosines, top=used)
        near = np.take_along_axis(cosines, nearest, axis=1)
        weights = np.exp((near - near[:, :1]) / TEMPERATURE)
        totals = np.zeros((len(rows), count))
        at = np.broadcast_to(np.arange(len(rows))[:, None], nearest.shape)
        np.add.at(totals, (at, values[nearest]), weights)
        found[rows] = totals.argmax(axis=1)
        shares[rows] = totals.max(axis=1) / totals.sum(axis=1)
    return Votes(found, shares)


@dataclass(frozen=True)
class Calibration:
    """How often a vote with a given share is right, and how many neighbours should vote.

    `confidence = 1 / (1 + exp(-(slope * share + intercept)))`, fitted to images whose value is
    known and that the model has not seen.

    Attributes:
        neighbours: that were right most often; of equal ones the fewest.
        slope: of the logistic curve; 0 where too few images were known to fit one.
        intercept: likewise; without a slope, the share of right votes.
        images: that it was fitted to.
    """

    neighbours: int
    slope: float
    intercept: float
    images: int

    def confidence(self, shares: np.ndarray) -> np.ndarray:
        """Return the probability that votes with these shares are correct, `(Q,)` in (0, 1)."""
        return 1.0 / (1.0 + np.exp(-(self.slope * shares + self.intercept)))


def calibrate(
    vectors: np.ndarray,
    truth: np.ndarray,
    *,
    labelled: np.ndarray,
    values: np.ndarray,
    count: int,
    leave_out: bool = False,
    neighbours: Sequence[int] = NEIGHBOURS,
) -> Calibration:
    """Choose the number of neighbours, and learn what a share of the votes is worth.

    Args:
        vectors: `(Q, D)` float, unit vectors of images whose value is known.
        truth: `(Q,)` int, their values.
        labelled: `(N, D)` float, unit vectors of the images that vote.
        values: `(N,)` int in `[0, count)`, theirs.
        count: V, the number of values.
        leave_out: the images are the labelled ones themselves; see `vote`. If the model was trained
            on them, they lie nearer to their own value than new ones will, and the confidence is
            too high.
        neighbours: the numbers to choose from.

    Raises:
        ValueError: there is no image to learn from, or none that could vote.

    References:
        Platt, "Probabilistic Outputs for Support Vector Machines", 1999: a logistic curve.
    """
    if not len(vectors):
        raise ValueError("a calibration needs images whose value is known; got none")
    right_by = {}
    for number in neighbours:
        votes = vote(
            vectors,
            labelled=labelled,
            values=values,
            count=count,
            neighbours=number,
            leave_out=leave_out,
        )
        right_by[number] = votes.values == truth, votes.shares
    best = max(neighbours, key=lambda number: (right_by[number][0].sum(), -number))
    right, shares = right_by[best]
    # One imagined vote of either kind: nothing is ever certain.
    prior = (right.sum() + 1) / (len(right) + 2)
    slope, intercept = 0.0, float(np.log(prior / (1 - prior)))
    if len(right) >= _FEWEST and 0 < right.sum() < len(right):
        curve = LogisticRegression(C=10.0).fit(shares[:, None], right)
        if curve.coef_[0, 0] > 0:  # a larger share must not count for less
            slope, intercept = float(curve.coef_[0, 0]), float(curve.intercept_[0])
    return Calibration(best, slope, intercept, len(right))
