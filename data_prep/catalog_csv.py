"""Reading a catalogue's CSV file: every rule of the format, every fault with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asen_tf.data import SPLITS, AnnotationError, check_image_name, read_text

_SEPARATORS = ",;\t|"
_IMAGE, _SPLIT = "image", "split"
_LONGEST = 1000  # characters of a cell


@dataclass(frozen=True)
class Item:
    """A row of a catalogue.

    Attributes:
        image: path relative to the folder of images.
        split: "train", "valid" or "test"; empty where the catalogue has no such column.
        cells: the value by column, empty where it is not labelled.
    """

    image: str
    split: str
    cells: Mapping[str, str]


def read_catalogue(path: Path) -> Iterator[Item]:
    """Yield the rows of a catalogue, one by one.

    UTF-8, with or without a byte-order mark; the columns are separated by what the header has most
    of: comma, semicolon, tab or bar.

    Raises:
        AnnotationError: the file is absent or no such CSV; the column `image` is missing; a row has
            another number of cells, an unsafe or repeated image path, or an unknown split.
    """

    def wrong(rule: str, line: int | None, got: object, remedy: str | None = None) -> None:
        raise AnnotationError(rule, path=path, line=line, got=got, remedy=remedy)

    reader = None
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            separator = max(_SEPARATORS, key=header.count)
            stream.seek(0)
            reader = csv.reader(stream, delimiter=separator, strict=True)
            columns = [cell.strip() for cell in next(reader, [])]
            if _IMAGE not in columns or len(set(columns)) != len(columns):
                remedy = "name the column of image paths `image`"
                wrong("the header must have distinct names, one of them image", 1, columns, remedy)
            seen: dict[str, int] = {}
            for cells in reader:
                line = reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(columns):
                    remedy = f"cells are separated by {separator!r}; quote those that hold one"
                    wrong(f"a row must have {len(columns)} cells", line, cells, remedy)
                named = {c: v.strip() for c, v in zip(columns, cells, strict=True)}
                image, split = named.pop(_IMAGE), named.pop(_SPLIT, "")
                _check_cells(path, line, image, named)
                if image in seen:
                    wrong(f"an image must have one row; see also line {seen[image]}", line, image)
                if _SPLIT in columns and split not in SPLITS:
                    wrong(f"a split must be one of {', '.join(SPLITS)}", line, split)
                seen[image] = line
                yield Item(image, split, named)
    except OSError as error:
        wrong("cannot be read", None, str(error), "check the path of the CSV file")
    except UnicodeDecodeError:
        read_text(path)  # decoded as a whole, it gives the line
    except csv.Error as error:
        wrong("the text must be CSV", reader.line_num, str(error), "check its quotation marks")


def _check_cells(path: Path, line: int, image: str, cells: Mapping[str, str]) -> None:
    if not image:
        raise AnnotationError("a row must name an image", path=path, line=line, got=dict(cells))
    check_image_name(image, path, line)
    for column, value in cells.items():
        if len(value) > _LONGEST or not value.isprintable():
            raise AnnotationError(
                f"a value must be printable text of at most {_LONGEST} characters",
                path=path,
                line=line,
                got=f"{column}: {value}",
            )
