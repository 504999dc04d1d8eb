"""The report shows formulas and pictures to readers without internet."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from asen_tf import report


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    for name in ("first", "second"):
        text = (
            "# Title\nThe mean of $x_1$ and $x_2$ is\n$$m = \\frac{x_1 + x_2}{2}.$$\nThat is all."
        )
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
        notebook.cells.append(nbformat.v4.new_code_cell("print('$5 and $6')"))
        bar = nbformat.v4.new_output("stream", name="stderr", text="training: 10%")
        notebook.cells[1].outputs = [
            bar,
            nbformat.v4.new_output("stream", text="costs $5 and $6\n"),
        ]
        notebook.cells[0]["id"], notebook.cells[1]["id"] = "0", "1"  # papermill's counting
        nbformat.write(notebook, folder / f"{name}.ipynb")
    report.write([folder / "first.ipynb", folder / "second.ipynb"], folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def test_formulas_are_mathml(page: str) -> None:
    body = page[page.index("<body") :]
    assert body.count("<math") == 6 and body.count('display="block"') == 2
    assert body.count("<mfrac>") == 2
    assert "\\frac" not in body and "$$" not in body


def test_dollars_of_an_output_stay(page: str) -> None:
    assert page.count("costs $5 and $6") == 2


def test_code_and_progress_are_left_out(page: str) -> None:
    body = page[page.index("<body") :]
    assert "print(" not in body and "training: 10%" not in body


def test_every_cell_has_its_own_id(page: str) -> None:
    assert all(page.count(f'id="cell-id=cell-{number}"') == 1 for number in range(4))


def test_the_notebooks_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "one.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("$x$")])
    nbformat.write(notebook, path)
    before = path.read_bytes()
    report.write([path], tmp_path / "page.html")
    assert path.read_bytes() == before
