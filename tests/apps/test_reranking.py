"""The evaluator of re-ranking against a naive loop, all permutations, and numbers by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asen_apps.rerank import (
    LabelledImages,
    Shortlists,
    by_label,
    expected_at_random,
    measure,
    reorder,
    shortlist,
)

KS = (1, 2, 3, 5, 9)


def lists(relevant, general, specific) -> Shortlists:
    """One query's list as it stands."""
    count = len(relevant)
    return Shortlists(
        places=np.arange(count)[None],
        listed=np.ones((1, count), bool),
        relevant=np.array([relevant], bool),
        general=np.array([general], np.float64),
        specific=np.array([specific], np.float64),
        anywhere=np.array([np.mean(general)]),
        candidates=count,
    )


def random_items(rng: np.random.Generator, count: int, first: int = 0) -> LabelledImages:
    """Small integers make every dot product exact in any order of summation, and ties frequent."""
    general, specific = rng.integers(-2, 3, (2, count, 3)).astype(np.float32)
    holds = rng.random((count, 3)) < 0.5
    return LabelledImages(np.arange(first, first + count), holds, general, specific)


def naive(
    queries: LabelledImages, candidates: LabelledImages, top: int, weight: float
) -> list[list[int]]:
    """Each query's candidates, by Python's stable sort of the whole list and then of its head."""
    found = []
    for query in range(len(queries.images)):
        others = [
            row
            for row in range(len(candidates.images))
            if candidates.images[row] != queries.images[query]
        ]
        general = {row: float(queries.general[query] @ candidates.general[row]) for row in others}
        specific = {
            row: float(queries.specific[query] @ candidates.specific[row]) for row in others
        }
        ranked = sorted(others, key=lambda row: -general[row])
        head = sorted(
            ranked[:top], key=lambda row: -((1 - weight) * general[row] + weight * specific[row])
        )
        found.append(head + ranked[top:])
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    many=st.integers(0, 25),
    few=st.integers(1, 7),
    top=st.integers(1, 30),
    weight=st.sampled_from([0.0, 0.25, 0.5, 1.0]),  # exact in binary: ties stay ties
    block=st.integers(1, 8),
)
def test_the_evaluator_equals_the_naive_loop(seed, many, few, top, weight, block) -> None:
    rng = np.random.default_rng(seed)
    # Queries 0.. and candidates 3..: some queries are among the candidates, and not of themselves.
    queries, candidates = random_items(rng, few), random_items(rng, many, first=3)
    found = shortlist(queries, candidates, depth=max(top, *KS), block=block)
    measured = measure(found, reorder(found, top=top, weight=weight), KS)
    before, after = (naive(queries, candidates, top, part) for part in (0.0, weight))
    for query in range(few):
        right = (queries.holds[query] & candidates.holds[after[query]]).any(axis=1).tolist()
        cosines = candidates.general[after[query]] @ queries.general[query]
        for k in KS:
            assert measured[f"precision@{k}"][query] == sum(right[:k]) / k
            mean = cosines[:k].mean() if len(cosines) else 0.0
            assert measured[f"similarity@{k}"][query] == pytest.approx(mean, abs=1e-6)
            first = set(before[query][:k])
            kept = len(first & set(after[query][:k])) / len(first) if first else 1.0
            assert measured[f"kept@{k}"][query] == pytest.approx(kept)
        everyone = candidates.general[before[query]] @ queries.general[query]
        assert found.anywhere[query] == pytest.approx(everyone.mean() if len(everyone) else 0.0)


def test_by_hand() -> None:
    # Relevant are b and d; the attribute finds d, b, c, a among the first four; e stays outside.
    found = lists([0, 1, 0, 1, 1], [0.9, 0.8, 0.6, 0.5, 0.4], [0.1, 0.7, 0.3, 0.8, 1.0])
    order = reorder(found, top=4, weight=1.0)
    assert order.tolist() == [[3, 1, 2, 0, 4]]
    before, after = (measure(found, each, (1, 2, 4)) for each in (np.arange(5)[None], order))
    assert [before[f"precision@{k}"][0] for k in (1, 2, 4)] == [0.0, 1 / 2, 2 / 4]
    assert [after[f"precision@{k}"][0] for k in (1, 2, 4)] == [1.0, 2 / 2, 2 / 4]
    loss = [before[f"similarity@{k}"][0] - after[f"similarity@{k}"][0] for k in (1, 2, 4)]
    assert loss == pytest.approx([0.4, 0.85 - 0.65, 0.0])
    assert [after[f"kept@{k}"][0] for k in (1, 2, 4)] == [0.0, 1 / 2, 1.0]
    assert reorder(found, top=4, weight=0.2).tolist() == [[1, 0, 3, 2, 4]]  # .74 .78 .54 .56


@pytest.mark.parametrize("relevant", [[0, 1, 1, 0, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 0]])
@pytest.mark.parametrize("top", [1, 3, 4, 9])
def test_the_controls_are_mean_and_best_of_all_permutations(relevant: list, top: int) -> None:
    found = lists(relevant, [0.9, 0.7, 0.6, 0.2, -0.4], [0.0] * 5)
    size = min(top, 5)
    orders = [[*head, *range(size, 5)] for head in permutations(range(size))]
    every = [measure(found, np.array([order]), KS) for order in orders]
    expected, best = (
        expected_at_random(found, top=top, ks=KS),
        measure(found, by_label(found, top=top), KS),
    )
    for name, value in expected.items():
        assert value[0] == pytest.approx(np.mean([each[name][0] for each in every]), abs=1e-12)
    for k in KS:
        assert best[f"precision@{k}"][0] == max(each[f"precision@{k}"][0] for each in every)


def test_shorter_lists_have_controls_of_their_own_length() -> None:
    # The query is image 1, a candidate too: its list holds images 0 and 2, and one is right.
    queries = LabelledImages(
        np.array([1]), np.eye(2, dtype=bool)[[1]], np.ones((1, 1)), np.ones((1, 1))
    )
    general = np.array([[0.8], [1.0], [0.4]])
    candidates = LabelledImages(np.arange(3), np.eye(2, dtype=bool)[[0, 1, 1]], general, general)
    found = shortlist(queries, candidates, depth=3)
    assert found.places[0, :2].tolist() == [0, 2] and found.lengths.tolist() == [2]
    assert found.anywhere[0] == pytest.approx(0.6)
    expected = expected_at_random(found, top=3, ks=(1, 2, 3))
    assert [expected[f"precision@{k}"][0] for k in (1, 2, 3)] == pytest.approx(
        [1 / 2, 1 / 2, 1 / 3]
    )
    assert expected["similarity@1"][0] == pytest.approx(0.6)
    assert by_label(found, top=3).tolist() == [[1, 0, 2]]


def test_ties_keep_the_initial_order() -> None:
    found = lists([0, 1, 0, 1], [0.5] * 4, [0.2, 0.2, 0.3, 0.2])
    assert reorder(found, top=4, weight=1.0).tolist() == [[2, 0, 1, 3]]
    assert by_label(found, top=4).tolist() == [[1, 3, 0, 2]]


def test_bad_arguments_are_refused() -> None:
    found = lists([1], [0.5], [0.5])
    with pytest.raises(ValueError, match="between 0 and 1; got 1.5"):
        reorder(found, top=1, weight=1.5)
    with pytest.raises(ValueError, match="must be >= 1; got 0"):
        reorder(found, top=0, weight=1.0)
    with pytest.raises(ValueError, match="k must be 1 or more; got 0"):
        measure(found, np.zeros((1, 1), int), [0])
    deep = random_items(np.random.default_rng(0), 30)
    with pytest.raises(ValueError, match="distinct"):
        LabelledImages(np.zeros(2, int), np.ones((2, 1), bool), np.ones((2, 1)), np.ones((2, 1)))
    broken = LabelledImages(
        np.arange(30), deep.holds, np.full((30, 3), np.nan, np.float32), deep.specific
    )
    with pytest.raises(ValueError, match="finite"):
        shortlist(deep, broken, depth=5)
