"""FashionAI: from the released zip files or folders to split files.

`python -m data_prep.fashionai --raw RAW_DIR --out DATA_DIR [--splits DIR] [--broken skip]`, with
fashionAI_attributes_train1.zip and fashionAI_attributes_train2.zip, or the folders of these names,
in RAW_DIR.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from asen_tf.data import AnnotationError, AttributeTable, check_image_name, read_text
from data_prep.archives import members_of, unpack
from data_prep.command import SPLITS_OPTION, Report, run_command, write_release
from data_prep.garments.values import ATTRIBUTES, VALUES
from data_prep.image_files import place_image
from data_prep.releases import Sample

DATASET = "FashionAI"
PARTS = ("fashionAI_attributes_train1", "fashionAI_attributes_train2")
TABLE = AttributeTable(ATTRIBUTES, tuple(len(VALUES[name]) for name in ATTRIBUTES))
_LABELS = Path("Annotations") / "label.csv"
_MARKS = re.compile(r"[nmy]+")


def prepare(
    raw: Path,
    out: Path,
    *,
    seed: int = 0,
    broken: str = "error",
    splits: Path | None = None,
) -> Report:
    """Unpack FashionAI, read its labels, check its images and write split files.

    Args:
        raw: the folder of the zip files, or of their contents.
        out: the folder of all datasets.
        seed: of the division of the images, 8:1:1, and of the rows into queries and candidates.
        broken: "error" or "skip", for images that cannot be used.
        splits: the folder of the authors' split files, or the one that holds it as FashionAI/;
            used instead of a random division.

    Returns:
        What there is, and what was left out.

    Raises:
        AnnotationError: a part is missing, a file breaks a rule, or an image cannot be used.
    """
    root = out / DATASET
    labels: dict[str, list[tuple[int, int]]] = {}
    for part in PARTS:
        source = _source(raw, root, part)
        for name, label in read_labels(source / _LABELS):
            labels.setdefault(f"{part}/{name}", []).append(label)
            if source != root / part and (source / name).is_file():
                place_image(source / name, root / part / name)
    samples = [Sample(path, tuple(dict.fromkeys(held))) for path, held in labels.items()]
    options = {"value_names": VALUES, "seed": seed, "broken": broken, "splits": splits}
    return write_release(out, DATASET, TABLE, samples, **options)


def read_labels(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield image path and (attribute, value) of each line of a label.csv.

    A line is `<image>,<attribute>_labels,<marks>`, one mark per value: `y` at the image's value,
    `m` ("maybe", which is ignored) or `n` at the others. A repeated line counts once.

    Raises:
        AnnotationError: a line breaks the format, or contradicts another one, with its number.
    """
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue

        def wrong(rule: str, got: object, line: int = line) -> AnnotationError:
            remedy = "compare the line with the released file"
            return AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

        fields = [field.strip() for field in text.split(",")]
        if len(fields) != 3 or not fields[0]:
            raise wrong("a line must be <image>,<attribute>_labels,<marks>", text)
        name, kind, marks = fields
        check_image_name(name, path, line)
        attribute = kind.removesuffix("_labels")
        if attribute not in ATTRIBUTES:
            raise wrong(f"the attribute must be one of {', '.join(ATTRIBUTES)}", kind)
        if len(marks) != len(VALUES[attribute]) or not _MARKS.fullmatch(marks):
            rule = f"{attribute} must have {len(VALUES[attribute])} marks, each n, m or y"
            raise wrong(rule, marks)
        if marks.count("y") != 1:
            raise wrong("exactly one mark must be y", marks)
        value = marks.index("y")
        before, first = seen.setdefault((name, attribute), (value, line))
        if before != value:
            raise wrong(f"an image has one {attribute}; line {first} has value {before}", text)
        if first == line:
            yield name, (ATTRIBUTES.index(attribute), value)


def _source(raw: Path, root: Path, part: str) -> Path:
    """Return the folder that holds a part's Annotations and Images, unpacked if need be."""
    for folder in (raw / part, *sorted((raw / part).glob("*"))):
        if (folder / _LABELS).is_file():
            return folder
    archive = raw / f"{part}.zip"
    if not archive.is_file():
        raise AnnotationError(
            "both parts of FashionAI must be there, as zip file or as folder",
            path=raw,
            got=f"neither {archive.name} nor {part}/{_LABELS.as_posix()}",
            remedy="pass the folder that holds them as --raw",
        )
    suffix = _LABELS.as_posix()
    tops = [
        name.removesuffix(suffix)
        for name in members_of(archive)
        if name == suffix or name.endswith(f"/{suffix}")
    ]
    if len(tops) != 1:  # noticed before gigabytes are unpacked
        raise AnnotationError(
            f"the archive must hold one {suffix}, at its top or in a folder",
            path=archive,
            got=f"{len(tops)} of them",
            remedy="download the archive again from where the other part is from",
        )
    target = root if tops[0] == f"{part}/" else root / part
    unpack(archive, target)
    return target / tops[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_command("fashionai", __doc__, prepare, arguments, options=SPLITS_OPTION)


if __name__ == "__main__":
    sys.exit(main())
