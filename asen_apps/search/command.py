"""The commands of a catalogue: `asen index`, `search`, `serve` and `attributes`."""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from asen_apps.search.backend import SearchIndexError
from asen_apps.search.items import read_conditions
from asen_apps.search.service import (
    PORT,
    Catalogue,
    Question,
    answer,
    attribute_names,
    serve,
    share,
)
from asen_apps.search.storage import index_fields, index_notes, model_of
from asen_tf.data.images import ImageError, font_for, load_upright
from asen_tf.files import replacing, write_text

USED, INPUT = 0, 2  # exit codes: all images were used; some were left out
_SIDE = 192  # px, of a picture in a sheet
_LETTERS = 12  # px, their height in a picture
_WIDEST = 24  # characters of a column of the table

# === Options ===


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is embedded."""
    parser.add_argument(
        "--attribute", action="append", metavar="NAME", help="repeat it for several (default: all)"
    )
    parser.add_argument(
        "--embedding", help="global, local or fused (default: the best that the model has)"
    )


def add_index(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `asen index`."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a .keras file or the folder of a study; an update may leave it out",
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="image files, folders of images, .txt files with a name per line, or - for names on "
        "standard input",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="a table with a column `image`; the others become metadata to filter by, and labels "
        "where they are attributes",
    )
    parser.add_argument(
        "--images", dest="folder", metavar="FOLDER", help="of the table's images (default: its own)"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="change the index that is there: add what is new, drop what is gone, embed again what "
        "has changed; without images or a table, look where it found them before",
    )
    add_choice(parser)
    parser.add_argument(
        "--backend",
        default="auto",
        help="auto, exact, hnsw, or a Milvus address (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", default="float32", help="float16 halves the size (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the folder to write"
    )


def add_search(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `asen search`."""
    parser.add_argument("index", type=Path, metavar="INDEX", help="a folder that `index` wrote")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the image to compare with")
    parser.add_argument(
        "--attribute",
        action="append",
        required=True,
        metavar="NAME[=WEIGHT]",
        help="what to compare; repeat it for a weighted sum (default weight: 1)",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="such as brand=Acme or 'price<50' (= != < <= > >=); repeat it for several: of those "
        "with = on one field one must hold, of all others every one",
    )
    parser.add_argument("-k", type=int, default=10, help="how many hits (default: %(default)s)")
    parser.add_argument(
        "--not-itself", action="store_true", help="leave out the image itself and its exact copies"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    form.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help="write a page of pictures, FILE.html or FILE.png, instead of a table",
    )
    parser.add_argument(
        "--model", type=Path, metavar="MODEL", help="if it has moved since the index was made"
    )
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", help="where the images are, if they have moved"
    )


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `asen serve`."""
    parser.add_argument("index", type=Path, metavar="INDEX", help="a folder that `index` wrote")
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        help="the first to try, then up to 20 more (default: %(default)s)",
    )
    parser.add_argument("--token", help="what callers must send (default: a random one)")
    parser.add_argument(
        "--model", type=Path, metavar="MODEL", help="if it has moved since the index was made"
    )
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", help="where the images are, if they have moved"
    )


def add_attributes(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `asen attributes`."""
    parser.add_argument(
        "path",
        type=Path,
        metavar="MODEL|INDEX",
        help="a .keras file, a study's folder, or an index",
    )
    parser.add_argument(
        "--model", type=Path, metavar="MODEL", help="of an index, if it has moved since"
    )


# === What they do ===


def run_index(options: argparse.Namespace) -> int:
    """Make an index, or bring one up to date."""
    from asen_apps.search.catalogue_table import Sources
    from asen_apps.search.cataloguing import make_index, sources_of
    from asen_tf.embedder import model_file

    sources = Sources(tuple(options.images), options.csv, options.folder)
    model = options.model
    if options.update:
        for name, usual in (
            ("attribute", None),
            ("embedding", None),
            ("backend", "auto"),
            ("dtype", "float32"),
        ):
            if getattr(options, name) != usual:
                raise SearchIndexError(
                    f"an update keeps what the index has; leave out --{name}, or build it again"
                )
        notes = index_notes(options.out)
        model = model_of(notes, options.out, model, remedy="name it: asen index MODEL --update")
        if sources == Sources():
            sources = sources_of(notes, options.out)
    elif model is None:
        raise SearchIndexError("name the model: asen index MODEL ... --out FOLDER")
    outcome = make_index(
        model,
        sources,
        options.out,
        attributes=options.attribute,
        update=options.update,
        say=lambda text: print(text, file=sys.stderr),
        embedding=options.embedding,
        backend=options.backend,
        dtype=options.dtype,
    )
    for path, reason in outcome.unreadable:
        print(f"{path}: {reason}", file=sys.stderr)
    names = options.attribute or attribute_names(model_file(model))
    line = f"{options.out}: {outcome.total} images, {len(names)} attributes"
    if options.update:
        line = (
            f"{options.out}: {len(outcome.added)} added, {len(outcome.dropped)} dropped, "
            f"{len(outcome.changed)} embedded again, {outcome.relabelled} with new metadata; "
            f"{outcome.total} images"
        )
    if outcome.unreadable:
        line += f"; {len(outcome.unreadable)} left out, see {options.out}.unreadable.csv"
    print(line)
    return INPUT if outcome.unreadable else USED


def run_search(options: argparse.Namespace) -> int:
    """Search, and print or draw what is found."""
    sheet = options.sheet
    if sheet is not None and sheet.suffix not in (".html", ".png"):
        raise SearchIndexError(f"a sheet's name must end in .html or .png; got {sheet}")
    question = Question(
        weights_of(options.attribute), tuple(options.where), options.k, options.not_itself
    )
    found = answer(options.index, options.image, question, model=options.model, root=options.root)
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    elif options.csv:
        print(as_csv(found), end="")
    elif sheet is not None:
        content = as_page(found, options.image) if sheet.suffix == ".html" else None
        if content is not None:
            write_text(sheet, content)
        else:
            with replacing(sheet) as temporary:
                as_picture(found, options.image).save(temporary)
        print(f"{sheet}: {len(found['hits'])} hits")
    else:
        print(as_table(found, shutil.get_terminal_size().columns))
    if not found["hits"]:
        print("no item passes the conditions; loosen --where", file=sys.stderr)
    return USED


def run_serve(options: argparse.Namespace) -> int:
    """Answer searches until Ctrl-C."""
    if options.token is not None and len(options.token) < 8:
        raise SearchIndexError("a token must have 8 characters or more; without one, it is random")
    catalogue = Catalogue(options.index, options.model, options.root)
    serve(catalogue, port=options.port, token=options.token)
    return USED


def run_attributes(options: argparse.Namespace) -> int:
    """List the attributes that a model or an index knows, and the fields of its metadata."""
    notes: dict[str, Any] = {}
    if (options.path / "CURRENT").is_file():
        notes = index_notes(options.path)
        model = model_of(notes, options.path, options.model)
    elif options.path.is_dir():
        from asen_tf.embedder import model_file  # TensorFlow

        model = model_file(options.path)
    else:
        model = options.path
    scores = _scores(model.parent / "map.csv")
    for name in attribute_names(model):
        told = [f"MAP on test {scores[name]:.1f}%"] if name in scores else []
        if notes:
            told.append("ready" if name in notes.get("pairs", {}) else "embedded when first asked")
        print(f"{name}  ({', '.join(told)})" if told else name)
    if notes:
        print(f"fields for --where: {', '.join(index_fields(options.path)) or 'none'}")
        print(f"{notes['count']} images; made with {model}")
    return USED


def _scores(path: Path) -> dict[str, float]:
    """Return attribute -> the best MAP, in percent, of a finished run; empty without one."""
    scores: dict[str, float] = {}
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["method"] != "random":
                    score = float(row["map"])
                    scores[row["attribute"]] = max(score, scores.get(row["attribute"], 0.0))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return scores


def weights_of(texts: Sequence[str]) -> dict[str, float]:
    """Return attribute -> weight from texts like `neckline=0.7`."""
    weights = {}
    for text in texts:
        name, _, weight = text.partition("=")
        try:
            weights[name] = float(weight) if weight else 1.0
        except ValueError:
            raise SearchIndexError(f"--attribute is NAME or NAME=WEIGHT; got {text!r}") from None
    return weights


# === Answers in other forms ===


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
    rows = _rows(found)
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
