"""The table of a re-ranking: means, paired intervals over queries, and the sentences about it."""

from __future__ import annotations

import numpy as np
import pytest

from asen_apps.rerank import (
    LabelledImages,
    Shortlists,
    in_words,
    measure,
    precision_table,
    reorder,
    result_table,
    shortlist,
    similarity_table,
)
from asen_study.comparison import paired_differences


def synthetic(seed: int = 0, count: int = 40, depth: int = 60) -> dict[str, Shortlists]:
    """Lists of two attributes, whose specific embedding is better than the general one."""
    rng, found = np.random.default_rng(seed), {}
    for name, size in (("neck", count), ("coat", count // 2)):
        items = []
        for first, number in ((0, size), (1000, 60)):
            values = rng.integers(0, 3, number)
            noise = rng.normal(size=(2, number, 4))
            specific = np.pad(np.eye(3)[values], ((0, 0), (0, 1))) + 0.3 * noise[0]
            parts = (noise[1], specific)
            parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
            items.append(
                LabelledImages(
                    np.arange(first, first + number), np.eye(3, dtype=bool)[values], *parts
                )
            )
        found[name] = shortlist(*items, depth=depth)
    return found


def test_a_weight_of_zero_and_a_top_of_one_change_nothing() -> None:
    table = result_table(synthetic(), settings=[(20, 0.0), (1, 1.0)], resamples=50)
    np.testing.assert_array_equal(table["precision_before"], table["precision_after"])
    assert not table[["gain", "gain_low", "gain_high", "loss", "loss_high"]].to_numpy().any()
    assert (table["kept"] == 100.0).all()


def test_behind_the_top_nothing_changes_and_before_it_much() -> None:
    table = result_table(synthetic(), settings=[(5, 1.0)], ks=(2, 5, 10), resamples=50)
    behind = table[table["k"] >= 5]
    for when in ("after", "random", "oracle"):
        np.testing.assert_array_equal(behind["precision_before"], behind[f"precision_{when}"])
    assert (table[table["k"] == 2]["gain_low"] > 0).all()


def test_the_table_is_mean_and_paired_interval_of_single_queries() -> None:
    found = synthetic()
    table = result_table(found, settings=[(20, 1.0)], ks=(10,), resamples=4000).set_index(
        "attribute"
    )
    before, after = (
        {
            name: measure(part, reorder(part, top=20, weight=weight), (10,))["precision@10"][None]
            for name, part in found.items()
        }
        for weight in (0.0, 1.0)
    )
    assert list(table.index) == ["neck", "coat", "overall", "macro"]
    assert table["queries"].tolist() == [40, 20, 60, 60]
    for other in paired_differences(after, before, resamples=4000):
        row = table.loc[other.attribute]
        assert row["gain"] == pytest.approx(100 * other.difference)
        ends = [100 * other.low, 100 * other.high]  # drawn by other random numbers
        assert [row["gain_low"], row["gain_high"]] == pytest.approx(ends, abs=0.6)
    assert (table["precision_after"] - table["precision_before"]).tolist() == pytest.approx(
        table["gain"].tolist()
    )
    assert (table["precision_after"] <= table["precision_oracle"]).all()
    assert (table["loss"] >= 0).all() and (table["gain_low"] > 0).all()


def test_without_a_relevant_candidate_precision_is_zero_everywhere() -> None:
    holds = np.eye(2, dtype=bool)
    general = np.array([[0.9], [0.8], [0.1]])
    query = LabelledImages(np.array([9]), holds[[0]], np.ones((1, 1)), np.ones((1, 1)))
    others = LabelledImages(np.arange(3), holds[[1, 1, 1]], general, 1.0 - general)
    found = {"neck": shortlist(query, others, depth=3)}
    table = result_table(found, settings=[(3, 1.0)])
    assert not table.filter(like="precision").to_numpy().any()
    assert table["gain_low"].isna().all()  # of one query nothing can be said
    assert table[table["k"] == 1]["loss"].tolist() == pytest.approx([0.8] * 3)


def test_words_and_tables_say_what_is_significant() -> None:
    table = result_table(synthetic(), settings=[(20, 1.0)], ks=(10,), resamples=50)
    lines = in_words(table, top=20, weight=1.0)
    assert lines[0].startswith("precision@10: ")
    assert lines[2] == "  significantly better: neck, coat; worse: none"
    asked = {"top": 20, "weight": 1.0, "k": 10}
    row = table.iloc[0]
    precision, similarity = precision_table(table, **asked), similarity_table(table, **asked)
    assert list(precision.index) == ["neck", "coat", "overall", "macro"]
    ends = f"({row['gain_low']:+.1f} to {row['gain_high']:+.1f})"
    assert precision.loc["neck", "gain, points"] == f"{row['gain']:+.1f} {ends}"
    lost = row["similarity_before"] - row["similarity_random"]
    assert similarity.loc["neck", "loss by a random order"] == f"{lost:.3f}"
    with pytest.raises(ValueError, match="must hold top 20, weight 1 and k 7; it has top 20"):
        precision_table(table, top=20, weight=1.0, k=7)


def test_what_rounds_to_zero_has_no_minus_sign() -> None:
    table = result_table(synthetic(), settings=[(20, 0.0)], ks=(10,), resamples=50)
    table[["gain", "gain_low"]] = -1e-9
    cells = precision_table(table, top=20, weight=0.0, k=10)["gain, points"]
    assert set(cells) == {"+0.0 (+0.0 to +0.0)"}


def test_lists_that_are_not_deep_enough_are_refused() -> None:
    with pytest.raises(ValueError, match="the first 20 candidates; those of neck hold 5 of 60"):
        result_table(synthetic(depth=5), settings=[(5, 1.0)])
    with pytest.raises(ValueError, match="at least one attribute"):
        result_table({}, settings=[(5, 1.0)])
