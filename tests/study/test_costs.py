"""Costs measured without runs are those of runs: the cost does not depend on the weights."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from asen_study.matrix import settings
from asen_study.tables import TableError, measure_untrained_costs, remeasure_costs
from asen_study.tables.costs import count_parameters, read_back
from asen_study.tables.writing import tables_to_read
from asen_tf.models import build_model
from asen_tf.presets import compact, smoke
from data_prep.garments.values import ATTRIBUTES

RESULTS = Path(__file__).parents[2] / "results"
KEYS = ["method", "embedding"]
COLUMNS = [*KEYS, "parameters", "ms_per_image", "images_seen"]


def lines(text: str) -> list[list[str]]:
    """Return the cells of a Markdown table."""
    return [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]


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


@pytest.mark.parametrize("study", ["quick", "compact"])
def test_tables_read_back_are_written_as_they_were(study: str) -> None:
    place = RESULTS / study
    origin, selection, scores = read_back(place)
    costs = pd.read_csv(place / "costs.csv")
    config = compact().override(**origin["settings"])
    for name, text in tables_to_read(scores, costs, selection, config).items():
        assert text == (place / name).read_text(encoding="utf-8"), name


def test_measuring_again_changes_the_milliseconds_and_says_where(tmp_path: Path) -> None:
    """Measure two of the quick study's rows again, as if it had no others."""
    rows = ("csn", "asen_pp")
    scores, committed = (
        pd.read_csv(RESULTS / "quick" / f"{name}.csv") for name in ("map", "costs")
    )
    scores = scores[scores["method"].isin(("random", *rows))]
    committed = committed[committed["method"].isin(rows)].reset_index(drop=True)
    scores.to_csv(tmp_path / "map.csv", index=False)
    before = json.loads((RESULTS / "quick" / "provenance.json").read_text(encoding="utf-8"))
    before["runs"] = [run for run in before["runs"] if run["row"] in rows]
    (tmp_path / "provenance.json").write_text(json.dumps(before), encoding="utf-8")
    costs = remeasure_costs(tmp_path)
    written = pd.read_csv(tmp_path / "costs.csv")
    kept = ["method", "embedding", "parameters", "images_seen"]
    pd.testing.assert_frame_equal(written[kept], committed[kept])
    pd.testing.assert_series_equal(written["ms_per_image"], costs["ms_per_image"], atol=1e-4)
    # But for the milliseconds, each line reads as in the committed table.
    former = {cells[0]: cells for cells in lines((RESULTS / "quick/map.md").read_text("utf-8"))}
    head, _, *new = lines((tmp_path / "map.md").read_text(encoding="utf-8"))
    at = [cell.strip() for cell in head].index("ms per image")
    assert len(new) == 1 + len(written)
    for cells in new:
        old = former[cells[0]]
        assert cells[:at] + cells[at + 1 :] == old[:at] + old[at + 1 :]
    assert [cells[at].strip() for cells in new[1:]] == [
        f"{ms:.1f}" for ms in written["ms_per_image"]
    ]
    after = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    measured = after.pop("costs")
    assert after == before and {"commit", "created", "machine", "packages"} <= set(measured)
    assert (tmp_path / "map.tex").exists()


def test_without_tables_there_is_nothing_to_measure_again(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"map\.csv: the file is missing; costs can be"):
        remeasure_costs(tmp_path)
