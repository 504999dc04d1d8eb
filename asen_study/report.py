"""The HTML report of a study, and its summary in the terminal."""

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

from asen_study.executed import clean, leave_out_pages, slim
from asen_study.figures import picture
from asen_study.matrix import LABELS, PAYS_ABOVE, repeat_of
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
    slim(examples, rest // 4)
    slim([one for one in found.values() if one not in examples], rest - rest // 4)
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
        of = f"{LABELS.get(trained[1], trained[1])}, seed {trained[2]}"
    return f"{title}: {of}" if of else title


def pays(place: Path, *, measured: bool = False) -> str:
    """Return `whether_it_pays` for a study whose pairs are written, else "".

    Args:
        place: the study's directory, with `pairs.csv` and `provenance.json`.
        measured: leave out a form of ASEN++ that one of its controls was not measured for.
    """
    if not all((place / name).exists() for name in ("pairs.csv", "provenance.json")):
        return ""
    pairs = pd.read_csv(place / "pairs.csv")
    if measured:
        held = set(pairs[["method_a", "method_b"]].itertuples(index=False, name=None))
        for row, controls in PAYS_ABOVE.items():
            if not {(row, control) for control in controls} <= held:
                pairs = pairs[pairs["method_a"] != row]
    origin = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    drawn = origin["settings"]["dataset"] in DRAWN
    return whether_it_pays(pairs, on="on drawn garments" if drawn else "on photographs")


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


# === The terminal ===


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
    print(
        f"\nMean average precision (MAP) on the test split, percent\n{wide.round(2).to_string()}\n"
    )
    if "features" in set(table["method"]):  # is training worth it, attribute by attribute?
        best = table.groupby(["attribute", "method"], sort=False)["map"].max().unstack()
        print(f"Beside features without training, by attribute\n{best.round(2).to_string()}\n")
    print("\n".join(filter(None, (finding(place), pays(place, measured=True)))), end="\n\n")
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
    if not (place / "map.csv").exists():
        return "Triplets were predicted, no ranking was measured: see triplets.csv."
    table = pd.read_csv(place / "map.csv").query("attribute == 'overall'")
    means = table.groupby(["method", "embedding"], sort=False)["map"].mean()
    best = means.groupby("method", sort=False).last().sort_values(ascending=False, kind="stable")
    chance = best.pop("random") if "random" in best else 0.0
    if best.empty:
        return "Only the random ranking is there: nothing was trained."
    first = f"{LABELS.get(best.index[0], best.index[0])} is ahead with a mean average precision "
    first += (
        f"(MAP) of {best.iloc[0]:.1f} overall, {best.iloc[0] - chance:.1f} above a random ranking"
    )
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
    return f"{said}; no interval is available."


def whether_it_pays(pairs: pd.DataFrame, *, on: str) -> str:
    """Say whether ASEN++ pays, which takes being above its controls with certainty.

    That is above ASEN_v2, above two fused ASEN_v2, and above the same ASEN++ whose local branch
    sees the whole frame, each in macro MAP with an interval that excludes zero.

    Args:
        pairs: of `asen_study.tables.compare`.
        on: which data that is said of, such as "on photographs".

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
            (several if len(said[kind]) > 1 else one).format(" and ".join(said[kind]))
            for kind, one, several in (
                ("above", "it is above {}", "it is above {}"),
                ("open", "the difference from {} is open", "the differences from {} are open"),
                ("below", "it is below {}", "it is below {}"),
                ("missing", "{} was not measured", "{} were not measured"),
            )
            if said[kind]
        ]
        ahead = len(said["above"]) == len(controls)
        opening = f"{LABELS[row]} pays {on}"
        opening = opening if ahead else f"It cannot be said that {opening}"
        sentences.append(f"{opening}: in macro MAP {'; '.join(parts)}.")
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
    model = _model_to_use(place)
    index = f".venv/bin/asen index {model} --csv TABLE --images FOLDER --out catalogue"
    return [
        (index, "make your own photographs searchable; docs/search.md says what comes next"),
        explore,
        (f".venv/bin/asen attributes {model}", "which attributes you can ask for"),
    ]


def _model_to_use(place: Path) -> Path:
    """Return the study's folder, which stands for ASEN++; without that, the best row's model."""
    runs = json.loads((place / "provenance.json").read_text(encoding="utf-8"))["runs"]
    folders = {run["row"]: place / run["run"] for run in runs[::-1]}
    best = pd.read_csv(place / "map.csv").query("attribute == 'overall'").sort_values("map")
    saved = [
        row for row in best["method"][::-1] if (folders.get(row, place) / "model.keras").exists()
    ]
    return folders[saved[0]] / "model.keras" if saved and "asen_pp" not in folders else place
