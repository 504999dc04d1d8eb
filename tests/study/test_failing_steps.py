"""A study in which a backbone and a row really fail: the rest of the table is still made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from study_process import run_study

from asen_study.experiment import _PRETRAIN_FIELDS
from asen_study.production import key, open_dataset
from asen_study.runs import Places
from asen_tf.presets import smoke
from data_prep.synthetic import make_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place with data, where files stand in the way of a run and of a backbone."""
    place = tmp_path_factory.mktemp("failing")
    make_dataset(place / "data", images=160, test_images=16, size=96)
    dataset = open_dataset(smoke(), Places(place / "data"))
    start = {name: smoke().override(seed=1).to_dict()[name] for name in _PRETRAIN_FIELDS}
    study = place / "results" / "smoke"
    study.mkdir(parents=True)
    # A run is a directory: a file of its name can neither be read nor be replaced by it.
    (study / f"asen_pp-seed0-{key(smoke().to_dict(), dataset)}").touch()
    (study / f"backbone-seed1-{key(start, dataset)}").touch()
    return place


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return run_study(folder, "rows=triplet,asen_pp", "seeds=0,1")


def test_the_table_is_made_of_what_did_not_fail(folder: Path, done) -> None:
    table = pd.read_csv(folder / "results/smoke/map.csv")
    ranked = table[table["method"] != "random"]
    assert set(zip(ranked["method"], ranked["seed"], strict=True)) == {("triplet", 0)}
    assert "(MAP) on the test split, percent" in done.stdout


def test_failures_are_told_with_their_reasons_and_the_exit_status(folder: Path, done) -> None:
    assert done.returncode != 0
    assert "== asen_pp-seed0: FAILED (PapermillExecutionError), see " in done.stdout
    assert "== backbone-seed1: FAILED (PapermillExecutionError), see " in done.stdout
    for name, needed in (
        ("asen_pp-seed1", "backbone-seed1"),
        ("triplet-seed1", "backbone-seed1"),
        ("evaluate", "asen_pp-seed0"),
        ("rerank", "asen_pp-seed0"),
        ("evidence", "asen_pp-seed0"),
    ):
        assert f"== {name}: SKIPPED: needs {needed}; why: " in done.stdout
    failed = folder / "results/smoke/failed"
    names = ["asen_pp-seed0", "backbone-seed1", "asen_pp-seed1", "triplet-seed1"]
    names += ["evaluate", "rerank", "evidence"]
    listed = [line for line in done.stdout.splitlines() if line.startswith("FAILED: ")]
    assert listed == [f"FAILED: {name}; why: {failed / name}.txt" for name in names]
    assert "NotADirectoryError" in (failed / "backbone-seed1.txt").read_text()
    assert "backbone-seed1.txt" in (failed / "triplet-seed1.txt").read_text()


def test_the_report_says_what_is_not_in_it(folder: Path, done) -> None:
    page = (folder / "results/smoke/report.html").read_text(encoding="utf-8")
    assert page.count("failed in this study: there is nothing to show") == 4
    for name in ("03_train-asen_pp-seed0", "04_evaluate", "07_rerank", "08_design_evidence"):
        assert f"<strong>{name} failed" in page


def test_a_skipped_cell_is_not_counted_among_the_runs(folder: Path, done) -> None:
    # How many are left depends on which of two steps side by side ends first.
    assert re.search(r"; 2 of [234] runs, ", done.stdout) and "; 3 of" not in done.stdout
    assert not (folder / "results/smoke/logs/triplet-seed1.log").exists()
