"""Executed notebooks, made fit to be shown: without noise, with pictures that are small enough.

    python -m asen_study.executed STUDY [--out results/gallery]

writes the gallery: a study's executed notebooks, to be kept in git.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from PIL import Image

from asen_study.pipeline import run_notebook
from asen_study.provenance import ROOT
from asen_study.runs import DRAWN
from asen_tf.files import replacing
from asen_tf.presets import preset

_WIDEST, _NARROWEST = 1300, 300  # px, of pictures
_LIMIT = 5_900_000  # bytes of all notebooks together
_GALLERY = (
    *("00_method", "01_prepare_data", "02_backbone_start", "03_train", "04_evaluate"),
    *("05_results", "06_ablations", "07_rerank", "08_design_evidence"),
)
_EXECUTED_HERE = ("00_method", "08_design_evidence")  # if the study has not; the others train
_SAYS_NOTHING = re.compile(r"^.*: (?:finished|measured) before, nothing to do\n?", re.MULTILINE)
_FOLDERS = re.compile(r"(?<![\w.:/<])/(?:[\w.+~-]+/)+")  # folders of a machine
_LARGEST = 300_000  # letters of a piece of HTML; a sheet of evidence is a page of its own
_WIDGET = "application/vnd.jupyter.widget-view+json"
_PIXELS = re.compile(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)")


class GalleryError(ValueError):
    """A study's notebooks do not belong in the gallery."""


# === The gallery ===


def gallery(study: Path, target: Path) -> list[Path]:
    """Write executed copies of a study's notebooks that are small enough for git.

    They come from the study itself, those that it does not run from the studies `ablations` and
    `parts` beside it; 00 and 08 are executed if none has them. Progress bars, large embedded pages,
    folders of this machine and what kernels note are left out; pictures are made so small that all
    notebooks stay below 6 MB.

    Args:
        study: the folder of a finished study of the drawn garments.
        target: the folder of the gallery; notebooks that are not written anew stay as they are.

    Returns:
        The files that were written.

    Raises:
        GalleryError: the study, or one of its notebooks, shows other images than drawn ones: a
            gallery is public, and photographs belong to others.
    """
    if not (study / "provenance.json").exists():
        raise GalleryError(f"{study} holds no finished study (provenance.json is missing)")
    origin = json.loads((study / "provenance.json").read_text(encoding="utf-8"))
    _check_drawn(study / "provenance.json", origin["settings"])
    places = [study, study.parent / "ablations", study.parent / "parts"]
    found: dict[str, NotebookNode] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in _GALLERY:
            files = [file for place in places for file in _executed(place / "notebooks", name)]
            if not files and name in _EXECUTED_HERE:
                files = [_execute(name, study, Path(folder))]
            if not files:
                print(f"{name}: left out; none of {', '.join(map(str, places))} has run it")
                continue
            found[name] = nbformat.read(files[0], as_version=4)
            given = found[name].metadata.get("papermill", {}).get("parameters", {})
            _check_drawn(files[0], given)
            clean(found[name])
            leave_out_pages(found[name])
            _forget(found[name])
    slim(list(found.values()), _LIMIT)
    for name, notebook in found.items():
        with replacing(target / f"{name}.ipynb") as temporary:
            nbformat.write(notebook, temporary)
    return [target / f"{name}.ipynb" for name in found]


def _executed(folder: Path, name: str) -> list[Path]:
    """Return a notebook's executed copies; of several trainings, that of ASEN++ comes first."""
    copies = [*folder.glob(f"{name}.ipynb"), *sorted(folder.glob(f"{name}-*.ipynb"))]
    return sorted(copies, key=lambda path: not path.stem.startswith(f"{name}-asen_pp-seed"))


def _execute(name: str, study: Path, folder: Path) -> Path:
    """Run a notebook on a study's models, with the study's settings; return its executed copy."""
    print(f"{name}: running it on {study}", flush=True)
    asked: dict[str, Any] = {}
    for file in study.glob("notebooks/05_results.ipynb"):
        asked = nbformat.read(file, as_version=4).metadata["papermill"]["parameters"]
    wanted = ("preset", "data_dir") if name == "08_design_evidence" else ("preset",)
    given = {key: asked[key] for key in wanted if key in asked}
    given |= {"study": study.name, "results_dir": str(study.parent)}
    source, output = (place / f"{name}.ipynb" for place in (ROOT / "notebooks", folder))
    run_notebook(source, output, given)
    return output


def _check_drawn(file: Path, given: Mapping[str, Any]) -> None:
    """Refuse what shows images that were not drawn by this project."""
    own = [name for name in ("raw", "table", "design", "catalogue", "model") if given.get(name)]
    own = [name for name in own if not isinstance(given[name], int)]  # 00's number of drawings
    dataset = given.get("dataset")
    if dataset is None:
        dataset = preset(given["preset"]).dataset if "preset" in given else DRAWN[0]
    if own or dataset not in DRAWN:
        which = f"{own[0]} {given[own[0]]!r}" if own else f"dataset {dataset!r}"
        raise GalleryError(
            f"{file}: the gallery shows drawn garments only ({', '.join(DRAWN)}), since "
            f"photographs belong to others; got {which}; give a study of the drawings"
        )


def clean(notebook: NotebookNode, *, streams: bool = True) -> None:
    """Take progress bars and messages of kernels out of a notebook, or all that was printed."""
    for cell in notebook.cells:
        kept = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _SAYS_NOTHING.sub("", output.text)
                if not streams or output.name == "stderr" or not output.text.strip():
                    continue
            elif output.get("data", {}).pop(_WIDGET, None) and "text/html" not in output.data:
                continue  # a page without Python shows the HTML that some widgets have besides
            kept.append(output)
        if cell.cell_type == "code":
            cell.outputs = kept


def leave_out_pages(notebook: NotebookNode) -> None:
    """Replace embedded pages that are too large for another page by a sentence."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if len(output.get("data", {}).get("text/html", "")) > _LARGEST:
                output["data"] = {"text/plain": "This is a separate page; its file is named above."}


def leave_out_pictures(notebooks: Iterable[NotebookNode]) -> None:
    """Replace all pictures, which are too many for one page, by a sentence."""
    for output in (o for one in notebooks for c in one.cells for o in c.get("outputs", [])):
        data = output.get("data", {})
        if {"image/png", "image/jpeg"} & set(data) or _PIXELS.search(data.get("text/html", "")):
            said = "This picture did not fit into the page: see the executed notebook."
            output["data"] = {"text/plain": said}


def _forget(notebook: NotebookNode) -> None:
    """Take out of a notebook where and when it ran, and join what it printed."""
    names = ("kernelspec", "language_info")
    notebook.metadata = {name: notebook.metadata[name] for name in names}
    CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = str(number)
        cell.metadata = {name: cell.metadata[name] for name in ("tags",) if cell.metadata.get(name)}
        cell.source = _without_folders(cell.source)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _without_folders(output.text)
            for kind, text in output.get("data", {}).items():
                if kind.startswith("text/") and isinstance(text, str):
                    plain = kind != "text/html"
                    output.data[kind] = _without_folders(text) if plain else _own_paths(text)


def _own_paths(text: str) -> str:
    return text.replace(f"{ROOT}/", "")


def _without_folders(text: str) -> str:
    """Return a text whose paths start at the project, or are those of a file or folder alone."""
    return _FOLDERS.sub("", _own_paths(text))


# === Pictures ===


def slim(notebooks: Sequence[NotebookNode], limit: int) -> None:
    """Make the pictures of notebooks smaller, until all fit; those that fit stay as they are.

    Args:
        notebooks: whose pictures are replaced.
        limit: bytes that the notebooks may take together.

    Raises:
        GalleryError: they do not fit even with small pictures.
    """
    before = [nbformat.v4.writes(notebook) for notebook in notebooks]
    width, size = float(_WIDEST), sum(len(text.encode()) for text in before)
    while size > limit:
        # Bytes grow with the area; that pictures are written anew saves some, too.
        width *= min(0.95 * (limit / size) ** 0.5, 0.9)
        if width < _NARROWEST:
            raise GalleryError(
                f"pictures {_NARROWEST} px wide still take more than {limit:,} bytes"
            )
        for notebook, text in zip(notebooks, before, strict=True):
            notebook.cells = nbformat.reads(text, as_version=4).cells
            for cell in notebook.cells:
                for output in cell.get("outputs", []):
                    _slim_output(output, round(width))
        size = sum(len(nbformat.v4.writes(one).encode()) for one in notebooks)


def _slim_output(output: NotebookNode, width: int) -> None:
    data = output.get("data", {})
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            data[kind] = _smaller(data[kind], width)
    if "text/html" in data:
        html = data["text/html"]
        data["text/html"] = _PIXELS.sub(lambda found: _smaller(found[0], width // 2), html)


def _smaller(encoded: str, width: int) -> str:
    """Return a picture in base64, at most so wide; what is behind `base64,` of an address, too."""
    address, _, pixels = encoded.rpartition("base64,")
    content = base64.b64decode(pixels)
    with Image.open(io.BytesIO(content)) as opened:
        if opened.width <= width:
            return encoded
        form, picture = opened.format, opened.convert("RGB")
    size = (width, max(round(picture.height * width / picture.width), 1))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    written = io.BytesIO()
    if form == "JPEG":
        picture.save(written, form, quality=80, optimize=True)
    else:  # 256 colours
        picture.quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    smaller = min(content, written.getvalue(), key=len)
    pixels = base64.b64encode(smaller).decode()
    return f"{address}base64,{pixels}" if address else pixels


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m asen_study.executed",
        description="Write executed copies of a study's notebooks, small enough for git.",
    )
    parser.add_argument("study", type=Path, help="the folder of a study of the drawn garments")
    parser.add_argument("--out", type=Path, default=Path("results/gallery"))
    options = parser.parse_args(arguments)
    try:
        written = gallery(options.study, options.out)
    except GalleryError as error:
        print(error, file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in written) / 1e6
    print(*written, f"{len(written)} notebooks, {size:.1f} MB together", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
