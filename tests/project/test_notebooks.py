from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from papermill import inspect_notebook

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
TYPES = {"int", "float", "str", "bool", "list", "Optional[str]"}
pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def parameter_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]


def test_the_notebook_holds_no_outputs(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in code_cells(path):
        assert cell.outputs == [] and cell.execution_count is None, cell.source


def test_it_opens_with_a_question_and_closes_with_an_answer_in_numbers(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert re.match(r"# .+\n\n\*\*[^*]+\?\*\*", cells[0].source), cells[0].source
    if path.stem in ("00_method", "09_explore"):
        return  # an article with exercises, and a page
    *_, heading, answer = cells
    assert heading.source == "## The answer, in numbers" and answer.cell_type == "code"


def test_the_kernel_is_the_environments(path: Path) -> None:
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"


def test_one_cell_holds_parameters_as_papermill_reads_them(path: Path) -> None:
    (cell,) = parameter_cells(path)
    lines = [line for line in cell.source.splitlines() if not line.startswith("#")]
    assert all(isinstance(node, ast.AnnAssign) for node in ast.parse(cell.source).body)
    # Papermill reads by pattern: what it does not find it cannot set, and it says nothing.
    found = inspect_notebook(str(path))
    assert [line.split(":")[0] for line in lines] == list(found)
    for line, parameter in zip(lines, found.values(), strict=True):
        assert parameter["inferred_type_name"] in TYPES, line
        assert parameter["help"], f"{line}: say after # what it is"
        assert line.count("=") == 1, f"{line}: papermill takes the last = for the assignment"


def test_cells_are_calls_and_pictures_without_logic(path: Path) -> None:
    for cell in code_cells(path):
        source = "\n".join(x for x in cell.source.splitlines() if not x.startswith(("%", "!")))
        logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Try)
        if path.stem not in ("01_prepare_data", "08_design_evidence"):  # whose data, yours or ours
            logic += (ast.If,)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, logic)], source
        listed = "parameters" in cell.metadata.get("tags", [])
        assert listed or len(cell.source.splitlines()) <= 30, source
