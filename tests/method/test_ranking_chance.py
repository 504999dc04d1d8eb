from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from asen_tf.evaluation import (
    average_precision,
    random_average_precision,
    random_average_precisions,
)


@pytest.mark.parametrize("candidates", range(1, 8))
def test_the_closed_form_is_the_mean_over_all_permutations(candidates: int) -> None:
    for relevant in range(candidates + 1):
        relevance = [1] * relevant + [0] * (candidates - relevant)
        every = [average_precision(order) for order in permutations(relevance)]
        assert random_average_precision(relevant, candidates) == pytest.approx(
            np.mean(every), abs=1e-12
        )


def test_by_hand() -> None:
    assert random_average_precision(1, 2) == pytest.approx((1 + 1 / 2) / 2)
    assert random_average_precision(1, 4) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_degenerate_lists() -> None:
    assert random_average_precision(0, 0) == 0.0  # no candidate
    assert random_average_precision(0, 1) == 0.0
    assert random_average_precision(1, 1) == 1.0  # the formula would divide by N - 1 = 0
    assert random_average_precision(9, 9) == 1.0


@pytest.mark.parametrize(("relevant", "candidates"), [(2, 1), (-1, 3)])
def test_impossible_counts_are_refused(relevant: int, candidates: int) -> None:
    with pytest.raises(ValueError, match="must be some of the candidates"):
        random_average_precision(relevant, candidates)


def test_each_query_counts_the_candidates_of_its_value() -> None:
    queries, candidates = np.array([7, 5, 7, 6]), np.array([5, 6, 6, 6])
    found = random_average_precisions(query_values=queries, candidate_values=candidates)
    expected = [0, random_average_precision(1, 4), 0, random_average_precision(3, 4)]
    assert found.tolist() == expected
    mean = random_average_precisions(query_values=queries, candidate_values=candidates).mean()
    assert mean == pytest.approx(sum(expected) / 4)


def test_no_queries_and_no_candidates() -> None:
    nothing = np.array([], np.int64)
    none = random_average_precisions(query_values=nothing, candidate_values=np.array([1]))
    assert none.shape == (0,)
    found = random_average_precisions(query_values=np.array([1]), candidate_values=nothing)
    assert found.tolist() == [0.0]


def test_a_simulation_agrees() -> None:
    rng = np.random.default_rng(0)
    relevance = np.arange(40) < 6
    every = [average_precision(rng.permutation(relevance)) for _ in range(4000)]
    error = np.std(every) / np.sqrt(len(every))
    assert random_average_precision(6, 40) == pytest.approx(np.mean(every), abs=4 * error)
