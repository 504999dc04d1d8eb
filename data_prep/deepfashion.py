"""DeepFashion, category and attribute benchmark: from the released lists to split files.

`python -m data_prep.deepfashion --raw RAW_DIR --out DATA_DIR [--splits DIR] [--broken skip]`, with
list_attr_cloth.txt and list_attr_img.txt in RAW_DIR/Anno or RAW_DIR/Anno_coarse, and the images in
RAW_DIR/img or RAW_DIR/Img/img.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from asen_tf.data import AnnotationError, AttributeTable, check_image_name
from data_prep.command import SPLITS_OPTION, Report, run_command, write_release
from data_prep.image_files import place_image
from data_prep.releases import Sample

DATASET = "DeepFashion"
# Types 1 to 5 of the released list, by the names that the authors of ASEN++ gave them.
ATTRIBUTES = ("texture-related", "fabric-related", "shape-related", "part-related", "style-related")
_FOLDERS = ("Anno", "Anno_coarse", "")
_MARKS = {"-1", "0", "1"}


def prepare(
    raw: Path, out: Path, *, seed: int = 0, broken: str = "error", splits: Path | None = None
) -> Report:
    """Read DeepFashion's lists, check its images and write split files.

    An attribute is a type of the released list, a value the 0-based rank of a released attribute
    inside its type, in file order. An image holds every value that is marked 1, so it may hold
    several of an attribute; images that hold none are left out of the division.

    Args:
        raw: the folder of `Anno` or `Anno_coarse`, with the lists, and of `img` or `Img/img`.
        out: the folder of all datasets.
        seed: of the division of the images, 8:1:1, and of the rows into queries and candidates.
        broken: "error" or "skip", for images that cannot be used.
        splits: the authors' split files (theirs are not list_eval_partition.txt), used
            instead of a random division.

    Returns:
        What there is, and what was left out.

    Raises:
        AnnotationError: a list or the folder of images is missing, a list breaks a rule, or an
            image cannot be used.
    """
    images = _image_folder(raw, out / DATASET)
    columns, names = read_values(_find(raw, "list_attr_cloth.txt"))
    table = AttributeTable(ATTRIBUTES, tuple(len(names[attribute]) for attribute in ATTRIBUTES))
    samples = list(read_images(_find(raw, "list_attr_img.txt"), columns))
    for sample in samples:
        if (images / sample.path).is_file():
            place_image(images / sample.path, out / DATASET / sample.path)
    labelled = [sample for sample in samples if sample.labels]
    note = f"{len(samples) - len(labelled):,} images hold no value and are not used"
    options = {"value_names": names, "seed": seed, "broken": broken, "splits": splits}
    return write_release(out, DATASET, table, labelled, **options, notes=[note])


def read_values(path: Path) -> tuple[list[tuple[int, int]], dict[str, list[str]]]:
    """Return each column's (attribute, value), and the names of the values by attribute.

    The file has a count, a header, and lines `<name, with blanks> <type 1 to 5>`.

    Raises:
        AnnotationError: a line breaks the format, with its number.
    """
    columns: list[tuple[int, int]] = []
    names: dict[str, list[str]] = {attribute: [] for attribute in ATTRIBUTES}
    for line, text in _listed(path):
        name, _, kind = text.rstrip().rpartition(" ")
        if not name.strip() or kind not in {"1", "2", "3", "4", "5"}:
            raise AnnotationError(
                "a line must be <name> <type>, the type 1 to 5",
                path=path,
                line=line,
                got=text,
                remedy="use the file as it was released",
            )
        attribute = int(kind) - 1
        held = names[ATTRIBUTES[attribute]]
        columns.append((attribute, len(held)))
        held.append(name.strip())
    empty = [attribute for attribute, held in names.items() if not held]
    if empty:
        raise AnnotationError(
            "every type must have values",
            path=path,
            got=f"none of {empty}",
            remedy="use the file as it was released",
        )
    return columns, names


def read_images(path: Path, columns: Sequence[tuple[int, int]]) -> Iterator[Sample]:
    """Yield each line's image with the values that are marked 1.

    The file has a count, a header, and lines `<image> <mark> <mark> ...`, a mark per column.

    Raises:
        AnnotationError: a line breaks the format, with its number; or an image is named twice.
    """
    seen: dict[str, int] = {}
    lines = tqdm(_listed(path), desc=f"reading {path.name}", unit="image", mininterval=1.0)
    for line, text in lines:
        name, *marks = text.split()
        check_image_name(name, path, line)
        if len(marks) != len(columns) or not _MARKS.issuperset(marks):
            raise AnnotationError(
                f"a line must hold an image and {len(columns)} marks, each -1, 0 or 1",
                path=path,
                line=line,
                got=f"{len(marks)} marks: {text}",
                remedy="use list_attr_cloth.txt and list_attr_img.txt of one release",
            )
        if name in seen:
            raise AnnotationError(
                f"an image must have one line; this one is also in line {seen[name]}",
                path=path,
                line=line,
                got=name,
                remedy="use the file as it was released",
            )
        seen[name] = line
        held = (column for column, mark in zip(columns, marks, strict=True) if mark == "1")
        yield Sample(name, tuple(held))


def _listed(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines after count and header, and check their count.

    Line by line, since the larger list would take more than a gigabyte of memory as text.
    """
    count, found, line, texts = None, -1, 0, _lines(path)
    for line, text in texts:
        if count is None:
            if not (text.strip().isascii() and text.strip().isdigit()):
                break
            count = int(text.strip()[:12])
            continue
        found += 1
        if found:  # the first one is the header
            yield line, text
    if count is None or found < 0:
        raise AnnotationError(
            "the file must begin with a count and a header",
            path=path,
            line=1,
            got="other lines",
            remedy="use the file as it was released",
        )
    if found != count:
        raise AnnotationError(
            f"the first line counts {count} lines",
            path=path,
            line=line,
            got=found,
            remedy="download the file again: it may have been cut short",
        )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that are not blank."""
    line, data = 0, b""
    try:
        with open(path, "rb") as stream:
            for line, data in enumerate(stream, start=1):
                text = data.decode("utf-8-sig" if line == 1 else "utf-8").rstrip("\r\n")
                if text.strip():
                    yield line, text
    except UnicodeDecodeError:
        remedy = "use the file as it was released"
        raise AnnotationError(
            "the text must be UTF-8", path=path, line=line, got=data[:40], remedy=remedy
        ) from None
    except OSError as error:
        remedy = "check its permissions"
        raise AnnotationError("cannot be read", path=path, got=str(error), remedy=remedy) from None


def _image_folder(raw: Path, placed: Path) -> Path:
    """Return the folder that the paths in the lists, `img/...`, start from."""
    # The inner one first: where case does not matter, `img` is also the name of `Img`.
    for folder in (raw / "Img", raw / "img", raw, placed):  # `placed`, if an earlier call was here
        if (folder / "img").is_dir():
            return folder
    archive = next(
        (path for path in (raw / "Img" / "img.zip", raw / "img.zip") if path.is_file()), ""
    )
    raise AnnotationError(
        "the images must be in img/ or Img/img/",
        path=raw,
        got=f"only the archive {archive}" if archive else "no such folder",
        remedy=f"unpack it in {archive.parent}"
        if archive
        else "pass the folder that holds it as --raw",
    )


def _find(raw: Path, name: str) -> Path:
    places = [raw / folder / name for folder in _FOLDERS]
    for place in places:
        if place.is_file():
            return place
    raise AnnotationError(
        f"the release must hold {name} in Anno/ or Anno_coarse/",
        path=raw,
        got="no such file",
        remedy="pass the folder that holds Anno/ or Anno_coarse/ as --raw",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_command("deepfashion", __doc__, prepare, arguments, options=SPLITS_OPTION)


if __name__ == "__main__":
    sys.exit(main())
