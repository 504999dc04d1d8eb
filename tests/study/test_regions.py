"""What other rules for regions would take: against hand-worked squares and a run's own regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from naive_regions import naive_box

from asen_study.production import open_dataset
from asen_study.runs import Places, finished_runs
from asen_study.tables import region_cells, region_geometry
from asen_study.tables.regions import geometry, rules, squares_of
from asen_tf.evaluation.retrieval import embed_labelled_pairs


def test_squares_and_boxes_by_hand() -> None:
    squares = np.array([[0, 0, 50, 50], [20, 20, 60, 60], [0, 0, 100, 100], [80, 80, 100, 100]])
    boxes = np.array([[0.25, 0.0, 0.75, 0.5], [0.3, 0.3, 0.5, 0.4], [0.2, 0.2, 0.4, 0.7]])
    boxes = np.concatenate([boxes, [[0.0, 0.0, 0.5, 0.5]]])
    found = geometry(squares, boxes, map_size=100)
    assert found["side"] == pytest.approx([0.5, 0.4, 1.0, 0.2])
    # Half of the first part, all of the second and third, nothing of the last.
    assert found["coverage"] == pytest.approx([0.5, 1.0, 1.0, 0.0])
    assert found["whole"].tolist() == [0, 1, 1, 0]
    assert found["filled"] == pytest.approx([0.125 / 0.25, 0.02 / 0.16, 0.1, 0.0])


def test_every_rule_is_compared_once() -> None:
    found = list(rules())
    assert len(found) == len(set(found)) == 3 * (6 + 3 + 6)


@pytest.mark.parametrize("rule", ["threshold", "mass", "peak"])
@pytest.mark.parametrize("value", [0.3, 0.7])
def test_each_rule_takes_the_squares_of_the_naive_loop(rule: str, value: float) -> None:
    maps = np.random.default_rng(3).gamma(0.3, size=(40, 5, 5)).astype(np.float32)
    found = squares_of(maps, rule, value, map_size=20, extent=(0.0, 1.0), least=0.3)
    compared = 0
    for one, square in zip(maps, found, strict=True):
        expected = naive_box(one, 20, value, rule=rule, share=value, least=0.3)
        if expected is not None:  # rounding does not decide
            assert tuple(square) == expected
            compared += 1
    assert compared > 20


def test_a_runs_own_rule_gives_its_own_regions(smoke_study: Path) -> None:
    places = Places(smoke_study / "data", smoke_study / "results", "smoke")
    runs = [run for run in finished_runs(places.study_dir) if run.evaluated]
    run = next(run for run in runs if run.config.method == "asen_pp")
    table = region_geometry(run, run.config.method, places)
    dataset = open_dataset(run.config, places)
    truths = dataset.true_boxes("valid")
    embedded = embed_labelled_pairs(run.load_model(), dataset.split("valid"), batch=64)
    sides: dict[str, list[float]] = {}
    covered: dict[str, list[float]] = {}
    for (image, attribute), square in zip(embedded.pairs, embedded.arrays["boxes"], strict=True):
        if (image, attribute) not in truths:
            continue
        left, top, right, bottom = truths[image, attribute]
        edges = square / run.config.global_size  # top, left, bottom, right
        wide = max(0.0, min(right, edges[3]) - max(left, edges[1]))
        high = max(0.0, min(bottom, edges[2]) - max(top, edges[0]))
        for name in (dataset.attributes.names[attribute], "overall"):
            sides.setdefault(name, []).append(100 * (edges[2] - edges[0]))
            covered.setdefault(name, []).append(
                100 * wide * high / ((right - left) * (bottom - top))
            )
    threshold = run.config.roi_threshold
    own = table.query(f"rule == 'threshold' and value == {threshold} and least == 0")
    assert dict(zip(own["attribute"], own["pairs"], strict=True)) == {
        n: len(s) for n, s in sides.items()
    }
    for name, part in own.set_index("attribute").iterrows():
        assert part["side"] == pytest.approx(np.mean(sides[name]))
        assert part["coverage"] == pytest.approx(np.mean(covered[name]))
    laid_out = region_cells(table)
    assert laid_out.shape == (15, 6)
    assert laid_out.loc[("threshold", threshold), ("side", "least 0")] == pytest.approx(
        np.mean(sides["overall"]), abs=0.06
    )
    # A larger least side never makes a region smaller, nor does a larger share of the mass.
    mean = laid_out["side"]
    assert (mean["least 0"] <= mean["least 0.3"]).all()
    assert (mean["least 0.3"] <= mean["least 0.5"]).all()
    assert mean.loc["mass", "least 0"].is_monotonic_increasing
    assert set(table["method"]) == {"asen_pp"} and set(table["seed"]) == {run.config.seed}


def test_a_method_without_maps_has_no_regions(smoke_study: Path) -> None:
    places = Places(smoke_study / "data", smoke_study / "results", "smoke")
    runs = [run for run in finished_runs(places.study_dir) if run.evaluated]
    run = next(run for run in runs if run.config.method == "triplet")
    assert region_geometry(run, run.config.method, places).empty
    assert region_cells(region_geometry(run, run.config.method, places)).empty
