"""The commands of a catalogue: `asen index`, `search`, `serve` and `attributes`."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asen_apps.search.answers import as_csv, as_page, as_picture, as_table
from asen_apps.search.backend import SearchIndexError
from asen_apps.search.service import (
    PORT,
    Catalogue,
    Question,
    answer,
    attribute_names,
    serve,
)
from asen_apps.search.storage import index_fields, index_notes, model_of
from asen_tf.files import replacing, write_text

USED, INPUT = 0, 2  # exit codes: all images were used; some were left out

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
    from asen_apps.search.cataloguing import UNREADABLE, beside, make_index, sources_of

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
    line = f"{options.out}: {outcome.total} images, {outcome.attributes} attributes"
    if options.update:
        line = (
            f"{options.out}: {len(outcome.added)} added, {len(outcome.dropped)} dropped, "
            f"{len(outcome.changed)} embedded again, {outcome.relabelled} with new metadata; "
            f"{outcome.total} images"
        )
    if outcome.unreadable:
        line += f"; {len(outcome.unreadable)} left out, see {beside(options.out, UNREADABLE)}"
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
    scores = _scores(model.parent / "map.csv", notes.get("embedding"))
    for name in attribute_names(model):
        told = [f"MAP on test {scores[name]:.1f}%"] if name in scores else []
        if notes:
            told.append("ready" if name in notes.get("pairs", {}) else "embedded when first asked")
        print(f"{name}  ({', '.join(told)})" if told else name)
    if notes:
        print(f"fields for --where: {', '.join(index_fields(options.path)) or 'none'}")
        print(f"{notes['count']} images; made with {model}")
    return USED


def _scores(path: Path, embedding: str | None) -> dict[str, float]:
    """Return attribute -> MAP, in percent, of an embedding of a finished run; empty without one.

    For None it is the last one that the run's table names, which is the model's best.
    """
    scores: dict[str, float] = {}
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["method"] != "random" and embedding in (None, row["embedding"]):
                    scores[row["attribute"]] = float(row["map"])
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
