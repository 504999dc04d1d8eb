"""Several attributes at once, and filters: checked against a plain loop over all items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_vectors import (
    KnownEmbedder,
    brute_force,
    exact_score,
    paths,
    random_vectors,
    tied_vectors,
)

from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search.items import matching

COUNT = 5000
NAMES = ("neckline", "sleeve", "buttons")
WEIGHTS = [
    {"neckline": 1.0},
    {"sleeve": -1.0},
    {"neckline": 0.7, "sleeve": 0.3},
    {"neckline": 0.5, "sleeve": -0.25, "buttons": 2},
    {"neckline": 1.0, "sleeve": 0.0},
]


@pytest.fixture(scope="module", params=["random", "tied"])
def index(request: pytest.FixtureRequest) -> AttributeIndex:
    make = {"random": random_vectors, "tied": tied_vectors}[request.param]
    table = {name: make(COUNT, 12, seed) for seed, name in enumerate(NAMES)}
    metadata = [{"brand": "abc"[at % 3], "price": at % 10} for at in range(COUNT)]
    ids = np.random.default_rng(9).permutation(COUNT).tolist()
    index = AttributeIndex.build(
        KnownEmbedder(**table), paths(COUNT), metadata, ids=ids, backend="exact"
    )
    index.prepare()
    return index


@pytest.mark.parametrize("filters", [None, {"brand": "b", "price": [1, 4, 7]}], ids=["all", "some"])
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("k", [1, 10, 300])
def test_the_weighted_sum_ranks_as_a_plain_loop_says(
    index: AttributeIndex, weights: dict[str, float], k: int, filters: dict[str, Any] | None
) -> None:
    query, table = 33, index.store.embedder.table
    parts = {name: [exact_score(v, table[name][query]) for v in table[name]] for name in weights}
    totals = [
        sum(weights[name] * parts[name][row] for name in weights if weights[name])
        for row in range(COUNT)
    ]
    rows = [at for at in range(COUNT) if not filters or (at % 3 == 1 and at % 10 in (1, 4, 7))]
    ids = index.ids.tolist()
    expected = brute_force(totals, ids, k, {ids[row] for row in rows})
    hits = index.search(f"{query}.png", weights, k, filters)
    assert [hit.id for hit in hits] == expected
    for hit in hits[:10]:
        row = ids.index(hit.id)
        assert hit.image == index.images[row] and hit.metadata == index.metadata[row]
        assert hit.score == pytest.approx(totals[row], abs=1e-12)
        assert hit.parts == pytest.approx({n: parts[n][row] for n in weights}, abs=1e-12)


def test_an_item_that_no_attribute_proposes_can_tie_for_the_best() -> None:
    # Of two per attribute, a proposes 9 and 0, b proposes 8 and 1: nobody thought of 3, which
    # scores as 8 and 9 do, and has the lowest id.
    cosines = {0: (0.5, 0), 1: (0, 0.5), 3: (0.5, 0.5), 8: (0.25, 0.75), 9: (0.75, 0.25)}
    columns = np.array([*cosines.values(), (1, 1)])  # the last is the query
    vectors = np.stack([columns, np.sqrt(1 - columns**2)], axis=-1).astype(np.float32)
    embedder = KnownEmbedder(a=vectors[:, 0], b=vectors[:, 1])
    index = AttributeIndex.build(embedder, paths(5), ids=list(cosines))
    hits = index.search("5.png", {"a": 1, "b": 1}, k=2)
    assert [(hit.id, hit.score) for hit in hits] == [(3, 1.0), (8, 1.0)]


def test_more_than_there_are_gives_all_once(index: AttributeIndex) -> None:
    hits = index.search("0.png", {"neckline": 1, "sleeve": 1}, COUNT + 7)
    assert sorted(hit.id for hit in hits) == list(range(COUNT))


def test_the_graph_misses_little_and_scores_exactly(index: AttributeIndex) -> None:
    graph = AttributeIndex.build(index.store.embedder, index.images, backend="hnsw", ids=index.ids)
    weights = {"neckline": 0.7, "sleeve": 0.3}
    hits, best = (each.search("33.png", weights, 10) for each in (graph, index))
    by_id = {hit.id: hit.score for hit in index.search("33.png", weights, COUNT)}
    assert [hit.score for hit in hits] == [by_id[hit.id] for hit in hits]  # the very same numbers
    keys = [(-hit.score, hit.id) for hit in hits]
    assert keys == sorted(keys) and len(hits) == 10
    assert hits[0] == best[0] or hits[0].score == best[0].score
    assert sum(hit.score for hit in hits) > 0.85 * sum(hit.score for hit in best)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "by its name, or for several as"),
        (["sleeve"], "by its name, or for several as"),
        ({"sleeve": 0.0}, "at least one weight must not be 0"),
        ({"sleeve": float("nan")}, "finite number; got nan for 'sleeve'"),
        ({"sleeve": True}, "finite number; got True"),
        ({"sleeve": "1"}, "finite number; got '1'"),
        ({"sleev": 1.0}, "does not know the attribute 'sleev'; did you mean 'sleeve'?"),
        ("colour", "does not know the attribute 'colour'; there are buttons, neckline, sleeve"),
    ],
    ids=str,
)
def test_unfit_attributes_and_weights_are_refused(index, weights, message: str) -> None:
    with pytest.raises(SearchIndexError, match=message.replace("?", r"\?")):
        index.search("0.png", weights)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"brnd": "a"}, "no item has a field 'brnd' to filter by; did you mean 'brand'"),
        ({"zzz": "a"}, "field 'zzz' to filter by; there are brand, price"),
        ({"brand": lambda fields: True}, "got a function for 'brand'"),
        ({"brand": [{1, 2}]}, "must be JSON's"),
    ],
    ids=["near", "far", "function", "set in a list"],
)
def test_unfit_filters_are_refused(index, filters, message: str) -> None:
    with pytest.raises(SearchIndexError, match=message):
        index.search("0.png", "sleeve", filters=filters)


def test_a_filter_that_nothing_passes_finds_nothing(index: AttributeIndex) -> None:
    assert index.search("0.png", "sleeve", filters={"brand": "z"}) == []
    assert index.search("0.png", "sleeve", filters={"brand": []}) == []


VALUES = st.sampled_from([None, True, False, 0, 1, 1.0, 2, "1", "", "a", (1, 2), [1, 2], [True, 2]])


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("xyz"), VALUES)), VALUES, st.lists(VALUES))
def test_filters_compare_as_json_does(rows, value, values) -> None:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, list | tuple) and isinstance(b, list | tuple):
            return len(a) == len(b) and all(map(same, a, b))
        return isinstance(a, bool) == isinstance(b, bool) and a == b

    if rows and not any("x" in row for row in rows):
        return  # an unknown field: tested above
    wanted = [value] if not isinstance(value, list | tuple) else value
    found = matching(rows, {"x": value})
    assert found.tolist() == ["x" in r and any(same(r["x"], v) for v in wanted) for r in rows]
    found = matching(rows, {"x": values})
    assert found.tolist() == ["x" in r and any(same(r["x"], v) for v in values) for r in rows]
