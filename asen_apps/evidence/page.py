"""From a sheet to the files that a person keeps, prints and sends: one page, and its numbers.

A sheet's numbers as JSON values, so that every one can be checked and used again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import HTML
from jinja2 import Environment, PackageLoader, StrictUndefined

from asen_apps.evidence import pictures as histograms
from asen_apps.evidence import statements
from asen_apps.evidence.catalogue import EvidenceError
from asen_apps.evidence.examining import check_name
from asen_apps.evidence.records import TOGETHER, Found, Similarity, View
from asen_apps.evidence.sheet import Sheet
from asen_tf.data import label
from asen_tf.files import write_text

FORMAT = 1  # of the file; another number when a name changes its meaning
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


def numbers(sheet: Sheet) -> dict[str, Any]:
    """Return everything that the page says, but for the pictures."""
    examination = sheet.examination
    design, catalogue = examination.design, examination.catalogue
    return {
        "format": FORMAT,
        "name": sheet.name,
        "made": sheet.made,
        "what_it_is_not": list(statements.WHAT_IT_IS_NOT),
        "notes": sheet.notes,
        "design": {
            "file": design.path.name,
            "sha256": design.sha256,
            "bytes": design.size,
            "width": design.width,
            "height": design.height,
            "regions": {
                attribute: _box(seen.box)
                for (path, attribute), seen in sheet.seen.items()
                if path == design.path
            },
        },
        "catalogue": {
            "folder": catalogue.root.name,
            "images": len(catalogue),
            "compared": examination.compared,
            "fingerprint": catalogue.fingerprint,
            "repeated": catalogue.repeated,
            "same_files": list(examination.same_files),
            "left_out": dict(catalogue.left_out),
        },
        "weights": dict(examination.weights),
        "settings": dict(examination.settings),
        "views": [_view(view, sheet) for view in examination.views],
        "model": dict(sheet.origin),
        "software": dict(sheet.software),
    }


def _view(view: View, sheet: Sheet) -> dict[str, Any]:
    edges = histograms.edges(view)
    return {
        "name": view.name,
        "attributes": list(view.attributes),
        "random_pairs": _distribution(view.random, edges),
        "nearest_neighbours": _distribution(view.nearest, edges),
        "found": [_found(found, view, sheet) for found in view.found],
    }


def _distribution(values: np.ndarray, edges: np.ndarray) -> dict[str, Any]:
    quantiles = np.quantile(values, _QUANTILES).round(6).tolist()
    return {
        "number": len(values),
        "mean": round(float(values.mean()), 6),
        "quantiles": {str(q): value for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "histogram": {
            "edges": edges.round(6).tolist(),
            "counts": np.histogram(values, edges)[0].tolist(),
        },
    }


def _found(found: Found, view: View, sheet: Sheet) -> dict[str, Any]:
    looked = {name: sheet.seen.get((found.path, name)) for name in view.attributes}
    return {
        "rank": found.rank,
        "file": found.name,
        "sha256": found.sha256,
        "same_file": found.same_file,
        "similarities": {name: _similarity(s) for name, s in found.similarities.items()},
        "regions": {name: _box(seen.box) for name, seen in looked.items() if seen is not None},
    }


def _similarity(similarity: Similarity) -> dict[str, Any]:
    tails = {"random_pairs": similarity.random, "nearest_neighbours": similarity.nearest}
    return {
        "similarity": similarity.value,
        **{
            name: {"at_least": tail.at_least, "of": tail.of, "tail_probability": tail.probability}
            for name, tail in tails.items()
        },
    }


def _box(box: tuple[float, float, float, float]) -> list[float]:
    return [round(float(edge), 2) for edge in box]


PARTS = ("summary", "reading", "distributions", "found", "origin")

# File names and what errors say of files are anybody's text: everything is escaped.
_TEMPLATES = Environment(
    loader=PackageLoader("asen_apps.evidence"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "date": lambda made: f"{datetime.fromisoformat(made).astimezone(UTC):%d %B %Y, %H:%M} UTC",
    "words": label,
    "probability": statements.probability,
    "similarity": lambda value: f"{value:.3f}",
    "count": lambda number: f"{number:,}",
}


def write(sheet: Sheet, folder: Path | str, name: str | None = None) -> tuple[Path, Path]:
    """Write `<name>.html`, a page that needs nothing else and prints well, and `<name>.json`.

    Each is there in full or not at all. The page names the SHA-256 of its numbers' file. Files of
    the same name are replaced; the sheet's own name is another one for every other question.

    Args:
        sheet: what to write.
        folder: created where it is not there.
        name: of the files, without suffix; the sheet's own when None.

    Returns:
        The paths of the page and of the numbers.

    Raises:
        EvidenceError: the name is none of a plain file.
    """
    name = sheet.name if name is None else name
    check_name(name)
    text = as_json(sheet)
    folder = Path(folder)
    page, beside = folder / f"{name}.html", folder / f"{name}.json"
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_text(beside, text)
    write_text(page, as_html(sheet, numbers_file=beside.name, numbers_digest=digest))
    return page, beside


def as_json(sheet: Sheet) -> str:
    """Return the sheet's numbers as JSON text; see `asen_apps.evidence.page`."""
    return json.dumps(numbers(sheet), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_html(sheet: Sheet, *, numbers_file: str = "", numbers_digest: str = "") -> str:
    """Return the sheet as one HTML page: no script, nothing from elsewhere.

    Args:
        sheet: what to show.
        numbers_file: name of the file of its numbers, to be named on the page.
        numbers_digest: SHA-256 of that file.
    """
    page = _TEMPLATES.get_template("page.html")
    return page.render(
        **_context(sheet), numbers_file=numbers_file, numbers_digest=numbers_digest, parts=PARTS
    )


def part(sheet: Sheet, name: str) -> HTML:
    """Return one part of the page for display in a notebook.

    Args:
        sheet: what to show.
        name: "summary", "reading", "distributions", "found" or "origin".

    Raises:
        EvidenceError: there is no such part.
    """
    if name not in PARTS:
        raise EvidenceError(f"a sheet has the parts {', '.join(PARTS)}; got {name!r}")
    inline = _TEMPLATES.get_template("inline.html")
    return HTML(inline.render(**_context(sheet), numbers_file="", numbers_digest="", part=name))


def _context(sheet: Sheet) -> dict[str, object]:
    examination = sheet.examination
    shown = {found.path: found for view in examination.views for found in view.found}
    return {
        "sheet": sheet,
        "examination": examination,
        "design": examination.design,
        "design_photograph": sheet.photographs[examination.design.path],
        "catalogue": examination.catalogue,
        "views": examination.views,
        "shown": sorted(shown.values(), key=lambda found: found.name),
        "sentences": statements.in_words(examination),
        "reading": statements.how_to_read(examination, attention=bool(sheet.seen)),
        "what_it_is_not": statements.WHAT_IT_IS_NOT,
        "together": TOGETHER,
    }
