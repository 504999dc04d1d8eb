"""The notebook as a user runs it: on a study's run and test split, and on your own catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import hostile_catalogue
import papermill
import pytest
from bs4 import BeautifulSoup
from notebook_cells import run_here

from asen_apps.evidence import EvidenceError, find_model, first_design
from asen_study import experiment
from asen_study.runs import Places
from asen_tf.data import read_split
from asen_tf.presets import smoke
from data_prep.synthetic import make_dataset

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/08_design_evidence.ipynb"
SETTINGS = {"preset": "smoke", "method": "csn", "starting_weights": "random"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study")
    make_dataset(path / "data", images=100, size=64, dataset="Garments")
    config = smoke().override(method="csn", starting_weights="random")
    experiment.run(config, Places(path / "data", path / "results", "smoke"))
    return path


def execute(folder: Path, output: Path) -> str:
    places = {"data_dir": str(folder / "data"), "results_dir": str(folder / "results")}
    executed = papermill.execute_notebook(
        NOTEBOOK,
        output / "out.ipynb",
        parameters={
            **SETTINGS,
            **places,
            "study": "smoke",
            "model": places["results_dir"] + "/smoke",
        },
        cwd=ROOT,
        progress_bar=False,
    )
    return "".join(
        str(out.get("data", out.get("text", "")))
        for cell in executed.cells
        for out in cell.get("outputs", [])
    )


def test_on_a_study_it_shows_and_writes_the_sheet(folder: Path, tmp_path: Path) -> None:
    output = execute(folder, tmp_path)
    page, numbers = sorted((folder / "results/smoke/evidence").iterdir())
    assert str(page) in output and str(numbers) in output
    said = json.loads(numbers.read_text(encoding="utf-8"))
    split = read_split(folder / "data", "Garments", "test")
    (run,) = (folder / "results/smoke").glob("csn-*/manifest.json")
    manifest = json.loads(run.read_text(encoding="utf-8"))
    assert said["catalogue"]["images"] == len(split.files)
    assert said["catalogue"]["same_files"] and said["model"]["run"] == run.parent.name
    for name in ("config_hash", "commit", "code_fingerprint", "data_fingerprint"):
        assert said["model"][name] == manifest[name]
    shown = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    assert manifest["config_hash"] in shown.get_text()
    assert "This model has no attention" in output
    assert "What this sheet is not" in output and "What is usual in this catalogue" in output


def test_on_ones_own_catalogue_and_model(folder: Path, tmp_path: Path) -> None:
    hostile_catalogue.make(tmp_path)
    places = {"data_dir": str(folder / "data"), "results_dir": str(tmp_path / "results")}
    own = dict(
        model=str(tmp_path / "model.keras"),
        design=str(tmp_path / "design.png"),
        catalogue=str(tmp_path / "catalogue"),
        attributes=["sleeve", "buttons"],
        weights=[3, 1],
        top=2,
        name="own",
    )
    run_here(NOTEBOOK, {**SETTINGS, **places, "study": "smoke", **own})
    said = json.loads((tmp_path / "results/smoke/evidence/own.json").read_text(encoding="utf-8"))
    assert said["weights"] == {"sleeve": 0.75, "buttons": 0.25}
    assert [len(view["found"]) for view in said["views"]] == [2, 2, 2]
    page = (tmp_path / "results/smoke/evidence/own.html").read_text(encoding="utf-8")
    assert page.count(": attention map, strongest") == 2 * 2 * 2 + 2 * 2 * 2


def test_what_cannot_be_made_is_refused_before_the_catalogue_is_read(
    folder: Path, tmp_path: Path
) -> None:
    places = {"data_dir": str(folder / "data"), "results_dir": str(folder / "results")}
    asked = {**SETTINGS, **places, "study": "smoke", "catalogue": str(tmp_path / "nowhere")}
    for wrong, message in (
        ({"name": "../up"}, "must be made of letters"),
        ({"top": 0}, "must be 1 or more; got 0"),
        ({"weights": [1.0]}, "one weight above 0 for each"),
        ({"design": str(tmp_path / "lost.png")}, "design image cannot be used"),
        ({}, "catalogue must be a folder of images"),
    ):
        with pytest.raises(EvidenceError, match=message):
            run_here(NOTEBOOK, {**asked, **wrong})


def test_without_a_finished_run_it_says_what_to_do(folder: Path) -> None:
    message = "no finished run of triplet, seed 0, .* finished: csn-seed0-.*; train it by .*"
    message += "or name a model, such as `-p model .*smoke`"
    with pytest.raises(EvidenceError, match=message):
        find_model(folder / "results/smoke", smoke().override(method="triplet"))
    with pytest.raises(EvidenceError, match="finished: none"):
        find_model(folder / "results/other", smoke())


def test_the_design_by_rule_is_the_first_with_most_of_the_labels(folder: Path) -> None:
    split = read_split(folder / "data", "Garments", "test")
    names = ["neckline_design", "sleeve_length", "collar_design"]
    best, most = "", -1
    for index, name in enumerate(split.files):
        labels = {split.attributes.names[row[1]] for row in split.labels if row[0] == index}
        if len(labels & set(names)) > most:
            best, most = name, len(labels & set(names))
    assert most >= 1
    assert first_design(folder / "data", "Garments", names) == split.root / best
    assert first_design(folder / "data", "Garments", ["other"]) == split.path(0)
