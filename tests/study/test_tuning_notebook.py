"""The tuning notebook on the smoke preset, and training with what it found."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import papermill
import pytest
from papermill import PapermillExecutionError, inspect_notebook
from tuning_formula import played

from asen_study.runs import Places
from asen_study.tuning import Search, verdict, write_trials
from asen_tf.presets import preset, smoke
from data_prep.synthetic import make_dataset

ROOT = Path(__file__).parents[2]
FIELDS = ["roi_threshold", "fusion_weight", "stage2_local_learning_rate"]
SEEDS = [1, 2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning"),
]


def execute(name: str, out: Path, parameters: dict[str, Any]) -> str:
    """Run a notebook; give all it printed."""
    out.mkdir(exist_ok=True)
    notebook = papermill.execute_notebook(
        ROOT / "notebooks" / f"{name}.ipynb",
        out / f"{name}.ipynb",
        parameters=parameters,
        cwd=ROOT,
        progress_bar=False,
    )
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("notebook")
    make_dataset(folder / "data", images=160, size=64, dataset="Garments")
    return {"data_dir": str(folder / "data"), "results_dir": str(folder / "results")}


@pytest.fixture(scope="module")
def said(places: dict[str, str]) -> str:
    parameters = {"preset": "smoke", "trials": 4, "fields": FIELDS, "seeds": SEEDS, **places}
    return execute("10_tune", Path(places["results_dir"]), parameters)


def test_it_ends_with_tables_figures_and_a_verdict(places: dict[str, str], said: str) -> None:
    place = Path(places["results_dir"]) / "tuning"
    trials, gained = (pd.read_csv(place / f"{name}.csv") for name in ("trials", "test"))
    assert list(trials["trial"]) == [1, 2, 3, 4]
    assert {"overall", "macro", "sleeve_length"} < set(gained["attribute"])
    assert set(gained["seeds"]) == {2}
    assert verdict(gained) in said and "; 4 ended" in said
    pictures = {path.name for path in (place / "figures").iterdir()}
    assert pictures == {"parallel_coordinates.png", "importance.png"}
    origin = json.loads((place / "provenance.json").read_text())
    assert origin["search"]["fields"] and origin["settings"] == preset("smoke").to_dict()


def test_what_was_measured_on_test_is_what_the_runs_say(places: dict[str, str], said: str) -> None:
    place = Path(places["results_dir"]) / "tuning"
    gained = pd.read_csv(place / "test.csv").set_index("attribute")
    sides = {"default": smoke(), "best": preset(str(place / "best.json"))}
    for name, config in sides.items():
        scores = []
        for path in place.glob("asen_pp-*/config.json"):
            settings = json.loads(path.read_text())
            wanted = [config.override(seed=seed).to_dict() for seed in SEEDS]
            if settings in wanted:
                table = pd.read_csv(path.parent / "map.csv")
                scores.append(table[table["embedding"] == "fused"].set_index("attribute")["map"])
        assert len(scores) == len(SEEDS)
        for attribute in gained.index:
            mean = sum(score[attribute] for score in scores) / len(scores)
            assert gained[name][attribute] == pytest.approx(mean, abs=1e-3)


def test_training_takes_the_best_settings(places: dict[str, str], said: str) -> None:
    best = Path(places["results_dir"]) / "tuning" / "best.json"
    parameters = {"preset": str(best), "seed": SEEDS[0], "study": "tuning", **places}
    text = execute("03_train", Path(places["results_dir"]), parameters)
    assert "finished before, nothing to do" in text  # it is the run of the comparison


def test_training_takes_settings_that_are_not_the_presets(
    places: dict[str, str], said: str, tmp_path: Path
) -> None:
    own = Places(**places, study="other")
    # The second is the best.
    search = played(tmp_path, 40.0, 41.0, fields=tuple(FIELDS), places=own)
    write_trials(search)
    best = search.place / "best.json"
    changed = json.loads(best.read_text())["overrides"]
    assert set(changed) == set(FIELDS)
    parameters = {"preset": str(best), "seed": SEEDS[0], "study": "tuning", **places}
    execute("03_train", Path(places["results_dir"]), parameters)
    wanted = smoke().override(seed=SEEDS[0], **changed).to_dict()
    found = (Path(places["results_dir"]) / "tuning").glob("asen_pp-*/config.json")
    assert [json.loads(path.read_text()) for path in found].count(wanted) == 1


def test_one_trial_is_too_few_for_importance_and_is_compared_on_test_all_the_same(
    places: dict[str, str],
) -> None:
    few = {"preset": "smoke", "trials": 1, "fields": FIELDS, "seeds": [1], "study": "one"}
    text = execute("10_tune", Path(places["results_dir"]), few | places)
    assert "Importance needs 4 or more completed trials." in text
    place = Path(places["results_dir"]) / "one"
    assert [path.name for path in (place / "figures").iterdir()] == ["parallel_coordinates.png"]
    assert pd.read_csv(place / "test.csv")["difference"].eq(0).all()
    # The best of one trial is the default: they share their run.
    first, second = re.findall(r"(\S+): \d of 2 runs finished", text)
    assert first == second


def test_the_notebook_searches_what_a_search_does_by_default() -> None:
    found = inspect_notebook(str(ROOT / "notebooks" / "10_tune.ipynb"))
    own = Search()
    for name, value in [("trials", own.trials), ("fields", list(own.fields))]:
        assert found[name]["default"] == str(value)
    assert own.trials == 12


def test_training_refuses_a_misspelt_setting(places: dict[str, str], tmp_path: Path) -> None:
    spoilt = tmp_path / "best.json"
    spoilt.write_text(json.dumps({"preset": "smoke", "overrides": {"marign": 0.3}}))
    with pytest.raises(PapermillExecutionError, match="'marign'.*did you mean 'margin'"):
        execute("03_train", tmp_path, {"preset": os.fspath(spoilt), **places})
