"""How unusual a similarity is: against naive loops and numbers worked out by hand."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from asen_apps.evidence import EvidenceError, check, empirical_p
from asen_apps.evidence.page import probability
from asen_apps.evidence.statistics import (
    nearest_similarities,
    pair_similarities,
    random_pairs,
    similarities,
)

KNOWN = ("neckline", "sleeve", "buttons")


def unit_vectors(count: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# === Empirical tail probabilities ===


def test_two_of_ninety_nine_is_three_hundredths() -> None:
    reference = np.concatenate([np.full(97, 0.1), [0.8, 0.9]])
    assert empirical_p(0.8, reference).at_least == 2  # an equal one counts
    assert empirical_p(0.8, reference).value == 0.03


@pytest.mark.parametrize("observed", [-1.0, -0.2, 0.0, 0.37, 0.5, 1.0])
def test_an_empirical_p_is_what_a_naive_loop_counts(observed: float) -> None:
    reference = np.random.default_rng(1).uniform(-1, 1, 500).round(2)
    count = 0
    for value in reference:
        if value >= observed:
            count += 1
    found = empirical_p(observed, reference)
    assert (found.at_least, found.of) == (count, 500)
    assert found.value == (1 + count) / 501


def test_what_no_reference_reaches_is_never_impossible() -> None:
    assert empirical_p(0.9, np.zeros(999)).value == 1 / 1000


def test_what_every_reference_reaches_is_certain() -> None:
    assert empirical_p(-1.0, np.zeros(10)).value == 1.0


@pytest.mark.parametrize(
    ("observed", "reference"),
    [(0.5, []), (0.5, [[0.1]]), (float("nan"), [0.1]), (0.5, [float("nan")])],
)
def test_an_empirical_p_of_nothing_is_refused(observed: float, reference: list) -> None:
    with pytest.raises(EvidenceError, match="empirical p needs finite similarities"):
        empirical_p(observed, reference)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.00"), (0.5354, "0.54"), (0.02, "0.020"), (0.0038, "0.0038"), (1e-7, "0.00000010")],
)
def test_probabilities_are_written_out(value: float, text: str) -> None:
    assert probability(value) == text


def test_the_smallest_of_ten_thousand_pairs() -> None:
    assert probability(empirical_p(0.9, np.zeros(10_000)).value) == "0.00010"


# === Random pairs ===


def test_a_small_catalogue_gives_every_pair_once() -> None:
    pairs = random_pairs(7, 10_000, seed=0)
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == set(combinations(range(7), 2))
    assert len(pairs) == 21


@pytest.mark.parametrize(("images", "number"), [(2, 1), (60, 400), (200_000, 5_000)])
def test_pairs_are_distinct_and_of_different_images(images: int, number: int) -> None:
    pairs = random_pairs(images, number, seed=3)
    assert len(np.unique(pairs, axis=0)) == len(pairs) == number
    assert (pairs[:, 0] > pairs[:, 1]).all() and pairs.min() >= 0 and pairs.max() < images


def test_every_pair_has_the_same_chance() -> None:
    counts = np.zeros((5, 5))
    for seed in range(3_000):
        for larger, smaller in random_pairs(5, 2, seed=seed):
            counts[larger, smaller] += 1
    shares = counts[np.tril_indices(5, -1)] / 3_000
    # Each of the 10 pairs is drawn with chance 0.2; 5 standard errors are 0.037.
    np.testing.assert_allclose(shares, 0.2, atol=0.037)


def test_the_same_seed_gives_the_same_pairs() -> None:
    first, again, other = (random_pairs(300, 50, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(("images", "number"), [(0, 5), (1, 5), (5, 0)])
def test_one_image_makes_no_pair(images: int, number: int) -> None:
    with pytest.raises(EvidenceError, match=f"got {images} images and {number} pairs"):
        random_pairs(images, number, seed=0)


def test_pair_similarities_are_those_of_a_naive_loop() -> None:
    vectors, pairs = unit_vectors(40), random_pairs(40, 700, seed=0)  # more than one block
    expected = [sum(map(float, vectors[i] * vectors[j])) for i, j in pairs]
    np.testing.assert_allclose(pair_similarities(vectors, pairs), expected, atol=1e-6)


# === Nearest neighbours ===


def test_nearest_neighbours_are_those_of_a_naive_loop() -> None:
    vectors = unit_vectors(530)  # more than one block
    expected = []
    for i, vector in enumerate(vectors):
        others = [float(vector @ other) for j, other in enumerate(vectors) if j != i]
        expected.append(max(others))
    found = nearest_similarities(vectors, 1_000, seed=0)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_an_image_is_not_its_own_neighbour_but_its_copy_is() -> None:
    angles = np.radians([0.0, 0.0, 60.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_array_equal(nearest_similarities(vectors, 9, seed=0), [1.0, 1.0, 0.5])


def test_of_a_large_catalogue_some_items_are_asked() -> None:
    vectors = unit_vectors(100)
    everybody = nearest_similarities(vectors, 100, seed=0)
    some = nearest_similarities(vectors, 10, seed=0)
    assert len(some) == 10 and set(some) <= set(everybody)


def test_equal_vectors_are_equally_similar_to_the_last_digit() -> None:
    one, other = unit_vectors(2, 1024)
    both = similarities(one, np.stack([other] * 3))
    assert len({*both, *similarities(other, one[None])}) == 1
    assert similarities(one, one[None])[0] == 1.0


# === Attributes and weights ===


def test_weights_are_equal_unless_given_and_add_up_to_one() -> None:
    assert check(KNOWN, ["sleeve", "buttons"]) == {"sleeve": 0.5, "buttons": 0.5}
    by_name = check(KNOWN, ["sleeve", "buttons"], weights=[3, 1])
    assert by_name == {"sleeve": 0.75, "buttons": 0.25}
    assert check(KNOWN, {"sleeve": 0.3, "neckline": 0.9}) == pytest.approx(
        {"sleeve": 0.25, "neckline": 0.75}
    )
    assert check(KNOWN, "sleeve") == {"sleeve": 1.0}


@pytest.mark.parametrize(
    ("attributes", "weights", "message"),
    [
        (["sleve"], None, "does not know the attribute 'sleve'; did you mean 'sleeve'"),
        (["xyz"], None, "there are buttons, neckline, sleeve"),
        ([], None, "name at least one attribute, of neckline, sleeve, buttons"),
        (["sleeve", "sleeve"], None, "got 'sleeve' twice"),
        (["sleeve", "buttons"], [1.0], "one weight above 0 for each of sleeve, buttons"),
        (["sleeve", "buttons"], [1.0, 0.0], "got \\[1.0, 0.0\\]"),
        (["sleeve"], [float("nan")], "one weight above 0"),
        (["sleeve"], ["much"], "got \\['much'\\]"),
    ],
)
def test_invalid_arguments_are_refused(attributes, weights, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        check(KNOWN, attributes, weights=weights)


class Counted:
    """50,000 unit vectors that exist only as they are asked for."""

    def __init__(self) -> None:
        self.base, self.most = vectors_of(499, 256), 0

    def __len__(self) -> int:
        return 50_000

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        places = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
        self.most = max(self.most, len(places))
        return self.base[places % 499]


def vectors_of(count: int, dimension: int) -> np.ndarray:
    drawn = np.random.default_rng(4).normal(size=(count, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_a_large_catalogue_is_compared_block_by_block() -> None:
    vectors, pairs = Counted(), random_pairs(50_000, 5_000, seed=0)
    expected = (vectors.base.astype(float) @ vectors.base.T).round(6)
    tracemalloc.start()
    try:
        cosines = similarities(vectors.base[7], vectors)
        drawn = pair_similarities(vectors, pairs)
        nearest = nearest_similarities(vectors, 30, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(cosines, expected[7][np.arange(50_000) % 499], atol=1.1e-6)
    first, second = pairs.T % 499
    np.testing.assert_allclose(drawn, expected[first, second], atol=1.1e-6)
    assert (nearest == 1.0).all()  # each is there a hundred times
    assert vectors.most <= 2048 and peak < 12 * 2**20  # all of them in float64: 98 MiB
