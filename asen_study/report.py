"""The HTML report of a study, and its summary in the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import latex2mathml.converter
import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from asen_tf.files import write_text

_PREPROCESSORS = ["nbconvert.preprocessors.CoalesceStreamsPreprocessor"]
# JupyterLab's template without the scripts that it loads from the internet: nothing here needs
# them, and the page's own policy forbids any others. Pictures get their alternative texts.
_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'">
{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_png scoped -%}
{{ super() | described(output | get_metadata('alt', 'image/png')) }}
{%- endblock -%}
{%- block data_jpg scoped -%}
{{ super() | described(output | get_metadata('alt', 'image/jpeg')) }}
{%- endblock -%}
"""


def write(executed: Sequence[Path], page: Path) -> None:
    """Join executed notebooks into one HTML page, without code and progress bars.

    The page is self-contained: it holds the pictures with their alternative texts, and it loads
    and runs nothing.

    Args:
        executed: the notebooks, in reading order. If one is missing because its step failed, the
            page says so.
        page: the HTML file.
    """
    report = nbformat.v4.new_notebook(metadata={"title": f"Study {page.parent.name}"})
    for path in executed:
        if not path.exists():
            failed = f"**{path.stem} failed in this study: there is nothing to show.**"
            report.cells.append(nbformat.v4.new_markdown_cell(failed))
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            cell["id"] = f"cell-{len(report.cells)}"  # notebooks count from 0, each on its own
            if cell.cell_type == "markdown":
                cell.source = _with_formulas(cell.source)
            elif cell.cell_type == "code":  # progress bars and TensorFlow's messages
                cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
            report.cells.append(cell)
    exporter = HTMLExporter(
        exclude_input=True,
        preprocessors=_PREPROCESSORS,
        filters={"described": _described},
        raw_template=_TEMPLATE,
    )
    body, _ = exporter.from_notebook_node(report)
    write_text(page, body)


def _described(picture: str, alt: str | None) -> str:
    """Give the one `<img>` in a piece of HTML its alternative text, if there is one."""
    return picture if alt is None else picture.replace("<img ", f'<img alt="{escape(alt)}" ', 1)


def _with_formulas(markdown: str) -> str:
    """Replace LaTeX by MathML: nbconvert's MathJax would be loaded from the internet."""

    def formula(found: re.Match[str]) -> str:
        display = "block" if found["block"] else "inline"
        return latex2mathml.converter.convert(found["block"] or found["inline"], display=display)

    return re.sub(r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", formula, markdown, flags=re.S)


def is_current(executed: Sequence[Path], page: Path) -> bool:
    """Return whether the page is newer than every notebook that it joins."""
    made = page.stat().st_mtime if page.exists() else 0.0
    return all(path.exists() and path.stat().st_mtime <= made for path in executed)


def show(place: Path) -> None:
    """Print a study's overall MAP by method and embedding, where its files are, and what is next.

    Args:
        place: the study's directory.
    """
    table = pd.read_csv(place / "map.csv")
    overall = table[table["attribute"].isin(["overall", "macro"])]
    wide = overall.pivot_table(
        index=["method", "embedding"], columns="attribute", values="map", sort=False
    )
    print(f"\nMAP on the test split, percent\n{wide.round(2).to_string()}\n")
    if "features" in set(table["method"]):  # is training worth it, attribute by attribute?
        best = table.groupby(["attribute", "method"], sort=False)["map"].max().unstack()
        print(f"Beside features without training, by attribute\n{best.round(2).to_string()}\n")
    for model in sorted(place.glob("*/model.keras")):
        print(f"model:  {model}")
    print(f"table:  {place / 'map.csv'}\nreport: {place / 'report.html'}")
    print(f"ask:    .venv/bin/asen attributes {place}")
    print(f"index:  .venv/bin/asen index {place} --csv TABLE --images FOLDER --out catalogue")
    print(f"next:   make explore STUDY={place.name}; README.md says what else", flush=True)
