"""DARN: from the authors' split files and the images that are left to split files.

`python -m data_prep.darn --raw RAW_DIR --out DATA_DIR [--download [FILE]]`, with the authors'
filenames_*.txt, label_train.txt, query_*.txt and candidate_*.txt, and pic/, in RAW_DIR. Many of its
images are gone from the web; missing ones are left out and counted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from asen_tf.data import AnnotationError, AttributeTable, check_image_name, read_text
from asen_tf.files import write_text
from data_prep.command import Report, run_command
from data_prep.download import download as fetch_images
from data_prep.image_files import place_image
from data_prep.releases import ReleasedSplit, apply_released, read_released

DATASET = "DARN"
# Names and numbers of values are the authors'; the names of the values are not known.
SIZES = {
    "clothes category": 20,
    "clothes button": 13,
    "clothes color": 55,
    "clothes length": 7,
    "clothes pattern": 28,
    "clothes shape": 11,
    "collar shape": 26,
    "sleeve length": 8,
    "sleeve shape": 17,
}
TABLE = AttributeTable(tuple(SIZES), tuple(SIZES.values()))


def prepare(
    raw: Path, out: Path, *, seed: int = 0, broken: str = "skip", download: Path | None = None
) -> Report:
    """Read the authors' lists, keep what has an image, and write split files.

    Args:
        raw: the folder of the split files and of `pic`.
        out: the folder of all datasets.
        seed: has no effect: the division is the authors'.
        broken: "skip" (many images are gone), or "error".
        download: a file of lines `<image path> <URL>`, from which missing images are first fetched
            into `raw`; if there is no such file here, it is looked for in `raw`.

    Returns:
        What there is; `coverage.csv` also holds the coverage of each split and attribute.

    Raises:
        AnnotationError: a list is missing or breaks a rule, no image is there at all, or an
            image cannot be used and `broken` is "error".
    """
    released = read_released(raw, TABLE)
    names = list(dict.fromkeys(name for split in released.values() for name in split.files))
    notes = []
    if download is not None:
        wanted, listing = set(names), download if download.is_file() else raw / download
        sources = {name: url for name, url in read_urls(listing).items() if name in wanted}
        notes.append(str(fetch_images(sources, raw)))
    there = [name for name in names if (raw / name).is_file()]
    if not there:
        raise AnnotationError(
            "at least some of the listed images must be there",
            path=raw,
            got=f"none of {len(names):,}, such as {names[0] if names else '-'}",
            remedy="pass the folder that holds pic/, or fetch them with --download",
        )
    for name in there:
        place_image(raw / name, out / DATASET / name)
    reasons = apply_released(out, DATASET, TABLE, released, broken=broken)
    rows = coverage(released, reasons)
    text = "".join(f"{split},{name},{kept},{total}\n" for split, name, kept, total in rows)
    write_text(out / DATASET / "coverage.csv", f"split,attribute,kept,listed\n{text}")
    notes += [
        f"{split}: {kept:,} of {total:,} images present ({100 * kept / max(total, 1):.1f} %)"
        for split, name, kept, total in rows
        if name == "images"
    ]
    return Report.from_paths({name: part.files for name, part in released.items()}, reasons, notes)


def coverage(
    released: Mapping[str, ReleasedSplit], reasons: Mapping[str, str]
) -> list[tuple[str, str, int, int]]:
    """Return split, attribute, rows kept and rows listed; "images" counts the images."""
    found = []
    for split, part in released.items():
        usable = np.array([name not in reasons for name in part.files], bool)
        found.append((split, "images", int(usable.sum()), len(usable)))
        rows = np.concatenate(list(part.rows.values()))
        for attribute, name in enumerate(TABLE.names):
            images = rows[rows[:, 1] == attribute, 0]
            found.append((split, name, int(usable[images].sum()), len(images)))
    return found


def read_urls(path: Path) -> dict[str, str]:
    """Return URL by image path, from lines `<image path> <URL>`; the path may hold blanks.

    Blanks or tabs separate the two. The URLs are not checked: `downloads.csv` will say what became
    of each.

    Raises:
        AnnotationError: a line holds something else, with its number.
    """
    found: dict[str, str] = {}
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        name, url = (["", *text.strip().rsplit(None, 1)])[-2:]
        if not name or not url.startswith(("http://", "https://")):
            raise AnnotationError(
                "a line must be <image path> <URL>, the URL with http:// or https://",
                path=path,
                line=line,
                got=text,
                remedy="complete or remove the line",
            )
        check_image_name(name, path, line)
        found[name] = url
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    details = {
        "type": Path,
        "nargs": "?",
        "const": Path("urls.txt"),
        "help": "fetch missing images by a file of lines <image path> <URL>; the default is "
        "RAW_DIR/urls.txt",
    }
    options = {"download": details}
    return run_command("darn", __doc__, prepare, arguments, broken="skip", options=options)


if __name__ == "__main__":
    sys.exit(main())
