"""The gallery in results/ is that of today's notebooks, small, and of drawn garments alone.

A notebook that has changed since is named with the command that makes its executed copy anew.
"""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

from asen_study.executed import _GALLERY
from asen_study.runs import DRAWN
from asen_tf.presets import preset

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "results" / "gallery"
KEPT = sorted(GALLERY.glob("*.ipynb"))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def injected(path: Path) -> dict[str, object]:
    """Return the parameters that papermill has set."""
    found: dict[str, object] = {}
    for cell in code_cells(path):
        if "injected-parameters" in cell.metadata.get("tags", []):
            for node in ast.parse(cell.source).body:
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def test_it_holds_each_notebook_of_the_gallery_and_they_are_small_together() -> None:
    assert {path.stem for path in KEPT} == set(_GALLERY), "run `make gallery`"
    assert sum(path.stat().st_size for path in KEPT) < 6_000_000


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_its_cells_are_those_of_the_notebook(path: Path) -> None:
    own = [cell.source for cell in code_cells(ROOT / "notebooks" / path.name)]
    kept = [
        cell.source
        for cell in code_cells(path)
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    changed = [one for one in kept if one not in own] + [one for one in own if one not in kept]
    stale = f"{path.relative_to(ROOT)} is older than its notebook: run `make gallery`; differing"
    assert kept == own, f"{stale}: {[one[:60] for one in changed]}"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_it_shows_drawn_garments_and_what_a_finished_study_showed(path: Path) -> None:
    given = injected(path)
    assert given["results_dir"] == "results/runs", f"{path.name}: it was not run by a make target"
    dataset = given.get("dataset") or preset(str(given.get("preset", "quick"))).dataset
    assert dataset in DRAWN
    assert not {"raw", "table", "design", "model"} & set(given)
    assert not isinstance(given.get("catalogue"), str)
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert outputs and not [one for one in outputs if one.output_type == "error"]
    assert max(len(one.get("data", {}).get("text/html", "")) for one in outputs) < 300_000
