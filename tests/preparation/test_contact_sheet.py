"""Contact sheets show what the model sees, of as many values as there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asen_tf.data import AnnotationError, AttributeTable, load_image
from asen_tf.data.images import ImageError
from data_prep.contact_sheet import contact_sheets
from data_prep.writing import write_meta, write_split

CELL = 40
LEFT, TOP = 150, 0  # where the first picture of the first row begins


def made(data_dir: Path, files: list[str], values: int) -> Path:
    """Write a training split whose images have the values in turn; the other splits are empty."""
    write_meta(data_dir, "Shop", AttributeTable(("hue",), (values,)))
    labels = np.array([[index, 0, index % values] for index in range(len(files))])
    write_split(data_dir, "Shop", "train", files=files, labels=labels)
    nothing = labels[:0]
    for name in ("valid", "test"):
        write_split(data_dir, "Shop", name, files=[], queries=nothing, candidates=nothing)
    return data_dir / "Shop"


def save_odd(path: Path, kind: str) -> None:
    """Save a square whose quarters differ, in a way that only some loaders handle."""
    pixels = np.zeros((CELL, CELL), np.uint8)
    pixels[: CELL // 2, : CELL // 2], pixels[CELL // 2 :, : CELL // 2] = 220, 90
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    if kind == "16 bits":
        Image.fromarray(pixels.astype(np.uint16) * 257).save(path, "PNG")
    elif kind == "transparent":
        Image.fromarray(np.dstack([pixels] * 3 + [pixels])).save(path, "PNG")
    else:
        Image.fromarray(np.dstack([pixels] * 3)).save(path, kind, exif=exif)


@pytest.mark.parametrize("kind", ["16 bits", "transparent", "TIFF", "PNG", "WEBP"])
def test_a_picture_is_what_the_model_sees(tmp_path: Path, kind: str) -> None:
    root = made(tmp_path, ["a.image"], 1)
    save_odd(root / "a.image", kind)
    (path,) = contact_sheets(tmp_path, "Shop", tmp_path / "sheets", columns=1, cell=CELL)
    with Image.open(path) as sheet:
        shown = np.asarray(sheet)[TOP : TOP + CELL, LEFT : LEFT + CELL].astype(int)
    expected = load_image(root / "a.image", CELL).astype(int)
    assert np.ptp(expected) > 50
    middle = np.s_[4:16], np.s_[24:36]  # of the quarters: JPEG blurs their borders
    for rows in middle:
        for columns in middle:
            assert abs(shown[rows, columns] - expected[rows, columns]).max() < 12


def test_many_values_take_several_sheets(tmp_path: Path) -> None:
    values = 450
    root = made(tmp_path, [f"{index}.png" for index in range(values)], values)
    for index in range(values):  # 16 greys, and which row of them tells the number
        Image.new("L", (4, 4), 16 * (index % 16)).save(root / f"{index}.png")
    sheets = contact_sheets(tmp_path, "Shop", tmp_path / "sheets", columns=1, cell=160)
    assert [path.name for path in sheets] == ["hue.jpg", "hue.2.jpg", "hue.3.jpg"]
    greys = []
    for path in sheets:
        with Image.open(path) as sheet:
            pixels = np.asarray(sheet.convert("L"))
        greys += (pixels[80::164, LEFT + 80] / 16).round().astype(int).tolist()
    assert greys == [index % 16 for index in range(values)]


def test_what_cannot_be_drawn_is_one_sentence(tmp_path: Path) -> None:
    root = made(tmp_path, ["a.png"], 1)
    with pytest.raises(AnnotationError, match="put the images at the paths"):
        contact_sheets(tmp_path, "Shop", tmp_path / "sheets")
    (root / "a.png").write_bytes(b"<html>")
    with pytest.raises(ImageError, match="a.png: not a readable image"):
        contact_sheets(tmp_path, "Shop", tmp_path / "sheets")
    save_odd(root / "a.png", "PNG")
    for wrong in ({"columns": 0}, {"columns": 1000}, {"cell": 0}):
        with pytest.raises(ValueError, match="choose other columns and cell"):
            contact_sheets(tmp_path, "Shop", tmp_path / "sheets", **wrong)


def test_names_are_written_in_a_font_that_has_their_letters_or_as_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, ["a.png"], 1)
    save_odd(root / "a.png", "PNG")

    def written(name: str) -> np.ndarray:
        write_meta(tmp_path, "Shop", AttributeTable(("hue",), (1,)), {"hue": [name]})
        (path,) = contact_sheets(tmp_path, "Shop", tmp_path / "sheets", columns=1, cell=CELL)
        with Image.open(path) as sheet:
            return np.asarray(sheet.convert("L"))[:, :LEFT]

    unknown = "\U0010f0a1\U0010f0a2"  # letters that no font has
    np.testing.assert_array_equal(written(unknown), written("value 0"))
    assert f"no font here has the letters of {unknown}: value 0" in capsys.readouterr().out
    arabic, other = written("أحمر"), written("أزرق")
    assert (arabic < 100).sum() > 30 and (arabic != other).any()  # letters, not boxes
    assert capsys.readouterr().out == ""
