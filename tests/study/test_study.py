"""The study as a user runs it: notebooks by papermill, from the pipeline, on the smoke preset."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import papermill
import pytest
from bs4 import BeautifulSoup
from notebook_cells import run_here
from study_process import run_study

from asen_study import experiment, records, tables
from asen_study.findings import finding
from asen_study.matrix import settings
from asen_study.runs import Places
from asen_tf.config import ConfigError
from asen_tf.data import read_meta
from asen_tf.presets import smoke
from data_prep.archives import unpack

ROOT = Path(__file__).parents[2]
MAP_COLUMNS = "method,embedding,seed,attribute,map,ci_low,ci_high,queries"
PAIR_COLUMNS = "method_a,method_b,attribute,difference,ci_low,ci_high"
LOCALISATION_COLUMNS = "method,seed,attribute,pointing,iou,centre_pointing,centre_iou"


@pytest.fixture(scope="module")
def folder(smoke_study: Path) -> Path:
    return smoke_study


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    printed, errors = ((folder / f"{name}.txt").read_text() for name in ("output", "errors"))
    assert not errors, printed[-3000:] + errors[-3000:]
    return printed


def test_pipeline_prints_the_table_and_the_paths(folder: Path, output: str) -> None:
    place = folder / "results" / "smoke"
    parts = (
        output.split("Mean average precision (MAP) on the test split, percent\n")[1]
        .strip()
        .split("\n\n")
    )
    table, said, below, after = parts
    scores = pd.read_csv(place / "map.csv").set_index(["method", "embedding", "attribute"])["map"]
    method, printed = "", {}
    for line in table.splitlines()[2:]:  # below the names of the columns
        *names, overall, macro = line.split()
        method, embedding = names if len(names) == 2 else (method, *names)
        printed[method, embedding, "overall"] = float(overall)
        printed[method, embedding, "macro"] = float(macro)
    expected = scores[scores.index.isin(["overall", "macro"], level=2)]
    assert printed == pytest.approx(expected.to_dict(), abs=0.0051)
    assert f"table:  {place / 'map.csv'}\nreport: {place / 'report.html'}" in below
    models = [line[8:] for line in below.splitlines() if line.startswith("model:  ")]
    assert [Path(path).is_file() for path in models] == [True] * 4
    # One line: without controls there is nothing to say of whether ASEN++ pays.
    assert said == finding(place) and "above a random ranking" in said
    told = [line.strip() for line in after.splitlines()[1:]]
    assert len(told) == 6 and told[0] == "make study DATASET=Shop RAW=IMAGES CSV=shop.csv"
    assert told[1] == "the same on your own photographs" and told[2] == "make explore STUDY=smoke"


def test_tables_have_the_agreed_columns(folder: Path, output: str) -> None:
    place = folder / "results" / "smoke"
    assert (place / "map.csv").read_text().splitlines()[0] == MAP_COLUMNS
    assert (place / "localisation.csv").read_text().splitlines()[0] == LOCALISATION_COLUMNS
    table = pd.read_csv(place / "map.csv")
    assert set(zip(table["method"], table["embedding"], strict=True)) == {
        ("random", "-"),
        *((method, "global") for method in ("triplet", "csn", "asen_v2", "asen_pp")),
        *(("asen_pp", embedding) for embedding in ("local", "fused")),
    }
    assert {"overall", "macro"} < set(table["attribute"])
    pairs = pd.read_csv(place / "pairs.csv")
    assert list(pairs.columns) == PAIR_COLUMNS.split(",")
    compared = set(zip(pairs["method_a"], pairs["method_b"], strict=True))
    assert {("triplet", "random"), ("asen_pp", "asen_v2")} < compared


def test_differences_are_those_of_the_table(folder: Path, output: str) -> None:
    place = folder / "results" / "smoke"
    table, pairs = (pd.read_csv(place / f"{name}.csv") for name in ("map", "pairs"))
    scores = table.set_index(["method", "embedding", "attribute"])["map"]
    embeddings = {"random": "-", "asen_pp": "fused"}
    for row in pairs.itertuples():
        values = []
        for name in (row.method_a, row.method_b):
            method, _, embedding = name.partition(":")
            embedding = embedding or embeddings.get(method, "global")
            values.append(scores[method, embedding, row.attribute])
        assert row.difference == pytest.approx(values[0] - values[1], abs=2e-4)
        assert not row.ci_low > row.difference + 1e-3 and not row.ci_high < row.difference - 1e-3


def test_costs_count_what_each_embedding_needs(folder: Path, output: str) -> None:
    costs = pd.read_csv(folder / "results/smoke/costs.csv").set_index(["method", "embedding"])
    parts = costs["parameters"]
    assert parts["asen_pp", "global"] < parts["asen_pp", "local"] == parts["asen_pp", "fused"]
    assert (parts["csn", "global"] - parts["triplet", "global"]) == 8 * 16  # masks, 16 dimensions
    assert costs["ms_per_image"].between(0.01, 1000).all()
    assert set(costs["images_seen"]) == {4 * 3 * 8}  # epochs, steps, images a step


def test_runs_brought_without_models_are_counted_and_measured_but_not_trained_again(
    folder: Path, output: str, tmp_path: Path
) -> None:
    """Only a run's small files are there, as `results/photos/runs.zip` holds them."""
    (run,) = (folder / "results" / "smoke").glob("csn-seed0-*")
    names = ("*.json", "*.csv", "*.npz")
    for path in (path for name in names for path in run.glob(name) if path.stem != "test_pairs"):
        brought = tmp_path / "smoke" / run.name / path.name
        brought.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, brought)
    collected = tables.collect(tmp_path / "smoke", smoke())
    costs = tables.measure_costs(collected, Places(folder / "data", tmp_path, "smoke"))
    known = pd.read_csv(folder / "results/smoke/costs.csv").query("method == 'csn'")
    columns = ["method", "embedding", "parameters", "images_seen"]
    assert costs[columns].values.tolist() == known[columns].values.tolist()
    again = experiment.run(settings("csn", smoke()), Places(folder / "data", tmp_path, "smoke"))
    assert again.path == tmp_path / "smoke" / run.name
    assert not (again.path / "model.keras").exists()  # nothing was trained


def test_reranking_is_a_table_of_what_is_possible(folder: Path, output: str) -> None:
    table = pd.read_csv(folder / "results/smoke/rerank.csv")
    assert table.columns.equals(pd.read_csv(ROOT / "results/quick/rerank.csv").columns)
    asked = {(50, step / 10) for step in range(11)} | {(size, 1.0) for size in (20, 100, 400)}
    assert set(zip(table["top"], table["weight"], strict=True)) == asked
    names = {*read_meta(folder / "data", "Garments").names, "overall", "macro"}
    assert set(table["attribute"]) <= names and len(table) % (len(asked) * 4) == 0
    parts = table.filter(regex="precision|kept"), table.filter(regex="^similarity")
    assert parts[0].stack().between(0, 100).all() and parts[1].stack().between(-1, 1).all()
    before, after, gain = (table[name] for name in ("precision_before", "precision_after", "gain"))
    assert (after - before - gain).abs().max() < 1e-3 and (table["loss"] > -1e-5).all()
    others = table[["precision_after", "precision_random"]].max(axis=1)
    assert (table["precision_oracle"] > others - 1e-3).all()
    assert not table[table["weight"] == 0][["gain", "loss"]].any(axis=None)


def test_report_is_one_page_with_pictures_and_no_code(folder: Path, output: str) -> None:
    page = BeautifulSoup((folder / "results/smoke/report.html").read_text(), "html.parser")
    titles = [title.get_text() for title in page.find_all("h1")]
    numbered = [int(title.split(".")[0]) for title in titles if title[0].isdigit()]
    assert numbered == [2, 3, 4, 5, 7, 8, 1]  # examples of the data come last
    assert (folder / "results/smoke/report.html").stat().st_size < 4_000_000
    pictures = page.find_all("img")
    assert len(pictures) > 10
    assert all(picture["src"].startswith("data:") for picture in pictures)
    # What nbconvert says of a picture without a text is nothing to a reader.
    assert not [p["alt"] for p in pictures if not p["alt"] or p["alt"].startswith("No description")]
    assert not page.find_all(["script", "link", "iframe"])
    assert not page.select("div.jp-InputArea pre")


def test_second_call_runs_no_notebook(folder: Path, output: str) -> None:
    executed = sorted((folder / "results/smoke/notebooks").glob("*.ipynb"))
    before = [path.stat().st_mtime_ns for path in executed]
    assert len(executed) == 10  # four of them trainings
    assert run_study(folder).returncode == 0
    assert [path.stat().st_mtime_ns for path in executed] == before


def test_the_notebook_of_ablations_reads_whatever_rows_there_are(
    folder: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"data_dir": str(folder / "data"), "results_dir": str(folder / "results")}
    asked = {"preset": "smoke", **places, "study": "smoke"}
    run_here(ROOT / "notebooks/06_ablations.ipynb", asked)
    assert "Rows without a finished run: Triplet network, hardest" in capsys.readouterr().out
    first = pd.read_csv(folder / "results" / "smoke" / "map_first_test.csv")
    own = pd.read_csv(folder / "results" / "smoke" / "map.csv")
    assert ",".join(first.columns) == MAP_COLUMNS and (first["method"] == "random").sum() > 2
    assert set(first["method"]) == set(own["method"])
    assert not first["map"].equals(own["map"])  # other images
    figures = folder / "results" / "smoke" / "figures"
    drawn = ("methods", "differences", "fusion_weight", "training_bands", "attention_methods")
    for name in (*drawn, "spaces", "all_spaces"):
        assert (figures / f"{name}.png").stat().st_size > 5_000


def test_it_makes_the_same_tables_from_the_records_of_runs(folder: Path, output: str) -> None:
    """After the test above, as a study that goes on where another machine stopped."""
    study, again = folder / "results" / "smoke", folder / "elsewhere" / "smoke"
    assert records.pack(study, folder / "runs.zip") == 4
    unpack(folder / "runs.zip", again)
    (last,) = (run.name for run in study.glob("csn-*"))
    shutil.rmtree(again / last)
    shutil.copytree(study / last, again / last)  # what was trained here
    places = {"data_dir": str(folder / "data"), "results_dir": str(again.parent)}
    run_here(ROOT / "notebooks/06_ablations.ipynb", {"preset": "smoke", **places, "study": "smoke"})
    for name in ("map", "map_first_test", "pairs", "history", "fusion", "localisation"):
        assert (again / f"{name}.csv").read_text() == (study / f"{name}.csv").read_text(), name
    drawn = {path.stem for path in (again / "figures").glob("*.png")}
    assert {"methods", "differences", "fusion_weight", "training_bands", "spaces"} <= drawn
    assert not drawn & {"attention_methods", "local_views"}


@pytest.mark.parametrize(("method", "message"), [("cnn", "'csn'"), ("asen_pp/no_asaa", "no_asa'")])
def test_misspelt_method_fails_and_names_the_nearest(method: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean .*{message}"):
        run_here(ROOT / "notebooks/03_train.ipynb", {"preset": "smoke", "method": method})


def test_misspelt_parameter_fails_and_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(papermill.PapermillExecutionError, match="did you mean 'margin'"):
        papermill.execute_notebook(
            ROOT / "notebooks/03_train.ipynb",
            tmp_path / "out.ipynb",
            parameters={"preset": "smoke", "marign": 0.3},
            cwd=ROOT,
            progress_bar=False,
        )
