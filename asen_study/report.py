"""The HTML report of a study: its findings, tables and figures, and its executed notebooks."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import latex2mathml.converter
import nbformat
import pandas as pd
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from PIL import Image

from asen_study.executed import GalleryError, clean, leave_out_pages, leave_out_pictures, slim
from asen_study.figures import picture
from asen_study.findings import finding, pays
from asen_study.matrix import name_of, repeat_of
from asen_study.runs import DRAWN
from asen_study.tables import extremes_in_words, localisation_in_words, summarise
from asen_tf.files import write_text

_LIMIT = 4_000_000  # bytes of the page
_FRAME = 200_000  # bytes of them for what is neither text nor picture of a notebook
# nbconvert's plain template: the page has a style of its own, and runs nothing. Pictures get their
# alternative texts.
_TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{%- block data_png scoped -%}
{{ super() | described(output | get_metadata('alt', 'image/png')) }}
{%- endblock -%}
{%- block data_jpg scoped -%}
{{ super() | described(output | get_metadata('alt', 'image/jpeg')) }}
{%- endblock -%}
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'">
<style>
* {{ box-sizing: border-box; }}
body {{ margin: 0; color: #1a1a1a; background: #fff; font: 16px/1.5 system-ui, sans-serif; }}
nav {{ position: fixed; top: 0; bottom: 0; width: 15rem; padding: 1.5rem 1rem; overflow: auto;
  border-right: 1px solid #d0d0d0; }}
nav a {{ display: block; padding: .2rem 0; color: #00507d; text-decoration: none; }}
main {{ margin-left: 15rem; padding: 1.5rem 2rem 4rem; max-width: 70rem; }}
h1 {{ margin: 0; line-height: 1.25; overflow-wrap: anywhere; }}
h2, h3 {{ margin: 2rem 0 .5rem; line-height: 1.25; }}
.made, .note {{ color: #4d4d4d; font-size: .9rem; }}
.findings {{ font-size: 1.15rem; max-width: 48rem; }}
figure {{ margin: 1rem 0; }}
img {{ max-width: 100%; height: auto; }}
.wide td, .wide th {{ white-space: nowrap; }}
.wide, .jp-OutputArea-output, .output_html {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }}
tbody th, td:first-child, th:first-child {{ text-align: left; }}
thead th {{ vertical-align: bottom; border-bottom: 2px solid #1a1a1a; }}
details {{ border-top: 1px solid #d0d0d0; }}
summary {{ cursor: pointer; padding: .7rem 0; font-size: 1.1rem; font-weight: 600; }}
details h1 {{ font-size: 1.4rem; margin-top: .5rem; }}
pre {{ overflow-x: auto; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
math[display=block] {{ overflow-x: auto; }}
a.anchor-link {{ display: none; }}
@media (max-width: 50rem) {{
  nav {{ position: static; width: auto; border: 0; border-bottom: 1px solid #d0d0d0; }}
  main {{ margin: 0; padding: 1rem; }}
}}
</style></head><body>
<nav aria-label="Contents">{contents}</nav>
<main>{body}</main></body></html>
"""
_OPENING = """<p class="made">{made}</p>
<p id="findings" class="findings">{said}</p>
<p class="note">{note}</p>
<h2>Mean average precision (MAP) on the test split, percent</h2>
<div class="wide">{table}</div>
<p class="note">Overall: mean of all queries, with the 95% interval over them, or with the standard
deviation over {kind}s; macro: mean of the attributes. Random is what guessing scores. The best of
each column is bold.</p>"""


# === The page ===


def write(executed: Sequence[Path], page: Path) -> None:
    """Write a study's report: what was found, then the executed notebooks, folded.

    Title, date, machine, the findings, the MAP table, what the scores look like and what the model
    looks at come first, as far as the study has them; the notebook of the data, with its sheets of
    examples, comes last. Code, progress bars and what trainings printed are left out. The page is
    self-contained, below 4 MB: pictures are made as small as that needs.

    Args:
        executed: the notebooks, in reading order. If one is missing because its step failed, the
            page says so.
        page: the HTML file.
    """
    place = page.parent
    shown = [
        _shown(place, title, names)
        for title, names in (
            ("How the methods score", ("methods", "map", "differences")),
            ("What the model looks at", ("attention", "attention_methods")),
        )
    ]
    data = [path for path in executed if path.stem.startswith("01_")]
    ordered = [*(path for path in executed if path not in data), *data]
    found = {path.stem: nbformat.read(path, as_version=4) for path in ordered if path.exists()}
    for name, notebook in found.items():
        clean(notebook, streams=not name.startswith("03_"))
        leave_out_pages(notebook)
    for number, cell in enumerate(cell for one in found.values() for cell in one.cells):
        cell["id"] = f"cell-{number}"  # notebooks count from 0, each on its own
    first = nbformat.v4.new_notebook(cells=[cell for cells in shown for cell in cells])
    # What comes first stays as it is; examples of the data, which come last, yield first.
    rest = _LIMIT - _FRAME - len(nbformat.writes(first))
    examples = [found[path.stem] for path in data if path.stem in found]
    for part, limit in (
        (examples, rest // 4),
        ([one for one in found.values() if one not in examples], rest - rest // 4),
    ):
        try:
            slim(part, limit)
        except GalleryError:  # hundreds of values, say, with a picture each
            leave_out_pictures(part)
    opening = _opening(place) if (place / "map.csv").exists() else ""
    parts, links = [f"<header><h1>Study {escape(place.name)}</h1>{opening}</header>"], []
    parts.append(_as_html(first))
    links += [("#findings", "Findings")] if opening else []
    for path in ordered:
        if path.stem not in found:
            title = f"{path.stem} failed in this study: there is nothing to show."
            parts.append(f"<p><strong>{escape(title)}</strong></p>")
            continue
        title = _title(found[path.stem], path.stem)
        body = _as_html(found[path.stem])
        # The target is inside: a browser that is led to it unfolds the details by itself.
        anchor = f'<div id="{escape(path.stem)}">{body}</div>'
        parts.append(f"<details><summary>{escape(title)}</summary>{anchor}</details>")
        links.append((f"#{path.stem}", title))
    contents = "".join(f'<a href="{escape(to)}">{escape(words)}</a>' for to, words in links)
    title = f"Study {escape(place.name)}"
    write_text(page, _PAGE.format(title=title, contents=contents, body="\n".join(parts)))


def _opening(place: Path) -> str:
    """Return the HTML of what a reader should see first."""
    table = pd.read_csv(place / "map.csv")
    made, note, kind = "", "", "seed"
    if (place / "provenance.json").exists():
        origin = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
        newest = max(origin["runs"], key=lambda run: run["created"])
        machine, commit = newest["machine"], (newest["commit"] or "no commit")[:10]
        made = f"{newest['created'][:10]}, {machine['cores']} cores, {machine['system']}, {commit}"
        kind = repeat_of(origin["settings"]["dataset"])
        dataset = origin["settings"]["dataset"].removesuffix("-{seed}")
        seeds = table.loc[table["method"] != "random", "seed"].nunique()
        trained = f"one {kind}" if seeds == 1 else f"{seeds} {kind}s"
        note = f"Data: {dataset}; {trained} of each method."
        if seeds == 1:
            note += " The intervals are over queries: another seed may give other differences."
        if dataset in DRAWN:
            note += " The images are drawn: they say little about photographs."
    said = escape(" ".join([finding(place), *_details(place, table), pays(place)]))
    return _OPENING.format(
        made=escape(made), said=said, note=escape(note), table=_score_table(table), kind=kind
    )


def _details(place: Path, table: pd.DataFrame) -> list[str]:
    """Return what else there is to say, in sentences."""
    said = extremes_in_words(summarise(_of_asen_pp(table)))
    if (place / "localisation.csv").exists():
        localisation = _of_asen_pp(pd.read_csv(place / "localisation.csv"))
        said.append(localisation_in_words(localisation))
    return said


def _of_asen_pp(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ASEN++, adapted if there are any: the last row may be a control."""
    for row in ("asen_pp/adapted", "asen_pp"):
        if row in set(table["method"]):
            return table[table["method"] == row]
    return table


def _score_table(table: pd.DataFrame) -> str:
    """Return the MAP of each method as an HTML table: means, and intervals where they count."""
    summary = summarise(table)
    means = summary.pivot(index="series", columns="attribute", values="map")
    names = list(summary["attribute"].unique())
    first = [name for name in ("overall", "macro") if name in names]
    means = means.loc[summary["series"].unique(), first + [n for n in names if n not in first]]
    cells = means.map(lambda number: "-" if pd.isna(number) else f"{number:.1f}")
    bold = means.eq(means.max())
    cells = cells.where(~bold, "<strong>" + cells + "</strong>")
    for row in summary[summary["attribute"] == "overall"].itertuples():
        if row.method != "random":
            spread = f"&plusmn; {row.high - row.map:.1f}"
            interval = spread if row.seeds > 1 else f"({row.low:.1f} to {row.high:.1f})"
            cells.loc[row.series, "overall"] += f" {interval}"
    cells.index = [escape(name) for name in cells.index]
    cells.columns = [escape(name.replace("_", " ")) for name in cells.columns]
    return cells.to_html(escape=False, border=0)


def _shown(place: Path, title: str, names: Sequence[str]) -> list[NotebookNode]:
    """Return cells that show the first of some figures that the study has, under a title."""
    for name in names:
        file = place / "figures" / f"{name}.png"
        if file.exists():
            with Image.open(file) as opened:
                alt = opened.info.get("Description", title)
            shown = picture(file, alt)
            kind = "image/jpeg" if shown.format == "jpeg" else "image/png"
            data = {kind: base64.b64encode(shown.data).decode()}
            output = nbformat.v4.new_output("display_data", data, metadata={kind: {"alt": alt}})
            heading = nbformat.v4.new_markdown_cell(f"## {title}")
            return [heading, nbformat.v4.new_code_cell("", outputs=[output])]
    return []


def _as_html(notebook: NotebookNode) -> str:
    """Return a notebook's texts and outputs as HTML."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _with_formulas(cell.source)
    exporter = HTMLExporter(
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        preprocessors=["nbconvert.preprocessors.CoalesceStreamsPreprocessor"],
        filters={"described": _described},
        raw_template=_TEMPLATE,
    )
    return exporter.from_notebook_node(notebook)[0]


def _title(notebook: NotebookNode, stem: str) -> str:
    """Return a notebook's title, with the row and seed if several trainings share it."""
    titles = (re.match(r"# (.+)", cell.source) for cell in notebook.cells)
    title = next((found[1] for found in titles if found), stem)
    of = stem.partition("-")[2]
    trained = re.fullmatch("(.+)-seed([0-9]+)", of)
    if trained:
        of = f"{name_of(trained[1])}, seed {trained[2]}"
    return f"{title}: {of}" if of else title


def _described(picture: str, alt: str | None) -> str:
    """Give the one `<img>` in a piece of HTML its alternative text, if there is one."""
    if alt is None:
        return picture
    return re.sub(r'<img (?:alt="[^"]*" )?', f'<img alt="{escape(alt)}" ', picture, count=1)


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
