"""Contact sheets: JPEG images per attribute, a row per value, random examples side by side."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from asen_tf.data import (
    SPLITS,
    AnnotationError,
    font_for,
    load_upright,
    read_meta,
    read_regions,
    read_split,
    read_value_names,
)
from asen_tf.files import replacing

LABEL_WIDTH = 150
_TEXT = 14  # px, the height of letters
OUTLINED = 2  # the last columns show the outline of the part's true box
TALLEST = 32_000  # px; JPEG ends at 65,535, and many viewers before that

Example = tuple[Path, tuple[float, float, float, float] | None]


def _wrapped(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Break a title into lines that fit beside the examples, none of them cut."""
    for letters in range(len(title), 0, -1):
        lines = textwrap.wrap(title, letters)
        if all(font.getlength(line) <= LABEL_WIDTH - 10 for line in lines):
            return "\n".join(lines)
    return title


def _examples(data_dir: Path, dataset: str) -> dict[tuple[int, int], list[Example]]:
    """Return the images of every (attribute, value), in the order of the split files."""
    found: dict[tuple[int, int], list[Example]] = {}
    for name in SPLITS:
        split = read_split(data_dir, dataset, name, missing="skip")
        regions = read_regions(data_dir, dataset, name) or {}
        for index, attribute, value in split.labels.tolist():
            box = regions.get((index, attribute))
            found.setdefault((attribute, value), []).append((split.root / split.files[index], box))
    return found


def _thumbnail(example: Example, cell: int, *, outlined: bool) -> Image.Image:
    path, box = example
    image = load_upright(path)
    scale = cell / max(image.size)
    image = image.resize([max(1, round(side * scale)) for side in image.size], Image.LANCZOS)
    if outlined and box is not None:
        ImageDraw.Draw(image).rectangle([v * scale for v in box], outline=(255, 0, 80), width=1)
    return image


def contact_sheets(
    data_dir: Path | str,
    dataset: str,
    out_dir: Path | str,
    *,
    columns: int = 8,
    cell: int = 160,
    seed: int = 0,
) -> list[Path]:
    """Write `<attribute>.jpg` into `out_dir` for every attribute of a dataset.

    The pictures come from the loader that training uses, but uncropped. An attribute with more
    values than fit one sheet goes on in `<attribute>.2.jpg`, `<attribute>.3.jpg` and so on.

    Args:
        data_dir: folder that holds meta.json and the dataset.
        dataset: name of the dataset; any dataset with split files and images will do.
        out_dir: folder of the sheets, made when missing.
        columns: examples per value.
        cell: longer side of an example in pixels.
        seed: of the random choice of examples.

    Returns:
        The paths of the sheets, in the order of the attributes. Rows carry the value's name, or its
        index when the names are unknown. Missing images are left out.

    Raises:
        AnnotationError: the dataset's files break a rule, or no labelled image is on disk.
        ImageError: an image cannot be read.
        ValueError: no columns or no pixels, or a row wider than a JPEG can be.
    """
    width, step = LABEL_WIDTH + columns * (cell + 4), cell + 4
    if columns < 1 or cell < 1 or max(width, step) > TALLEST:
        raise ValueError(
            f"a sheet needs columns and cells, and may be {TALLEST} px wide and high; got "
            f"{columns} columns of {cell} px; choose other columns and cell"
        )
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    table = read_meta(data_dir, dataset)
    names = read_value_names(data_dir, dataset) or {}
    examples = _examples(data_dir, dataset)
    if not examples:
        raise AnnotationError(
            "some labelled images must be on disk",
            path=data_dir / dataset,
            got="none",
            remedy="put the images at the paths that the filenames files give",
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    sheets = []
    per_sheet = TALLEST // step
    for attribute, (name, size) in enumerate(zip(table.names, table.sizes, strict=True)):
        stem = name.replace("/", "_").replace(" ", "_")
        for number, first in enumerate(range(0, size, per_sheet), start=1):
            values = range(first, min(first + per_sheet, size))
            sheet = Image.new("RGB", (width, len(values) * step), "white")
            draw = ImageDraw.Draw(sheet)
            for row, value in enumerate(values):
                found = examples.get((attribute, value), [])
                title = names[name][value] if name in names else f"value {value}"
                if (font := font_for(title, _TEXT)) is None:
                    print(f"{name}: no font here has the letters of {title}: value {value}")
                    title, font = f"value {value}", font_for("", _TEXT)
                text = f"{_wrapped(title, font)}\n({len(found)})"
                top = row * step + cell // 2 - 8 * (1 + text.count("\n"))
                draw.text((6, max(top, row * step)), text, fill="black", font=font)
                for column, k in enumerate(rng.permutation(len(found))[:columns]):
                    outlined = column >= columns - OUTLINED
                    picture = _thumbnail(found[k], cell, outlined=outlined)
                    sheet.paste(picture, (LABEL_WIDTH + column * step, row * step))
            path = out_dir / (f"{stem}.jpg" if number == 1 else f"{stem}.{number}.jpg")
            with replacing(path) as temporary:
                sheet.save(temporary, "JPEG", quality=88, optimize=True)
            sheets.append(path)
    return sheets
