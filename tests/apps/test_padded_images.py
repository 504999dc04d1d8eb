"""Photographs that are not square, for a model that sees the whole image: sheet and explorer."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import explorer_study
import hostile_catalogue
import numpy as np
import pytest
from PIL import Image
from small_model import pictures, small_model

from asen_apps import evidence
from asen_apps.evidence import CatalogueFiles, examine, make
from asen_apps.evidence.pictures import Picture, attend
from asen_apps.explorer import Explorer, rendering
from asen_apps.explorer.gallery import PICTURE_SIDE, data_uri
from asen_tf.data import load_image
from asen_tf.data.fitting import frame_of
from asen_tf.embedder import Attention, Embedder
from asen_tf.models import AsenPlusPlus

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)
SIDE = 64  # px, of the model's square


def shown(picture: Picture) -> np.ndarray:
    with Image.open(io.BytesIO(picture.data)) as opened:
        return np.asarray(opened.convert("RGB"), int)


def looking(path: Path, fit: str, shares: tuple[float, float, float, float]) -> SimpleNamespace:
    """Return what stands for a model of a fit that looks at a place of its square."""
    with Image.open(path) as opened:
        frame = frame_of(opened.size, SIDE, fit)
    crop = load_image(path, SIDE, fit=fit)
    seen = Attention(np.full((4, 4), 1 / 16, np.float32), frame.pixels(shares), crop, frame)
    settings = SimpleNamespace(fit=fit)
    return SimpleNamespace(model=SimpleNamespace(settings=settings), attend=lambda *asked: seen)


# === The evidence sheet ===


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """Return a photograph of 100 x 200 px: red above, green in the middle, blue below."""
    image = Image.new("RGB", (100, 200), GREEN)
    image.paste(RED, (0, 0, 100, 50))
    image.paste(BLUE, (0, 150, 100, 200))
    image.save(tmp_path / "flag.png")
    return tmp_path / "flag.png"


def test_a_close_up_shows_the_padding_that_the_region_reaches(flag: Path) -> None:
    shares = (0.0, 0.0, 0.5, 0.5)  # half of it left of the photograph
    edge = attend(looking(flag, "whole_edge", shares), flag, "hue", "It")
    assert edge.box == (-50, 0, 50, 100)
    region = shown(edge.region)
    np.testing.assert_allclose(region[:120].mean(axis=(0, 1)), RED, atol=12)
    np.testing.assert_allclose(region[160:].mean(axis=(0, 1)), GREEN, atol=12)
    mean = attend(looking(flag, "whole_mean", shares), flag, "hue", "It")
    region, colour = shown(mean.region), (np.array(RED) + BLUE + 2 * np.array(GREEN)) / 4
    np.testing.assert_allclose(region[:, :120].mean(axis=(0, 1)), colour, atol=12)
    np.testing.assert_allclose(region[:120, 160:].mean(axis=(0, 1)), RED, atol=12)


@pytest.mark.parametrize("fit", ["square", "whole_edge", "whole_mean"])
def test_a_map_frames_the_region_where_the_model_sees_it(flag: Path, fit: str) -> None:
    shares = (0.25, 0.5, 0.75, 1.0)
    drawn = shown(attend(looking(flag, fit, shares), flag, "hue", "It").map)
    red, green, blue = np.moveaxis(drawn, -1, 0)
    yellow = (red > 170) & (green > 160) & (blue < 140)
    rows, columns = (np.flatnonzero(yellow.any(axis=axis)) for axis in (1, 0))
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / len(drawn)
    np.testing.assert_allclose(found, shares, atol=0.02)


def test_a_sheet_says_what_the_model_sees_of_a_design(tmp_path: Path) -> None:
    folder = hostile_catalogue.make(tmp_path)
    source = small_model()
    model = AsenPlusPlus(**{**source.get_config(), "fit": "whole_mean"})
    model.set_weights(source.get_weights())
    model.save(folder / "model.keras")
    Image.fromarray(pictures(1, side=90)[0][:, :40]).save(folder / "tall.png")
    embedder = Embedder.load(folder / "model.keras")
    catalogue = CatalogueFiles.from_folder(folder / "catalogue")
    found = examine(embedder, catalogue, folder / "tall.png", ["sleeve"], top=2)
    sheet = make(found, embedder, folder / "model.keras")
    _, numbers = evidence.write(sheet, folder / "out")
    written = json.loads(numbers.read_text(encoding="utf-8"))
    assert any("padded with the image's mean colour" in note for note in written["notes"])
    assert not any("centre square" in note for note in written["notes"])
    region = embedder.attend(folder / "tall.png", "sleeve").region
    assert written["design"]["regions"]["sleeve"] == pytest.approx(region, abs=0.01)


# === The explorer ===


def test_the_explorer_shows_images_as_its_method_sees_them(tmp_path: Path) -> None:
    place, data = explorer_study.make(tmp_path, images=60, fit="whole_edge")
    files = sorted((data / "Garments" / "images").rglob("*.*"))
    for path in files:
        with Image.open(path) as opened:
            opened.crop((30, 0, 70, 96)).save(path)
    explorer = Explorer(place, data, count=3)
    method, attribute = explorer.first, explorer.gallery.attributes[0]
    side = explorer.embedder(method).model.source_size
    for query in (
        explorer.test_image(explorer.gallery.ids[0]),
        explorer.upload("mine.png", files[0].read_bytes()),
    ):
        image = query.image
        path = files[0] if image is None else explorer.gallery.path(image)
        answer = explorer.search(method, query, {attribute: 1.0})
        np.testing.assert_array_equal(answer.pixels, load_image(path, side, fit="whole_edge"))
        assert answer.fit == "whole_edge"
        page = rendering.answer(answer, explorer.picture)
        for neighbour in answer.neighbours:
            path = explorer.gallery.path(neighbour.image)
            uri = data_uri(load_image(path, PICTURE_SIDE, fit="whole_edge"))
            assert uri in page and uri == explorer.picture(neighbour.image)
