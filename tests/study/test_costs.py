"""Costs measured without runs are those of runs: the cost does not depend on the weights."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kept_results import ROOT, kept, read_back, table

from asen_study.matrix import settings
from asen_study.tables import measure_untrained_costs, write
from asen_study.tables.costs import count_parameters
from asen_tf.models import build_model
from asen_tf.presets import compact, smoke
from data_prep.garments.values import ATTRIBUTES

RESULTS = ROOT / "results"
STUDIES = [path.parent.name for path in sorted(RESULTS.glob("*/map.tex"))]
KEYS = ["method", "embedding"]
COLUMNS = [*KEYS, "parameters", "ms_per_image", "images_seen"]


def test_models_of_configs_have_the_parameters_of_the_trained_ones() -> None:
    committed = pd.read_csv(RESULTS / "compact" / "costs.csv").set_index(KEYS)["parameters"]
    for row in ("csn/disjoint", "asen_v2", "asen_pp/separate_tables"):
        model = build_model(settings(row, compact()), list(ATTRIBUTES))
        assert count_parameters(model, joint=False) == committed[row, "global"], row
        if model.local_layers:
            both = count_parameters(model, joint=True)
            assert both == committed[row, "local"] == committed[row, "fused"], row


def test_each_embedding_is_measured_and_the_global_one_alone() -> None:
    rows = ("triplet", "asen_pp/true_region")
    costs = measure_untrained_costs({row: settings(row, smoke()) for row in rows}, ("a", "b", "c"))
    assert list(costs.columns) == COLUMNS
    expected = [("triplet", "global")]
    expected += [(row, part) for row in rows[1:] for part in ("global", "local", "fused")]
    assert list(costs[KEYS].itertuples(index=False, name=None)) == expected
    assert costs["ms_per_image"].between(0.001, 1000).all()
    found = costs.set_index(KEYS)
    whole, local, fused = (found.loc[(rows[1], part)] for part in ("global", "local", "fused"))
    assert local.equals(fused)  # what two branches take is one measurement
    assert local["parameters"] > whole["parameters"]
    assert set(costs["images_seen"]) == {4 * 3 * 8}  # epochs, steps, images a step


def test_untrained_models_cost_what_those_of_the_committed_study_did_but_for_the_time() -> None:
    rows, kept_columns = ("csn", "asen_pp"), [*KEYS, "parameters", "images_seen"]
    study = read_back("quick").config
    costs = measure_untrained_costs({row: settings(row, study) for row in rows}, [*ATTRIBUTES])
    committed = table("quick", "costs.csv").query("method in @rows").reset_index(drop=True)
    pd.testing.assert_frame_equal(costs[kept_columns], committed[kept_columns])


@pytest.mark.parametrize("study", STUDIES)
def test_the_committed_tables_to_read_follow_from_the_others(study: str, tmp_path: Path) -> None:
    write(read_back(study), tmp_path, costs=table(study, "costs.csv"))
    for name in ("map.md", "map.tex"):
        assert (tmp_path / name).read_text(encoding="utf-8") == kept(f"{study}/{name}"), name
