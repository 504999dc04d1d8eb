"""The files of a sheet: one HTML page that can be printed and sent, and its numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from asen_apps.evidence.examination import TOGETHER, View, check_name
from asen_apps.evidence.pictures import edges
from asen_apps.evidence.sheet import Sheet
from asen_apps.evidence.statistics import EmpiricalP
from asen_tf.data import label
from asen_tf.files import file_digest, write_text

WHAT_IT_IS_NOT = (
    "It is no legal judgement: whether a design is protected, and whether another one infringes "
    "it, is not for a model to say.",
    "It is no proof of copying: garments resemble each other through fashion, function, a common "
    "source or by chance, and no number of this sheet tells these apart.",
    "It says how similar one model finds images of this one catalogue. Another model, another "
    "catalogue or another photograph of the same garment gives other numbers.",
    "The model compares pictures, not garments. What the picture does not show (fabric, cut, "
    "make, the back) is not compared, and what is not in the catalogue was not looked at.",
)
FORMAT = 1  # of the JSON file; it changes when a key changes its meaning
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


def write(sheet: Sheet, folder: Path | str, name: str | None = None) -> tuple[Path, Path]:
    """Write `<name>.html`, a page that needs nothing else and prints well, and `<name>.json`.

    Each is written completely or not at all. The page names the SHA-256 of its numbers' file.
    Files of the same name are replaced; a sheet about another question has another name of its own.

    Args:
        sheet: what to write.
        folder: created if it does not exist.
        name: of the files, without suffix; the sheet's own when None.

    Returns:
        The paths of the page and of the numbers.

    Raises:
        EvidenceError: the name is not that of a plain file.
    """
    name = sheet.name if name is None else name
    check_name(name)
    text = json.dumps(numbers(sheet), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    page, beside = Path(folder, f"{name}.html"), Path(folder, f"{name}.json")
    write_text(beside, text)
    digest = file_digest(beside)
    write_text(page, as_html(sheet, numbers_file=beside.name, numbers_digest=digest))
    return page, beside


# === The page ===


def as_html(
    sheet: Sheet, *, inline: bool = False, numbers_file: str = "", numbers_digest: str = ""
) -> str:
    """Return the sheet as one HTML page: no script, nothing loaded from elsewhere.

    Args:
        sheet: what to show.
        inline: leave out the frame of a page, for display in a notebook.
        numbers_file: name of the file of its numbers, to be named on the page.
        numbers_digest: SHA-256 of that file.
    """
    numbers_at = {"numbers_file": numbers_file, "numbers_digest": numbers_digest}
    return _TEMPLATES.get_template("sheet.html").render(sheet=sheet, inline=inline, **numbers_at)


def probability(value: float) -> str:
    """Return a probability with two significant digits, never as a power of ten."""
    value = float(f"{value:.1e}")
    return f"{value:.{max(2, 1 - math.floor(math.log10(value)))}f}"


# File names and what errors say about files are untrusted text: everything is escaped.
_TEMPLATES = Environment(
    loader=PackageLoader("asen_apps.evidence"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"what_it_is_not": WHAT_IT_IS_NOT, "together": TOGETHER}
_TEMPLATES.filters |= {
    "date": lambda made: f"{datetime.fromisoformat(made).astimezone(UTC):%d %B %Y, %H:%M} UTC",
    "words": label,
    "probability": probability,
    "similarity": lambda value: f"{value:.3f}",
    "count": lambda number: f"{number:,}",
}


# === The numbers ===


def numbers(sheet: Sheet) -> dict[str, Any]:
    """Return everything that the page says, except the pictures, as JSON values."""
    examination = sheet.examination
    design, catalogue = examination.design, examination.catalogue
    return {
        "format": FORMAT,
        "name": sheet.name,
        "made": sheet.made,
        "what_it_is_not": list(WHAT_IT_IS_NOT),
        "warnings": sheet.warnings,
        "notes": sheet.notes,
        "design": {
            "file": design.path.name,
            "sha256": design.sha256,
            "bytes": design.size,
            "width": design.width,
            "height": design.height,
            "regions": _regions(sheet, design.path, examination.weights),
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
    return {
        "name": view.name,
        "attributes": list(view.attributes),
        "random_pairs": _distribution(view.random, edges(view)),
        "nearest_neighbours": _distribution(view.nearest, edges(view)),
        "found": [
            {
                "rank": item.rank,
                "file": item.name,
                "sha256": item.sha256,
                "same_file": item.same_file,
                "similarities": {
                    name: {
                        "similarity": similarity.value,
                        "random_pairs": _reached(similarity.random),
                        "nearest_neighbours": _reached(similarity.nearest),
                    }
                    for name, similarity in item.similarities.items()
                },
                "regions": _regions(sheet, item.path, view.attributes),
            }
            for item in view.found
        ],
    }


def _distribution(values: np.ndarray, bins: np.ndarray) -> dict[str, Any]:
    quantiles = np.quantile(values, _QUANTILES).round(6).tolist()
    return {
        "number": len(values),
        "mean": round(float(values.mean()), 6),
        "quantiles": {str(q): value for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "histogram": {
            "edges": bins.round(6).tolist(),
            "counts": np.histogram(values, bins)[0].tolist(),
        },
    }


def _reached(p: EmpiricalP) -> dict[str, Any]:
    return {"at_least": p.at_least, "of": p.of, "tail_probability": p.value}


def _regions(sheet: Sheet, path: Path, attributes: Iterable[str]) -> dict[str, list[float]]:
    """Return the region of an image by attribute: left, top, right, bottom in pixels."""
    return {
        name: [round(float(edge), 2) for edge in sheet.attention[path, name].box]
        for name in attributes
        if (path, name) in sheet.attention
    }
