"""Committed tables follow from the committed runs: whoever doubts one need not train anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kept_results import ROOT, kept, table

from asen_study import tables
from asen_study.runs import finished_runs
from asen_study.tables.writing import as_csv
from asen_tf.config import ExperimentConfig
from data_prep.archives import unpack

STUDIES = sorted(path.parent.name for path in (ROOT / "results").glob("*/runs.zip"))


@pytest.fixture(scope="module", params=STUDIES)
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Give a study's name, the folder of its runs, and its tables, collected from them."""
    folder = tmp_path_factory.mktemp("runs")
    unpack(ROOT / "results" / request.param / "runs.zip", folder)
    settings = json.loads(kept(f"{request.param}/provenance.json"))["settings"]
    config = ExperimentConfig().override(**settings)
    return request.param, folder, tables.collect(folder, config)


def test_the_tables_are_those_of_the_runs(study) -> None:
    name, _, collected = study
    assert as_csv(collected.map) == kept(f"{name}/map.csv")
    assert as_csv(collected.history) == kept(f"{name}/history.csv")
    assert as_csv(tables.compare(collected)) == kept(f"{name}/pairs.csv")


def test_a_map_is_the_mean_of_its_queries(study) -> None:
    name, _, collected = study
    rows = table(name, "map.csv").set_index(["method", "embedding", "seed", "attribute"])["map"]
    for run, row in zip(collected.selection.runs, collected.selection.rows, strict=True):
        with np.load(run.path / "queries.npz", allow_pickle=False) as stored:
            for key in stored.files:
                embedding, attribute = key.split("/", 1)
                if embedding != "random":
                    expected = rows[row, embedding, run.settings["seed"], attribute]
                    assert 100 * stored[key].mean() == pytest.approx(expected, abs=1e-4)


def test_they_are_all_runs_of_the_table_and_small(study) -> None:
    name, folder, _ = study
    origin = json.loads(kept(f"{name}/provenance.json"))
    assert {run.path.name for run in finished_runs(folder)} == {
        *(run["run"] for run in origin["runs"]),
        *origin["left_out"],
    }
    assert {path.suffix for path in folder.glob("*/*")} <= {".json", ".csv", ".npz"}
    assert (ROOT / "results" / name / "runs.zip").stat().st_size < 2**20
