"""The parameters of notebooks: every setting is one, and a wrong value is refused with a remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from papermill import inspect_notebook

from asen_study import notebook
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.presets import preset

ROOT = Path(__file__).parents[2]
CELL = 'study: str = "quick"  # folder\nseed: int = None  # seed\nrates: list = [1]  # rates'


def given(**values: Any) -> dict[str, Any]:
    """Return what a notebook knows when papermill has set some parameters."""
    injected = "\n".join(["# Parameters", *(f"{name} = {values[name]!r}" for name in values)])
    namespace: dict[str, Any] = {"In": ["", CELL, injected]}
    exec(compile(CELL, "cell", "exec", dont_inherit=True), namespace)
    exec(compile(injected, "cell", "exec", dont_inherit=True), namespace)
    return namespace


def test_every_setting_is_a_parameter_of_training() -> None:
    found = inspect_notebook(str(ROOT / "notebooks" / "03_train.ipynb"))
    kinds = {name: type(value).__name__ for name, value in ExperimentConfig().to_dict().items()}
    assert {name: found[name]["inferred_type_name"] for name in kinds} == kinds
    assert {found[name]["default"] for name in kinds} == {"None"}


def test_the_notebook_of_training_changes_nothing_unasked() -> None:
    path = ROOT / "notebooks" / "03_train.ipynb"
    source = next(
        "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    )
    namespace: dict[str, Any] = {"In": [source]}
    exec(compile(source, "cell", "exec", dont_inherit=True), namespace)
    assert notebook.configuration(namespace) == preset("quick")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"study": 7}, "study must be of type str; got 7 of type int; .*-r study 7$"),
        ({"study": True}, "got True of type bool; .*-r study True$"),
        ({"study": 20240105}, "-r study 20240105$"),
        ({"study": None}, "got None of type NoneType; .*-r study the text$"),
        ({"rates": "0.5"}, r"rates must be of type list; got '0.5' .* -y 'rates: \[0.5\]'$"),
        ({"seed": "one"}, "seed must be of type int; got 'one' of type str$"),
        ({"seed": True}, "seed must be of type int; got True of type bool"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_to_write(
    values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        notebook.parameters(given(**values))


def test_cells_that_were_run_by_hand_do_not_matter() -> None:
    namespace = given(study="mine")
    namespace["In"][1] = "%matplotlib inline"
    assert notebook.parameters(namespace)["study"] == "mine"


def test_none_stays_where_the_cell_has_it() -> None:
    assert notebook.parameters(given(seed=None, study="007"))["study"] == "007"


def test_a_notebook_finds_the_project_from_everywhere(tmp_path: Path) -> None:
    """Started in another folder by papermill's command, as the README starts it."""
    os.symlink(ROOT / "notebooks", tmp_path / "linked")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    command = [sys.executable, "-m", "papermill", "../linked/05_results.ipynb", "out.ipynb"]
    command += ["-k", "python3", "--no-progress-bar", "--log-output"]
    command += ["-r", "study", "007", "-p", "dataset", "Shop", "-p", "preset", "photos"]
    command += ["-p", "results_dir", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800
    )
    said = done.stdout + done.stderr
    assert f"Relative paths start at the project's folder, {ROOT}." in said
    assert "unknown parameter" not in said
    assert f"{tmp_path}/007" in said  # it holds no runs, and that is what the error is about
    assert os.listdir(folder) == ["out.ipynb"]


def test_the_setup_comes_before_tensorflow_which_reads_what_it_sets() -> None:
    code = "import sys; from asen_study import notebook; print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("name", "dataset"), [("quick", "Shop"), ("photos", "Garments")])
def test_presets_of_drawings_are_not_for_photographs(
    name: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = f"preset: str = {name!r}\ndataset: str = {dataset!r}"
    namespace: dict[str, Any] = {"In": [cell]}
    exec(compile(cell, "cell", "exec", dont_inherit=True), namespace)
    assert notebook.configuration(namespace).dataset == dataset
    said = "The preset quick is for drawn garments; for photographs, such as Shop may hold"
    assert (said in capsys.readouterr().out) == (name == "quick")


def test_the_published_table_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook.prepare()
    assert Path("reference/published_results.csv").is_file()
    assert str(ROOT) in capsys.readouterr().out
    notebook.prepare()
    assert capsys.readouterr().out == ""
