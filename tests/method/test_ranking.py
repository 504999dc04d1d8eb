from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from asen_tf.evaluation import (
    average_precision,
    macro,
    normalise,
    overall,
    ranking,
    retrieval_metrics,
    summarise,
)


def naive_ap(relevance: list[bool]) -> float:
    """Precision at every relevant rank, one list item at a time."""
    hits, total = 0, 0.0
    for rank, relevant in enumerate(relevance, start=1):
        if relevant:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def naive_lists(queries, query_values, candidates, candidate_values) -> list[list[bool]]:
    """Rank with Python's stable sort: equal scores keep the order of the candidates."""
    lists = []
    for query, value in zip(queries, query_values, strict=True):
        scores = [sum(a * b for a, b in zip(query, c, strict=True)) for c in candidates.tolist()]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        lists.append([bool(candidate_values[index] == value) for index in order])
    return lists


@pytest.mark.parametrize(
    ("relevance", "expected"),
    [
        ([1, 0, 1, 0], (1 + 2 / 3) / 2),
        ([0, 1], 1 / 2),
        ([0, 0, 1, 1, 1], (1 / 3 + 2 / 4 + 3 / 5) / 3),
        ([1, 1, 1], 1.0),
        ([1], 1.0),
        ([0], 0.0),
        ([0, 0, 0], 0.0),  # no relevant candidate
        ([], 0.0),  # no candidate
    ],
)
def test_average_precision_by_hand(relevance: list[int], expected: float) -> None:
    assert average_precision(relevance) == pytest.approx(expected, abs=1e-15)
    assert naive_ap([bool(item) for item in relevance]) == pytest.approx(expected, abs=1e-15)


def test_precision_and_recall_by_hand() -> None:
    def measured(name: str, relevance: list[int], ks: tuple[int, ...]) -> list[float]:
        found = retrieval_metrics(
            query_embeddings=np.ones((1, 1)),
            query_values=np.ones(1, int),
            candidate_embeddings=-np.arange(len(relevance), dtype=float)[:, None],
            candidate_values=np.array(relevance, int),
            ks=ks,
        )
        return [found[f"{name}@{k}"].item() for k in ks]

    assert measured("precision", [1, 0, 1, 0], (1, 2, 3, 8)) == [1, 1 / 2, 2 / 3, 2 / 8]
    assert measured("recall", [0, 0, 1, 1], (1, 2, 3, 9)) == [0, 0, 1, 1]
    for name in ("precision", "recall"):
        assert measured(name, [], (1,)) == [0]
        with pytest.raises(ValueError, match="k must be 1 or more; got 0"):
            measured(name, [1], (0,))


def test_a_batch_of_lists_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(N,\); got \(2, 2\)"):
        average_precision([[1, 0], [0, 1]])


@settings(max_examples=80, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(["int32", "float16", "float32", "float64"]))
def test_all_metrics_equal_the_naive_loop_with_ties(data: st.DataObject, dtype: str) -> None:
    # Small integers make every dot product exact in any order of summation, and ties frequent.
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    many, few = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 9))
    queries = rng.integers(-2, 3, (few, 3)).astype(dtype)
    candidates = rng.integers(-2, 3, (many, 3)).astype(dtype)
    values = rng.integers(0, 3, few), rng.integers(0, 3, many)
    found = retrieval_metrics(
        query_embeddings=queries,
        query_values=values[0],
        candidate_embeddings=candidates,
        candidate_values=values[1],
        ks=[1, 5],
        block=data.draw(st.integers(1, 10)),
    )
    lists = naive_lists(queries.tolist(), values[0], candidates, values[1])
    expected = {"average_precision": [naive_ap(ranked) for ranked in lists]}
    for k in (1, 5):
        expected[f"recall@{k}"] = [float(any(ranked[:k])) for ranked in lists]
        expected[f"precision@{k}"] = [sum(ranked[:k]) / k for ranked in lists]
    assert list(found) == list(expected)
    for name, numbers in expected.items():
        assert found[name].shape == (few,) and found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], numbers, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_real_scores_equal_a_stable_argsort(dtype: str) -> None:
    rng = np.random.default_rng(3)
    queries = normalise(rng.standard_normal((60, 16))).astype(dtype)
    candidates = normalise(rng.standard_normal((300, 16))).astype(dtype)
    values = rng.integers(0, 4, 60), rng.integers(0, 4, 300)
    order = np.argsort(-(queries @ candidates.T), axis=1, kind="stable")
    expected = [
        naive_ap(list(values[1][row] == v)) for row, v in zip(order, values[0], strict=True)
    ]
    found = retrieval_metrics(
        query_embeddings=queries,
        query_values=values[0],
        candidate_embeddings=candidates,
        candidate_values=values[1],
        block=60,
    )["average_precision"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_near_ties_rank_alike_on_any_number_of_cores(dtype: str, monkeypatch) -> None:
    # Candidates that differ by less than the rounding of their scores: the order of summation
    # decides how they rank.
    rng = np.random.default_rng(5)
    queries = normalise(rng.standard_normal((700, 515))).astype(dtype)
    alike = np.repeat(normalise(rng.standard_normal((40, 515))), 25, axis=0)
    alike += np.finfo(dtype).eps / 50 * rng.standard_normal(alike.shape)
    arguments = dict(query_embeddings=queries, query_values=rng.integers(0, 4, 700))
    arguments |= dict(candidate_embeddings=alike.astype(dtype))
    arguments |= dict(candidate_values=rng.integers(0, 4, 1000))
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(ranking, "usable_cores", lambda cores=cores: cores)
        with threadpool_limits(cores, "blas"):
            found.append(retrieval_metrics(**arguments)["average_precision"])
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def metrics(queries, query_values, candidates, candidate_values, dtype="float32") -> list[float]:
    return retrieval_metrics(
        query_embeddings=np.array(queries, dtype),
        query_values=np.array(query_values),
        candidate_embeddings=np.array(candidates, dtype),
        candidate_values=np.array(candidate_values),
    )["average_precision"].tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_tied_keeps_the_order_of_the_candidates(dtype: str) -> None:
    # A zero vector scores 0 (or -0.0) with everything: relevance stays 0 1 0 1.
    candidates = [[1.0, -1.0], [-1.0, -1.0], [0.0, 0.0], [-0.0, 2.0]]
    found = metrics([[0.0, 0.0]], [1], candidates, [0, 1, 0, 1], dtype)
    assert found == [pytest.approx((1 / 2 + 2 / 4) / 2, abs=1e-15)]


def test_one_candidate_and_no_relevant_candidate() -> None:
    assert metrics([[1.0]], [0], [[-1.0]], [0]) == [1.0]
    assert metrics([[1.0]], [0], [[1.0]], [1]) == [0.0]
    assert metrics([[1.0], [1.0]], [0, 1], [[1.0]], [1]) == [0.0, 1.0]


def test_no_queries_and_no_candidates() -> None:
    assert metrics(np.zeros((0, 2)), [], [[1.0, 0.0]], [1]) == []
    assert metrics([[1.0, 0.0]], [0], np.zeros((0, 2)), []) == [0.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        metrics([[1.0], [1.0]], [0, 0], [[1.0], [bad]], [0, 1])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="query values"):
        metrics([[1.0]], [0, 1], [[1.0]], [0])
    with pytest.raises(ValueError, match="the same dimension; got 1 and 2"):
        metrics([[1.0]], [0], [[1.0, 2.0]], [0])


def test_normalise() -> None:
    np.testing.assert_allclose(normalise(np.array([[3.0, 4.0]])), [[0.6, 0.8]], rtol=1e-15)
    extreme = np.array([[0, 0], [3e30, 4e30], [3e-30, 4e-30]], np.float32)
    found = normalise(extreme)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 0], [0.6, 0.8], [0.6, 0.8]], rtol=1e-6)
    assert normalise(np.ones((2, 3, 4))).shape == (2, 3, 4)


def test_overall_weighs_queries_and_macro_attributes() -> None:
    values = {"a": np.array([1.0, 1.0]), "b": np.array([0.4]), "none": np.array([])}
    assert overall(values) == pytest.approx(0.8)
    assert macro(values) == pytest.approx(0.7)
    summary = summarise(values)
    assert list(summary) == ["a", "b", "none", "overall", "macro"]
    assert np.isnan(summary.pop("none"))
    assert summary == pytest.approx({"a": 1.0, "b": 0.4, "overall": 0.8, "macro": 0.7})
    assert np.isnan(overall({})) and np.isnan(macro({"none": []}))


def test_memory_is_bounded_by_the_block() -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.random((2000, 4), np.float32), rng.random((3000, 4), np.float32)
    arguments = dict(query_embeddings=queries, query_values=np.arange(2000) % 50)
    arguments |= dict(candidate_embeddings=candidates, candidate_values=np.arange(3000) % 50)
    tracemalloc.start()
    retrieval_metrics(**arguments, block=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 3000 * 4 / 2  # the scores of all pairs alone would take 24 MB
