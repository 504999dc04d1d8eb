"""From a sheet to the files that a person keeps, prints and sends: one page, and its numbers."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from IPython.display import HTML
from jinja2 import Environment, PackageLoader, StrictUndefined

from asen_tf.annotations import label
from asen_tf.evidence import statements
from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.numbers import numbers
from asen_tf.evidence.records import TOGETHER
from asen_tf.evidence.sheet import Sheet
from asen_tf.evidence.wishes import check_name
from asen_tf.files import write_text

PARTS = ("summary", "reading", "distributions", "found", "origin")

# File names and what errors say of files are anybody's text: everything is escaped.
_TEMPLATES = Environment(
    loader=PackageLoader("asen_tf.evidence"),
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
    """Return the sheet's numbers as JSON text; see `asen_tf.evidence.numbers`."""
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
