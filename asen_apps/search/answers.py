"""What a search has found, as a table, as CSV, as a page and as a picture."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from asen_apps.search.items import read_conditions
from asen_tf.data.images import ImageError, font_for, load_upright

_SIDE = 192  # px, of a picture in a sheet
_LETTERS = 12  # px, their height in a picture
_WIDEST = 24  # characters of a column of the table


def legend(found: Mapping[str, Any]) -> str:
    """Return what score and share mean, in one sentence."""
    weights = found["attributes"]
    terms = " + ".join(
        name if weight == 1 else f"{weight:g} {name}" for name, weight in weights.items()
    )
    return (
        f"score: {terms} (cosine similarity); reached by: share of random pairs of this catalogue "
        "that are at least as similar"
    )


def share(reached_by: float | None) -> str:
    """Return how usual a score is, for people: the share of random pairs that reach it."""
    if reached_by is None:
        return "-"
    if reached_by < 1e-4:
        return "<0.01%"
    return f"{reached_by:.2%}" if reached_by < 0.1 else f"{reached_by:.0%}"


def _rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the hits as texts by column: several cosines, and the metadata, have their own."""
    hits, several = found["hits"], len(found["attributes"]) > 1
    fields = list(dict.fromkeys(name for hit in hits for name in hit["metadata"]))
    asked = read_conditions(found["where"])
    fields.sort(key=lambda name: name not in asked)  # those of the conditions first
    rows = []
    for hit in hits:
        row = {"rank": str(hit["rank"]), "score": f"{hit['score']:.4f}"}
        row["reached by"] = share(hit["reached_by"])
        if several:
            row |= {name: f"{cosine:.4f}" for name, cosine in hit["cosines"].items()}
        row["image"] = hit["image"]
        for name in fields:
            value = hit["metadata"].get(name, "")
            row[name if name not in row else f"{name} (table)"] = (
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            )
        rows.append(row)
    return rows


def as_csv(found: Mapping[str, Any]) -> str:
    """Return the hits as CSV: full precision, the id, and one column per cosine and field."""
    rows = [
        {"id (table)" if name == "id" else name: text for name, text in row.items()}
        for row in _rows(found)
    ]
    for row, hit in zip(rows, found["hits"], strict=True):
        row["score"], row["id"] = repr(hit["score"]), str(hit["id"])
        row["reached by"] = "" if hit["reached_by"] is None else f"{hit['reached_by']:.6g}"
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else ["rank"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def as_table(found: Mapping[str, Any], width: int) -> str:
    """Return the hits as aligned lines of at most `width` characters, and what they mean.

    Columns of metadata that do not fit are named below.
    """
    rows = _rows(found)
    if not rows:
        return "no hits"
    common = _common([row["image"] for row in rows])
    for row in rows:
        row["image"] = row["image"][len(common) :]
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    cells = [[_short(" ".join(cell.split()), _WIDEST) for cell in row] for row in cells]
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)]
    ends = accumulate(size + 2 for size in sizes)
    fit = max(sum(end - 2 <= width for end in ends), list(rows[0]).index("image") + 1)
    lines = [
        "  ".join(c.ljust(n) for c, n in zip(row[:fit], sizes, strict=False)).rstrip()
        for row in cells
    ]
    note = [f"images in {common}"] if common else []
    if hidden := ", ".join(list(rows[0])[fit:]):
        note.append(f"no room for {hidden}; --csv shows all")
    return "\n".join([*(_short(line, width) for line in lines), *note, legend(found)])


def _common(paths: Sequence[str]) -> str:
    """Return the folder, with its slash, that all paths begin with."""
    same = os.path.commonprefix(list(paths))
    return same[: same.rfind("/") + 1]


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _thumbnail(path: str | Path) -> Image.Image | None:
    try:
        picture = load_upright(path)
    except ImageError:
        return None
    picture.thumbnail((_SIDE, _SIDE))
    return picture


def _captions(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines under each hit: score and share, file name, values."""
    lines = []
    for row in _rows(found):
        values = [f"{name}: {text}" for name, text in list(row.items())[3:] if text]
        name = Path(row["image"]).name
        values = [value for value in values if not value.startswith("image: ")]
        head = f"{row['rank']}. score {row['score']}, reached by {row['reached by']}"
        lines.append([head, name, *values])
    return lines


def as_page(found: Mapping[str, Any], query: Path) -> str:
    """Return the hits as a page of HTML that needs no other file."""

    def card(path: str | Path, lines: Sequence[str]) -> str:
        picture = _thumbnail(path)
        shown = f"<p>{escape(str(path))} cannot be read.</p>"
        if picture is not None:
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=85)
            data = base64.b64encode(stream.getvalue()).decode("ascii")
            shown = (
                f'<img src="data:image/jpeg;base64,{data}" alt="{escape(lines[0], quote=True)}">'
            )
        text = "<br>".join(escape(line) for line in lines[1:])
        return (
            f"<figure>{shown}<figcaption><b>{escape(lines[0])}</b><br>{text}</figcaption></figure>"
        )

    asked = [f"query: {query.name}", *found["where"]]
    hits = zip(found["hits"], _captions(found), strict=True)
    cards = "".join(card(hit["image"], lines) for hit, lines in hits)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(query.name)}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:14px sans-serif;margin:1.5em}figure{margin:0;overflow-wrap:anywhere}"
        "div{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:1.2em 1em}"
        f"body>figure{{margin:0 0 1.5em}}img{{max-width:min(100%,{_SIDE}px)}}</style>"
        f"<h1>Most similar images</h1><p>{escape(legend(found))}.</p>"
        f"{card(query, asked)}<div>{cards}</div></html>\n"
    )


def as_picture(found: Mapping[str, Any], query: Path) -> Image.Image:
    """Return the hits as one picture, five beside each other, the query first.

    What no font of this machine can draw is numbered, and named in a note on standard error.
    """
    numbers: dict[str, int] = {}

    def write(place: tuple[int, int], line: str) -> None:
        if (font := font_for(line, _LETTERS)) is None:
            parts = line.split(": ", 1)
            line = ": ".join(
                part if part.isascii() else f"value {numbers.setdefault(part, len(numbers) + 1)}"
                for part in parts
            )
            font = font_for(line, _LETTERS)
        draw.text(place, line, "black", font)

    entries = [(query, [f"query: {query.name}", *found["where"]])]
    entries += list(zip([hit["image"] for hit in found["hits"]], _captions(found), strict=True))
    height = _SIDE + 16 * max(len(lines) for _, lines in entries) + 16
    columns, wide = min(5, len(entries)), _SIDE + 48
    rows = -(-len(entries) // columns)
    sheet = Image.new("RGB", (columns * wide, rows * height + 24), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (path, lines) in enumerate(entries):
        left, top = place % columns * wide + 8, place // columns * height + 8
        picture = _thumbnail(path)
        if picture is not None:
            sheet.paste(picture, (left, top))
        for number, line in enumerate(lines):
            write((left, top + _SIDE + 4 + 16 * number), _short(line, 36))
    write((8, rows * height + 4), legend(found))
    if numbers:
        named = ", ".join(f"{name} (value {number})" for name, number in numbers.items())
        print(f"no font of this machine has the letters of {named}", file=sys.stderr)
    return sheet
