"""The report shows formulas and pictures to everybody, offline and to screen readers, too."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure

from asen_study import figures, report

ROOT = Path(__file__).parents[2]


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


def pictured(folder: Path, *alts: str) -> BeautifulSoup:
    """Return the page of a notebook that displays a kept figure for each text."""
    outputs = []
    for place, alt in enumerate(alts):
        figure = Figure(figsize=(2, 2))
        stripes, noise = np.tile([0.0, 1.0], (200, 100)), np.random.default_rng(0).random((90, 90))
        figure.figimage(noise if place % 2 else stripes)  # smaller as JPEG, and smaller as PNG
        shown = figures.keep(figure, folder, f"figure{place}", alt)
        data, metadata = DisplayFormatter().format(shown)
        data = {kind: value for kind, value in data.items() if kind.startswith("image/")}
        outputs.append(nbformat.v4.new_output("display_data", data, metadata=metadata))
    cell = nbformat.v4.new_code_cell("draw()", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "one.ipynb")
    report.write([folder / "one.ipynb"], folder / "page.html")
    return BeautifulSoup((folder / "page.html").read_text(encoding="utf-8"), "html.parser")


def test_pictures_keep_their_alternative_texts(tmp_path: Path) -> None:
    alts = ("MAP of each method", 'Noise, "loud" & <b>bright</b>', "Another one")
    pictures = pictured(tmp_path, *alts).find_all("img")
    assert [picture["alt"] for picture in pictures] == list(alts)
    kinds = {picture["src"].split(";")[0] for picture in pictures}
    assert kinds == {"data:image/png", "data:image/jpeg"}
    assert all(int(picture["width"]) > 0 for picture in pictures)


def test_pictures_of_too_many_values_are_named_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_LIMIT", report._FRAME + 2_000)  # no picture is so small
    page = pictured(tmp_path, "One", "Two")
    assert not page.find_all("img")
    assert page.get_text().count("This picture did not fit into the page") == 2


def test_the_page_takes_nothing_from_elsewhere_and_runs_nothing(page: str) -> None:
    read = BeautifulSoup(page, "html.parser")
    assert not read.find_all(["script", "link", "iframe", "object", "embed", "base"])
    styles = "".join(style.get_text() for style in read.find_all("style"))
    addresses = re.findall(r"url\(\s*['\"]?([^)]{0,20})", styles)
    assert not [address for address in addresses if not address.startswith(("data:", "#"))]
    assert "@import" not in styles
    (policy,) = read.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none';") and "http" not in policy["content"]
