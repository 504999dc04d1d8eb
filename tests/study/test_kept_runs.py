"""Committed tables follow from the committed runs: whoever doubts one need not train anything."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from kept_results import ROOT, kept, table

from asen_study import records, tables
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


def lines(text: str, rows: set[str]) -> list[str]:
    """Return a table's head and its lines of some rows of the matrix alone."""
    head, *others = text.splitlines()
    names = 2 if head.startswith("method_a") else 1
    return [head, *(one for one in others if {*one.split(",")[:names]} <= rows)]


def test_the_tables_are_those_of_the_runs(study) -> None:
    """A table may have rows of earlier code, too, whose runs are gone."""
    study_name, _, collected = study
    rows = {"random", *collected.selection.rows}
    rows |= {f"{row}:{part}" for row in rows for part in ("global", "local", "fused")}
    made = {name: getattr(collected, name) for name in ("map", "history", "fusion", "triplets")}
    made["pairs"] = tables.compare(collected)
    for name, frame in made.items():
        kept_lines = lines(kept(f"{study_name}/{name}.csv"), rows)
        assert as_csv(frame).splitlines() == kept_lines, name


def test_a_map_is_the_mean_of_its_queries(study) -> None:
    name, _, collected = study
    rows = table(name, "map.csv").set_index(["method", "embedding", "seed", "attribute"])["map"]
    for run, row in collected.selection.named:
        with np.load(run.path / "queries.npz", allow_pickle=False) as stored:
            for key in stored.files:
                embedding, attribute = key.split("/", 1)
                if embedding != "random":
                    expected = rows[row, embedding, run.settings["seed"], attribute]
                    assert 100 * stored[key].mean() == pytest.approx(expected, abs=1e-4)


def test_the_photographs_have_theirs() -> None:
    assert "photos" in STUDIES


def test_they_are_runs_of_the_table_and_small(study) -> None:
    name, folder, collected = study
    origin = json.loads(kept(f"{name}/provenance.json"))
    code = collected.selection.runs[0].origin[0]
    assert {run.path.name for run in finished_runs(folder)} == {
        *(run["run"] for run in origin["runs"] if run["code_fingerprint"] == code),
        *origin["left_out"],
    }
    assert {path.suffix for path in folder.glob("*/*")} <= {".json", ".csv", ".npz"}
    assert (ROOT / "results" / name / "runs.zip").stat().st_size < 4 * 2**20


def test_packing_the_runs_again_gives_the_same_archive(study, tmp_path: Path) -> None:
    name, folder, _ = study
    kept_archive, again = ROOT / "results" / name / "runs.zip", tmp_path / "runs.zip"
    assert records.main([str(folder), str(again)]) == 0
    with zipfile.ZipFile(kept_archive) as one, zipfile.ZipFile(again) as other:
        members = [member.filename for member in one.infolist()]
        assert [member.filename for member in other.infolist()] == members
        assert all(one.read(member) == other.read(member) for member in members)


def test_a_folder_without_runs_is_named_and_no_archive_replaced(tmp_path: Path, capsys) -> None:
    archive = tmp_path / "runs.zip"
    archive.write_bytes(b"an earlier one")
    assert records.main([str(tmp_path / "nothing"), str(archive)]) == 2
    assert f"{tmp_path / 'nothing'} has none" in capsys.readouterr().err
    assert archive.read_bytes() == b"an earlier one"
