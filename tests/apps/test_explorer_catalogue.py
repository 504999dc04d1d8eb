"""The explorer on an index: names and values of a shop, conditions, links, clicks and drops."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from small_model import NAMES, pictures, small_model
from widget_page import rows, texts

from asen_apps.evidence.sheet import model_origin
from asen_apps.explorer import App, ExplorerError, __main__
from asen_apps.explorer.__main__ import main
from asen_apps.explorer.app import snapshot
from asen_apps.explorer.explorer import CatalogueExplorer
from asen_apps.search.catalogue_table import Sources
from asen_apps.search.cataloguing import make_index
from asen_tf.data.images import ImageError
from asen_tf.models import AsenPlusPlus

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a catalogue of 12 pictures: alike in their neckline but for one, two kinds of sleeve."""
    path = tmp_path_factory.mktemp("catalogue")
    small_model().save(path / "model.keras")
    lines = ["image,brand,price,neckline,sleeve,title"]
    for number, pixels in enumerate(pictures(COUNT, side=70)):
        Image.fromarray(pixels).save(path / f"dress {number}.png")
        neckline, sleeve = "deep V" if number else "no", ("short", "long", "")[number % 3]
        brand = ("Acme", "Zeta <b>")[number % 2]
        title = f'"Dress, {("blue", "red")[number % 2]}"'
        lines.append(f"dress {number}.png,{brand},{10 * number},{neckline},{sleeve},{title}")
    (path / "shop.csv").write_text("\n".join(lines))
    make_index(path / "model.keras", Sources(table=str(path / "shop.csv")), path / "index")
    return path


@pytest.fixture(scope="module")
def drawings(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an index of a drawn dataset's folder, in which two files have the same name."""
    root = tmp_path_factory.mktemp("drawn") / "Garments"
    for number, name in enumerate(("a/front.png", "b/front.png", os.fsdecode(b"gr\xfcn.png"))):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"dress {number}.png", root / "images" / name)
    (root / "renderer.json").touch()
    make_index(folder / "model.keras", Sources((str(root),)), root.parent / "index")
    return root.parent / "index"


@pytest.fixture
def app(folder: Path) -> App:
    made = App(CatalogueExplorer(folder / "index", count=4))
    made.update()
    return made


def test_pictures_have_names_and_values_of_the_shop(app: App) -> None:
    page, status = texts(app)
    cards = page.select(".ax-card")
    assert len(cards) == 4 and "Test image" not in page.get_text()
    for card, one in zip(cards, app.answer.neighbours, strict=True):
        words = card.get_text(" ", strip=True)
        assert one.title in words and one.title.startswith("dress ")
        assert f"price: {10 * int(one.title[6:-4])}" in words and "reached by" in words
        assert card.img["data-ask"] == f"image:{one.image}"
    assert "images" in status and "<b>" not in str(cards)  # what a shop wrote is text
    assert "Most similar images" in page.get_text()


def test_it_begins_with_the_attribute_that_tells_most(app: App) -> None:
    # Nearly all necklines are alike, and none has a value for buttons.
    assert set(app._attributes.weights) == {"sleeve"}


def test_conditions_choose_among_the_images(app: App) -> None:
    app._where.value = "brand=Acme; price<80"
    app.wait()
    assert {one.title for one in app.answer.neighbours} <= {f"dress {n}.png" for n in (0, 2, 4, 6)}
    app._where.value = "title=Dress, blue; price<80"  # a comma belongs to the value
    app.wait()
    assert {one.title for one in app.answer.neighbours} <= {f"dress {n}.png" for n in (0, 2, 4, 6)}
    app._where.value = "colour=red"
    app.wait()
    assert "no item has a field" in texts(app)[1]
    app._where.value = ""
    app.wait()
    assert app.answer is not None


def test_a_click_on_a_result_makes_it_the_query(app: App) -> None:
    image = app.answer.neighbours[1].image
    app._sent.value = f"1|image:{image}"
    app.wait()
    assert app.answer.query.image == image
    app._sent.value = "2|image:99999"  # nothing that is there
    app._sent.value = "3|nonsense"
    app.wait()
    assert app.answer.query.image == image


def test_a_page_that_has_been_made_is_told_all_again(app: App, monkeypatch) -> None:
    sent: list[tuple[str, str]] = []
    kind = type(app._result)
    monkeypatch.setattr(kind, "send_state", lambda self, key: sent.append((self.value, key)))
    app._sent.value = "1|drawn:"
    shown, told, link = ((part.value, "value") for part in (app._result, app._status, app._address))
    assert sent == [told, shown, link] and "ax-card" in shown[0] and "compared" in told[0]


def test_more_are_shown_and_a_link_asks_the_same_again(app: App, folder: Path) -> None:
    rows(app)["buttons"][0].value = True
    rows(app)["buttons"][1].value = 0.5
    app._where.value = "price<100"
    app._sent.value = "1|image:5"
    app.wait()
    app._more.click()
    app.wait()
    assert len(app.answer.neighbours) == 8 and app._count == 8
    again = App(CatalogueExplorer(folder / "index", count=4))
    again.update()
    again._sent.value = f"1|address:{app.address()}"
    again.wait()
    assert again.address() == app.address() and "image=dress+5.png" in app.address()
    assert [one.image for one in again.answer.neighbours] == [
        one.image for one in app.answer.neighbours
    ]
    again._sent.value = "2|address:attribute=sleave%3Ax&image=gone.png&count=-3&method=none"
    again.wait()
    assert again.answer.query.title == "dress 5.png"  # what it does not know is passed over
    assert ">Link to this query<" in again._address.value
    again._sent.value = (
        f"3|file:mine.png:{base64.b64encode((folder / 'dress 2.png').read_bytes()).decode()}"
    )
    again.wait()
    assert "Link to this query (without your picture)" in again._address.value


def test_a_link_tells_files_of_the_same_name_apart(drawings: Path) -> None:
    app = App(CatalogueExplorer(drawings))
    app.update()
    for image, title in zip(
        app.explorer.gallery.ids, ("a/front.png", "b/front.png", ""), strict=True
    ):
        app._sent.value = f"1|image:{image}"
        app.wait()
        assert app.answer.query.title == (title or "gr\\udcfcn.png")  # no UTF-8: escaped
        again = App(CatalogueExplorer(drawings))
        again.go(app.address())
        again.wait()
        assert again.answer.query.image == image


def test_a_dropped_picture_has_no_labels_to_be_right_about(app: App, folder: Path) -> None:
    content = base64.b64encode((folder / "dress 3.png").read_bytes()).decode()
    app._sent.value = f"1|file:{quote('my photo.png')}:{content}"
    app.wait()
    page, status = texts(app)
    assert "your picture my photo.png" in status
    assert app.answer.neighbours[0].title == "dress 3.png"
    assert "no label" not in page.get_text() and not page.select(".ax-value [role=img]")
    assert "Your picture is not labelled" in page.get_text()
    app._sent.value = "2|file:x.png:bm8gaW1hZ2U="
    app.wait()
    assert "not an image that can be read" in texts(app)[1]


def test_a_model_of_drawings_says_so_when_it_is_shown_a_photograph(app: App, folder: Path) -> None:
    content = base64.b64encode((folder / "dress 3.png").read_bytes()).decode()
    drawn = {"config.json": {"dataset": "Garments", "seed": 0, "fit": "square"}}
    app.explorer.methods[0].run.contents.update(drawn)
    app._sent.value = f"1|file:a.png:{content}"
    app.wait()
    assert "has never seen a photograph: what it says of your picture" in texts(app)[1]
    app._sent.value = "2|image:3"  # an image of the shop is a photograph, too
    app.wait()
    assert "has never seen a photograph: what it says of these pictures" in texts(app)[1]


def test_a_model_of_drawings_says_nothing_of_photographs_over_its_own_drawings(
    folder: Path, drawings: Path
) -> None:
    app = App(CatalogueExplorer(drawings))
    drawn = {"config.json": {"dataset": "Garments", "seed": 0, "fit": "square"}}
    app.explorer.methods[0].run.contents.update(drawn)
    app.update()
    assert app.answer is not None and "photograph" not in texts(app)[1]
    content = base64.b64encode((folder / "dress 3.png").read_bytes()).decode()
    app._sent.value = f"1|file:a.png:{content}"
    app.wait()
    assert "has never seen a photograph" in texts(app)[1]


def test_scores_are_those_of_the_index(app: App) -> None:
    index = app.explorer._catalogue
    vectors = index.vectors("sleeve")
    query = index.ids.tolist().index(app.answer.query.image)
    expected = np.sort(np.delete(vectors @ vectors[query], query))[::-1][:4]
    found = [one.score for one in app.answer.neighbours]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert index.attribute_names == NAMES


def test_a_model_of_the_authors_pixels_is_asked_with_the_whole_picture(tmp_path: Path) -> None:
    own = small_model()
    model = AsenPlusPlus.from_config({**own.get_config(), "preprocessing": "release"})
    model.set_weights(own.get_weights())
    model.save(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    for number in range(6):  # rough: the square on the way to a smaller one would blur it
        pixels = rng.integers(0, 256, (150, 210, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    images = tuple(str(tmp_path / f"{number}.png") for number in range(6))
    make_index(tmp_path / "model.keras", Sources(images), tmp_path / "index")
    explorer = CatalogueExplorer(tmp_path / "index", count=5)
    vectors = explorer._catalogue.vectors("sleeve")
    content = (tmp_path / "2.png").read_bytes()
    for query in (explorer.test_image(2), explorer.upload("mine.png", content)):
        answer = explorer.search(explorer.first, query, {"sleeve": 1.0})
        for one in answer.neighbours:
            assert one.score == pytest.approx(float(vectors[one.image] @ vectors[2]), abs=1e-5)
        expected = explorer.embedder(explorer.first).attend(tmp_path / "2.png", "sleeve")
        np.testing.assert_allclose(answer.attention[0].map, expected.map, atol=1e-6)
        assert answer.pixels.shape[0] == answer.pixels.shape[1]  # what is drawn is a square
    assert answer.neighbours[0].image == 2


@pytest.mark.parametrize("content", ['{"model_type": "vit"}', "[1]", "{", '{"method": 1}'])
def test_settings_of_something_else_beside_the_model_say_nothing_of_its_origin(
    folder: Path, content: str
) -> None:
    for name in ("config.json", "manifest.json", "map.csv"):
        (folder / name).write_text(content)
    try:
        found = CatalogueExplorer(folder / "index")
        assert (found.first.label, found.first.dataset) == ("model", "") and not found.drawn
        assert found.search(found.first, found.first_question()[1], {"sleeve": 1.0}).neighbours
        origin = model_origin(folder / "model.keras", ["sleeve"], "fused")
        assert set(origin) == {"file", "sha256", "bytes"}
    finally:
        for name in ("config.json", "manifest.json", "map.csv"):
            (folder / name).unlink()


def test_an_executed_notebook_speaks_of_the_catalogue(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = CatalogueExplorer(folder / "index", count=4)
    still = BeautifulSoup(snapshot(explorer), "html.parser").get_text(" ")
    assert "images of the catalogue" in still and "test images of the study" not in still

    def gone(*given: object, **named: object) -> None:
        raise ImageError("dress 1.png: not a readable image")

    monkeypatch.setattr(explorer, "search", gone)
    still = BeautifulSoup(snapshot(explorer), "html.parser").get_text(" ")
    assert "dress 1.png: not a readable image" in still


def test_what_is_no_index_is_said(tmp_path: Path, capsys) -> None:
    with pytest.raises(ExplorerError, match="The index cannot be opened.*no saved index here"):
        CatalogueExplorer(tmp_path)
    assert main([str(tmp_path), "--no-browser"]) == 2
    assert "no saved index here" in capsys.readouterr().err


def test_an_index_is_shown_with_its_model_and_images_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(folder, tmp_path / "moved", ignore=shutil.ignore_patterns("index"))
    (folder / "model.keras").rename(tmp_path / "model.keras")
    try:
        with pytest.raises(ExplorerError, match="is gone; give it by --model"):
            CatalogueExplorer(folder / "index")
        asked: list[dict] = []
        monkeypatch.setattr(__main__, "serve", lambda given, **_: asked.append(given))
        given = ["--model", tmp_path / "model.keras", "--root", tmp_path / "moved"]
        assert main([str(folder / "index"), *map(str, given)]) == 0
        (parameters,) = asked
        named = {name: parameters[name] for name in ("model", "root")}
        found = CatalogueExplorer(parameters["index"], **named)
    finally:
        (tmp_path / "model.keras").rename(folder / "model.keras")
    assert {path.parent for path in found._catalogue.images} == {tmp_path / "moved"}
    assert found.picture(found.gallery.ids[0])


def test_an_index_whose_model_has_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    model = folder / "model.keras"
    content = model.read_bytes()
    try:
        model.write_bytes(content + b"x")
        with pytest.raises(ExplorerError, match="wrong checksum"):
            CatalogueExplorer(folder / "index")
    finally:
        model.write_bytes(content)
    assert json.loads((folder / "index" / "v0001" / "notes.json").read_text())["sources"]["table"]
