"""Requests for a sheet: checked before work, told apart by name, shown as the model sees them."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import hostile_catalogue
import numpy as np
import pytest
from PIL import Image

from asen_apps import evidence
from asen_apps.evidence import (
    CatalogueFiles,
    EvidenceError,
    Examination,
    Sheet,
    check,
    examine,
    make,
)
from asen_apps.evidence.pictures import photograph
from asen_tf.data.images import load_image
from asen_tf.embedder import Embedder

KNOWN = ("neckline", "sleeve", "buttons")
WEIGHTS = {"neckline": 0.25, "buttons": 0.75}
MADE = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_catalogue.make(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder.load(folder / "model.keras")


@pytest.fixture(scope="module")
def found(embedder: Embedder, folder: Path) -> Examination:
    catalogue = CatalogueFiles.from_folder(folder / "catalogue")
    return examine(embedder, catalogue, folder / "design.png", WEIGHTS, top=2)


@pytest.fixture(scope="module")
def sheet(embedder: Embedder, found: Examination, folder: Path) -> Sheet:
    return make(found, embedder, folder / "model.keras", made=MADE)


# === Before anything is read ===


def test_a_check_returns_the_weights() -> None:
    assert check(KNOWN, ["sleeve", "neckline"], weights=[3, 1], top=1, name="a-1.b") == {
        "sleeve": 0.75,
        "neckline": 0.25,
    }


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"attributes": ["sleve"]}, "did you mean 'sleeve'"),
        ({"weights": [1.0, 2.0]}, "one weight above 0 for each of sleeve"),
        ({"top": 0}, "top, the number of items shown, must be 1 or more; got 0"),
        ({"name": "../up"}, "must be made of letters, digits, .*; got '../up'"),
        ({"name": ""}, "got ''"),
    ],
)
def test_what_cannot_be_made_is_refused(asked: dict, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        check(KNOWN, **{"attributes": ["sleeve"], **asked})


# === The sheet's name ===


def test_another_question_never_has_the_name_of_a_sheet(
    embedder: Embedder, found: Examination, sheet: Sheet, folder: Path
) -> None:
    design, catalogue = folder / "design.png", found.catalogue
    fewer = CatalogueFiles.from_files(catalogue.root, catalogue.names[1:])
    asked = [
        examine(embedder, catalogue, design, WEIGHTS, top=2),  # the same once more
        examine(embedder, catalogue, design, ["neckline", "buttons"], top=2),
        examine(embedder, catalogue, design, ["neckline"], top=2),
        examine(embedder, catalogue, design, WEIGHTS, top=3),
        examine(embedder, fewer, design, WEIGHTS, top=2),
    ]
    names = [replace(sheet, examination=each).name for each in asked]
    assert names[0] == sheet.name
    names.append(replace(sheet, origin={**sheet.origin, "sha256": "0" * 64}).name)
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"design-{found.design.sha256[:8]}-") for name in names)


def test_a_second_sheet_leaves_the_first(sheet: Sheet, embedder, folder, tmp_path: Path) -> None:
    catalogue = sheet.examination.catalogue
    other = examine(embedder, catalogue, folder / "design.png", ["sleeve"], top=1)
    first = evidence.write(sheet, tmp_path)
    before = [path.read_bytes() for path in first]
    second = evidence.write(make(other, embedder, folder / "model.keras", made=MADE), tmp_path)
    assert [path.read_bytes() for path in first] == before
    assert len({*first, *second}) == len(list(tmp_path.iterdir())) == 4


# === What is not known of a model ===


@pytest.mark.parametrize("cell", ["", "nan", "inf"])
def test_a_map_that_is_no_number_is_not_told(
    cell: str, embedder: Embedder, found: Examination, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "model.keras", tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"method": "asen_pp", "dataset": "Shop"}')
    rows = ["method,embedding,attribute,map", "random,-,neckline,12.5", f"random,-,buttons,{cell}"]
    rows += [f"asen_pp,fused,neckline,{cell}", "asen_pp,fused,buttons,40.25"]
    (tmp_path / "map.csv").write_text("\n".join(rows))
    told = make(found, embedder, tmp_path / "model.keras", made=MADE)
    page, numbers = evidence.write(told, tmp_path / "out")
    said = json.loads(numbers.read_text(encoding="utf-8"))["model"]["map"]
    assert said == {"neckline": {"random": 12.5}, "buttons": {"model": 40.25}}
    assert "buttons: 40.25." in page.read_text(encoding="utf-8")


# === Photographs in the model's colours ===


def grey_with_sixteen_bits(path: Path) -> Path:
    """Write a ramp from black to white; as PGM, whose mode in Pillow is another one than PNG's."""
    ramp = np.linspace(0, 65535, 90 * 90).reshape(90, 90).astype(np.uint16)
    if path.suffix == ".png":
        Image.fromarray(ramp).save(path)
    else:
        path.write_bytes(b"P5\n90 90\n65535\n" + ramp.astype(">u2").tobytes())
    return path


@pytest.mark.parametrize("name", ["grey.png", "grey.pgm"])
def test_sixteen_bits_of_grey_are_shown_as_the_model_sees_them(name: str, tmp_path: Path) -> None:
    path = grey_with_sixteen_bits(tmp_path / name)
    with Image.open(io.BytesIO(photograph(path, "a ramp").data)) as opened:
        shown = np.asarray(opened.convert("RGB"), float)
    given = load_image(path, 90).astype(float)
    assert given.mean() == pytest.approx(127, abs=1)
    assert np.abs(shown - given).max() < 12  # JPEG's error
