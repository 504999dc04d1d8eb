"""The HTML report of a study, and its summary in the terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import latex2mathml.converter
import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from asen_study.matrix import LABELS, PAYS_ABOVE
from asen_study.runs import DRAWN
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

    Above them stand title, date, machine, the finding and the MAP table, if the study has written
    its tables. The page is self-contained: it holds the pictures with their alternative texts, and
    it loads and runs nothing.

    Args:
        executed: the notebooks, in reading order. If one is missing because its step failed, the
            page says so.
        page: the HTML file.
    """
    report = nbformat.v4.new_notebook(metadata={"title": f"Study {page.parent.name}"})
    if (page.parent / "map.md").exists():
        report.cells.append(nbformat.v4.new_markdown_cell(_opening(page.parent), id="opening"))
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


def _opening(place: Path) -> str:
    """Return the Markdown of what a reader should see first."""
    origin = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    newest = max(origin["runs"], key=lambda run: run["created"])
    machine, commit = newest["machine"], (newest["commit"] or "no commit")[:10]
    made = f"{newest['created'][:10]}, {machine['cores']} cores, {machine['system']}, {commit}"
    table, *notes = (place / "map.md").read_text(encoding="utf-8").strip().split("\n\n")
    parts = [f"# Study `{place.name}`", made, f"**{finding(place)}**", _pays(place), table, *notes]
    return "\n\n".join(filter(None, parts))


def _pays(place: Path) -> str:
    """Say `whether_it_pays` of a study whose pairs are written; "" of others."""
    pairs = place / "pairs.csv"
    return whether_it_pays(pd.read_csv(pairs)) if pairs.exists() else ""


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
    print(f"{finding(place)}\n{_pays(place)}\n")
    for model in sorted(place.glob("*/model.keras")):
        print(f"model:  {model}")
    print(f"table:  {place / 'map.csv'}\nreport: {place / 'report.html'}\n\nNext:")
    for command, purpose in _next_commands(place):
        print(f"  {command}\n      {purpose}", flush=True)


def finding(place: Path) -> str:
    """Say in one sentence which method of a study is ahead, by how much, and how sure that is.

    Args:
        place: the study's directory, with `map.csv` and, for the interval, `pairs.csv`.
    """
    table = pd.read_csv(place / "map.csv").query("attribute == 'overall'")
    means = table.groupby(["method", "embedding"], sort=False)["map"].mean()
    best = means.groupby("method", sort=False).last().sort_values(ascending=False, kind="stable")
    chance = best.pop("random") if "random" in best else 0.0
    if best.empty:
        return "Only the random ranking is there: nothing was trained."
    first = f"{LABELS.get(best.index[0], best.index[0])} is ahead with {best.iloc[0]:.1f} overall, "
    first += f"{best.iloc[0] - chance:.1f} above a random ranking"
    if len(best) == 1:
        return f"{first}; there is no other method to compare."
    gap, other = best.iloc[0] - best.iloc[1], LABELS.get(best.index[1], best.index[1])
    said = f"{first} and {gap:.1f} above {other}"
    if (place / "pairs.csv").exists():
        pairs = pd.read_csv(place / "pairs.csv").query("attribute == 'overall'")
        pairs = pairs.set_index(["method_a", "method_b"])
        for sign, names in ((1, tuple(best.index[:2])), (-1, tuple(best.index[1::-1]))):
            if names in pairs.index:
                low, high = sorted(sign * end for end in pairs.loc[names, ["ci_low", "ci_high"]])
                sure = "significant" if low > 0 else "open: it may be chance"
                return f"{said} (95% interval {low:.1f} to {high:.1f}; {sure})."
    return f"{said}, of which no interval is known."


def whether_it_pays(pairs: pd.DataFrame) -> str:
    """Say whether ASEN++ pays, which takes being above its controls with certainty.

    That is above ASEN_v2, above two fused ASEN_v2, and above the same ASEN++ whose local branch
    sees the whole frame, each in macro MAP with an interval that leaves out zero.

    Args:
        pairs: of `asen_study.tables.compare`.

    Returns:
        A sentence for each of ASEN++ and its adapted form that the pairs hold; "" for neither.
    """
    found = pairs.set_index(["method_a", "method_b", "attribute"])
    sentences = []
    for row, controls in PAYS_ABOVE.items():
        said: dict[str, list[str]] = {"above": [], "open": [], "below": [], "missing": []}
        for control in controls:
            name = LABELS[control]
            if (row, control, "macro") not in found.index:
                said["missing"].append(name)
                continue
            gap = found.loc[(row, control, "macro")]
            overall = found.loc[(row, control, "overall"), "difference"]
            interval = f"{gap.difference:+.2f} points, {gap.ci_low:+.2f} to {gap.ci_high:+.2f}"
            clear = "above" if gap.ci_low > 0 else "below" if gap.ci_high < 0 else "open"
            said[clear].append(f"{name} ({interval}; overall {overall:+.2f})")
        if row not in set(pairs["method_a"]):
            continue
        parts = [
            f"{words} {', '.join(said[kind])}"
            for kind, words in (
                ("above", "it is above"),
                ("open", "open is the difference to"),
                ("below", "it is below"),
                ("missing", "not measured is"),
            )
            if said[kind]
        ]
        pays = len(said["above"]) == len(controls)
        opening = "{} pays" if pays else "It cannot be said that {} pays"
        sentences.append(f"{opening.format(LABELS[row])}: in macro MAP {'; '.join(parts)}.")
    return " ".join(sentences)


def _next_commands(place: Path) -> list[tuple[str, str]]:
    """Return three commands, the first about one's own photographs, each with its purpose."""
    explore = (f"make explore STUDY={place.name}", "look at this study in the browser")
    settings = json.loads((place / "provenance.json").read_text(encoding="utf-8"))["settings"]
    if settings.get("dataset") in DRAWN:
        return [
            ("make study DATASET=Shop RAW=IMAGES CSV=shop.csv", "the same on your own photographs"),
            explore,
            ("make notebooks", "00_method explains what was trained; README.md says what else"),
        ]
    index = f".venv/bin/asen index {place} --csv TABLE --images FOLDER --out catalogue"
    return [
        (index, "make your own photographs searchable; docs/search.md goes on from there"),
        explore,
        (f".venv/bin/asen attributes {place}", "what may be asked"),
    ]
