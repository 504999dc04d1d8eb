from __future__ import annotations

from pathlib import Path

import numpy as np

from asen_tf.data import AttributeTable, Split
from asen_tf.evaluation.metrics import random_maps
from data_prep.problems import Problem, find_problems, usable_values

TABLE = AttributeTable(("length", "neck"), (3, 2))
GOOD = [(0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 0, 1), (4, 0, 2), (5, 0, 2)]
GOOD += [(0, 1, 0), (1, 1, 0), (2, 1, 1), (3, 1, 1)]


def split(name: str, *, labels=(), queries=(), candidates=(), missing=()) -> Split:
    rows = [np.array(part, np.int64).reshape(-1, 3) for part in (labels, queries, candidates)]
    files = tuple(f"{index}.jpg" for index in range(6))
    return Split(Path("data/Tiny"), "Tiny", name, TABLE, files, *rows, tuple(missing))


def kinds(problems: list[Problem]) -> dict[str, tuple[int, bool]]:
    return {problem.kind: (problem.count, problem.stops_training) for problem in problems}


def test_good_splits_have_no_problem() -> None:
    assert find_problems(split("train", labels=GOOD)) == []
    ranked = split("valid", queries=[(0, 0, 0), (1, 1, 1)], candidates=[(2, 0, 0), (3, 1, 1)])
    assert find_problems(ranked) == []


def test_duplicate_rows_are_counted_and_named() -> None:
    (problem,) = find_problems(split("train", labels=GOOD + GOOD[:2] + GOOD[:1]))
    assert kinds([problem]) == {"duplicate rows": (3, False)}
    assert "3 of 13 labels" in problem.message and "1 0 0" in problem.message


def test_a_value_with_one_image_gives_no_anchor_even_if_its_row_is_repeated() -> None:
    labels = [row for row in GOOD if row != (5, 0, 2)] + [(4, 0, 2)]
    found = find_problems(split("train", labels=labels))
    assert kinds(found) == {"duplicate rows": (1, False), "scarce values": (1, False)}
    assert "length 2" in found[1].message
    assert usable_values(np.array(labels), TABLE) == {0: [0, 1], 1: [0, 1]}


def test_an_attribute_with_one_usable_value_stops_training() -> None:
    labels = [row for row in GOOD if row != (3, 1, 1)]
    found = find_problems(split("train", labels=labels))
    assert kinds(found) == {"scarce values": (1, False), "scarce attributes": (1, True)}
    assert "neck" in found[1].message


def test_no_training_rows_stop_training() -> None:
    assert kinds(find_problems(split("train")))["scarce attributes"] == (2, True)


def test_queries_without_relevant_candidate_are_counted() -> None:
    queries = [(0, 0, 0), (1, 0, 1), (2, 0, 1), (3, 1, 1)]
    # Value 1 of attribute 1 among the candidates is no help to value 1 of attribute 0.
    found = find_problems(split("test", queries=queries, candidates=[(4, 0, 0), (5, 1, 1)]))
    assert kinds(found) == {"queries without relevant candidate": (2, False)}


def test_a_query_among_its_candidates_is_counted() -> None:
    rows = [(0, 0, 0), (1, 1, 1)]
    found = find_problems(split("test", queries=rows, candidates=[(0, 0, 0), (2, 1, 1)]))
    assert kinds(found) == {"queries among candidates": (1, False)}


def test_an_attribute_without_queries_is_named() -> None:
    found = find_problems(split("test", queries=GOOD[:1], candidates=GOOD[1:2]))
    assert kinds(found) == {"attributes without queries": (1, False)}


def test_no_queries_stop_training_in_valid_only() -> None:
    candidates = [(4, 0, 0)]
    assert kinds(find_problems(split("valid", candidates=candidates))) == {"no queries": (1, True)}
    assert kinds(find_problems(split("test", candidates=candidates))) == {"no queries": (1, False)}


def test_missing_images_stop_training_when_none_is_left() -> None:
    assert kinds(find_problems(split("train", labels=GOOD, missing=[5]))) == {
        "missing images": (1, False)
    }
    for name, stops in (("train", True), ("valid", True), ("test", False)):
        found = find_problems(split(name, missing=range(6)))
        assert kinds(found) == {"missing images": (6, stops)}


def test_random_maps_of_a_split_by_hand() -> None:
    # length: one relevant of two, (1 + 1/2) / 2 = 3/4; no relevant, 0. neck: all relevant, 1.
    queries = [(0, 0, 0), (1, 0, 2), (2, 1, 1)]
    candidates = [(3, 0, 0), (4, 0, 1), (5, 1, 1)]
    maps = random_maps(split("test", queries=queries, candidates=candidates))
    expected = {"length": 3 / 8, "neck": 1.0, "overall": 1.75 / 3, "macro": (3 / 8 + 1) / 2}
    assert list(maps) == list(expected)
    np.testing.assert_allclose(list(maps.values()), list(expected.values()), rtol=1e-15)
