"""The study as a user runs it: notebooks by papermill, from the pipeline, on the smoke preset."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import papermill
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
MAP_COLUMNS = "method,embedding,seed,attribute,map,ci_low,ci_high,queries"
LOCALISATION_COLUMNS = "method,seed,attribute,pointing,iou,centre_pointing,centre_iou"


def run_pipeline(folder: Path) -> str:
    command = [sys.executable, "-m", "doit", "-f", "dodo.py", "run"]
    command += ["--db-file", str(folder / "doit.db"), "smoke"]
    command += [f"data_dir={folder / 'data'}", f"results_dir={folder / 'results'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    return run_pipeline(folder)


def test_pipeline_prints_the_table_and_the_paths(folder: Path, output: str) -> None:
    place = folder / "results" / "smoke"
    for word in ("random", "global", "local", "fused", "overall", "macro"):
        assert word in output
    assert str(place / "map.csv") in output
    assert str(place / "report.html") in output


def test_tables_have_the_agreed_columns(folder: Path, output: str) -> None:
    place = folder / "results" / "smoke"
    assert (place / "map.csv").read_text().splitlines()[0] == MAP_COLUMNS
    assert (place / "localisation.csv").read_text().splitlines()[0] == LOCALISATION_COLUMNS
    table = pd.read_csv(place / "map.csv")
    assert set(zip(table["method"], table["embedding"], strict=True)) == {
        ("random", "-"),
        ("asen_pp", "global"),
        ("asen_pp", "local"),
        ("asen_pp", "fused"),
    }
    assert {"overall", "macro"} < set(table["attribute"])


def test_report_is_one_page_with_pictures_and_no_code(folder: Path, output: str) -> None:
    page = BeautifulSoup((folder / "results/smoke/report.html").read_text(), "html.parser")
    assert len(page.find_all("h1")) == 5
    pictures = page.find_all("img")
    assert len(pictures) > 10
    assert all(picture["src"].startswith("data:") for picture in pictures)
    assert not page.select("div.jp-InputArea pre")


def test_second_call_runs_no_notebook(folder: Path, output: str) -> None:
    executed = sorted((folder / "results/smoke/notebooks").glob("*.ipynb"))
    before = [path.stat().st_mtime_ns for path in executed]
    assert len(executed) == 5
    run_pipeline(folder)
    assert [path.stat().st_mtime_ns for path in executed] == before


def test_misspelt_parameter_fails_and_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(papermill.PapermillExecutionError, match="did you mean 'margin'"):
        papermill.execute_notebook(
            ROOT / "notebooks/03_train.ipynb",
            tmp_path / "out.ipynb",
            parameters={"preset": "smoke", "marign": 0.3},
            cwd=ROOT,
            progress_bar=False,
        )
