"""The page and the file of numbers: whole, alone, readable, and the same for the same inputs."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import hostile_catalogue
import pytest
from bs4 import BeautifulSoup
from hostile_catalogue import ONERROR, SCRIPT
from PIL import Image

from asen_apps import evidence
from asen_apps.evidence import CatalogueFiles, EvidenceError, Sheet, examine, make
from asen_apps.evidence.sheet import model_origin
from asen_tf.embedder import Embedder
from asen_tf.models import build_model
from asen_tf.presets import smoke

MADE = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ATTRIBUTES = ("neckline", "buttons")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_catalogue.make(tmp_path_factory.mktemp("evidence"))


@cache
def loaded(folder: Path) -> tuple[Embedder, CatalogueFiles]:
    return Embedder.load(folder / "model.keras"), CatalogueFiles.from_folder(folder / "catalogue")


def sheet_of(folder: Path, **options) -> Sheet:
    embedder, catalogue = loaded(folder)
    options = {"attributes": ATTRIBUTES, "top": 8} | options
    found = examine(embedder, catalogue, options.pop("design", folder / "design.png"), **options)
    return make(found, embedder, folder / "model.keras", made=MADE)


@pytest.fixture(scope="module")
def sheet(folder: Path) -> Sheet:
    return sheet_of(folder)


@pytest.fixture(scope="module")
def written(folder: Path, sheet: Sheet) -> tuple[Path, Path]:
    return evidence.write(sheet, folder / "out")


@pytest.fixture(scope="module")
def page(written: tuple[Path, Path]) -> BeautifulSoup:
    return BeautifulSoup(written[0].read_text(encoding="utf-8"), "html.parser")


def test_nothing_comes_from_elsewhere_and_nothing_runs(page: BeautifulSoup) -> None:
    assert not page.find_all(["script", "link", "iframe", "object", "embed", "base", "form"])
    for element in page.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on")], element
        assert "href" not in element.attrs
        assert element.get("src", "data:image/").startswith("data:image/")
    (policy,) = page.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    styles = page.style.get_text()
    assert "url(" not in styles and "@import" not in styles and "@page" in styles


def test_every_picture_can_be_decoded_and_says_what_it_shows(page: BeautifulSoup) -> None:
    pictures = page.find_all("img")
    # Together: 8 cards of 2 x (photograph + 4 details); alone: 16 cards of 2 x 3; 5 others.
    assert len(pictures) == 8 * 2 * 5 + 16 * 2 * 3 + 5
    for source in {picture["src"] for picture in pictures}:
        head, data = source.split(",")
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            opened.load()
            assert head == f"data:image/{opened.format.lower()};base64"
    texts = [picture["alt"] for picture in pictures]
    assert min(map(len, texts)) > 15
    assert any(text.startswith("The design, neckline: attention map, strongest") for text in texts)
    assert f"Catalogue item {SCRIPT}, buttons: the region that the map marks, close up" in texts


def test_hostile_file_names_are_text(page: BeautifulSoup) -> None:
    titles = [title.get_text(" ", strip=True) for title in page.find_all("h4")]
    assert any(title.endswith(SCRIPT) for title in titles)
    assert any(title.endswith(ONERROR) for title in titles)


def test_a_hostile_design_is_text_and_gets_a_plain_file_name(folder: Path) -> None:
    sheet = sheet_of(folder, design=folder / "catalogue" / ONERROR, top=1)
    design = sheet.examination.design.sha256[:8]
    assert sheet.name.startswith(f"img_src_x_onerror_alert_1-{design}-")
    page = BeautifulSoup(evidence.as_html(sheet), "html.parser")
    assert page.title.get_text() == page.h1.get_text() == f"Design evidence sheet: {ONERROR}"
    assert all("onerror" not in picture.attrs for picture in page.find_all("img"))


def test_it_says_what_it_is_not_before_any_number_of_an_item(page: BeautifulSoup) -> None:
    box = page.select_one(".box").get_text(" ", strip=True)
    for words in ("no legal judgement", "no proof of copying", "one model", "this one catalogue"):
        assert words in box
    assert page.select_one(".box").find_next("table") is page.table


def test_it_says_where_everything_comes_from(
    page: BeautifulSoup, folder: Path, written: tuple[Path, Path], sheet: Sheet
) -> None:
    text = page.get_text(" ", strip=True)
    for path in (folder / "model.keras", folder / "design.png", written[1]):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert sheet.examination.catalogue.fingerprint in text
    assert sheet.software["code_fingerprint"] in text and "01 March 2026, 09:30 UTC" in text
    assert "There is no record beside the model's file of how it was trained." in text
    assert (
        "could not be compared: 3. broken.jpg: not an image;" in text and ", 1 repeat the" in text
    )


def test_page_and_numbers_say_the_same(page: BeautifulSoup, written: tuple[Path, Path]) -> None:
    views = json.loads(written[1].read_text(encoding="utf-8"))["views"]
    assert [view["name"] for view in views] == [*ATTRIBUTES, "together"]
    cards, items = page.select(".card"), [(view, item) for view in views for item in view["found"]]
    assert len(cards) == len(items) == 24
    for card, (view, item) in zip(cards, items, strict=True):
        assert f"{item['rank']}. {item['file']}" in card.h4.get_text(" ", strip=True)
        cells = [cell.get_text(" ", strip=True) for cell in card.select("tr.main td")]
        said = item["similarities"][view["name"]]
        assert cells[0] == f"{said['similarity']:.3f}"
        for cell, kind in zip(cells[1:], ("random_pairs", "nearest_neighbours"), strict=True):
            counted = said[kind]
            assert cell.endswith(f"{counted['at_least']} of {counted['of']}")
            tail = (1 + counted["at_least"]) / (1 + counted["of"])
            assert counted["tail_probability"] == tail
            assert float(cell.split()[0]) == pytest.approx(tail, abs=0.005)
            assert sum(view[kind]["histogram"]["counts"]) == counted["of"] == view[kind]["number"]
    assert set(items[-1][1]["regions"]) == set(ATTRIBUTES)


def test_a_model_without_attention_says_so_and_leaves_the_columns_out(folder: Path) -> None:
    embedder = Embedder(build_model(smoke().override(method="triplet"), ATTRIBUTES))
    found = examine(embedder, loaded(folder)[1], folder / "design.png", ATTRIBUTES, top=2)
    sheet = make(found, embedder, folder / "model.keras", made=MADE)
    page = BeautifulSoup(evidence.as_html(sheet), "html.parser")
    text = page.get_text(" ", strip=True)
    assert "This model has no attention: maps and regions are left out." in text
    assert "This model ignores attributes" in text
    assert {row.get_text(strip=True) for row in page.select(".pictures thead")} == {"photograph"}
    assert [len(card.find_all("img")) for card in page.select(".card")] == [2] * 6
    assert "yellow frame" not in text


def test_the_same_file_is_marked(folder: Path) -> None:
    design = folder / "catalogue" / "a.png"
    marked = sheet_of(folder, design=design, top=1, leave_out_same=False)
    page = BeautifulSoup(evidence.as_html(marked), "html.parser")
    assert page.select_one(".card .mark").get_text() == "the same file"
    assert "own content as a.png; compared, and marked." in page.get_text()
    (note, *_) = sheet_of(folder, design=design, top=1).notes
    assert note.endswith("own content as a.png; left out of the comparison.")


def test_the_same_inputs_give_the_same_bytes(
    folder: Path, tmp_path: Path, written: tuple[Path, Path]
) -> None:
    loaded.cache_clear()  # the model is read anew
    again = evidence.write(sheet_of(folder), tmp_path)
    for path, other in zip(written, again, strict=True):
        assert path.name == other.name and path.read_bytes() == other.read_bytes()
    assert {*tmp_path.iterdir()} == {*again}


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-rf", "x" * 101])
def test_a_name_that_is_no_plain_file_is_refused(sheet: Sheet, tmp_path: Path, name: str) -> None:
    with pytest.raises(EvidenceError, match="a sheet's name must be made of letters"):
        evidence.write(sheet, tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_notebook_shows_what_the_page_holds(sheet: Sheet, page: BeautifulSoup) -> None:
    shown = BeautifulSoup(evidence.as_html(sheet, inline=True), "html.parser")
    assert not shown.find_all(["html", "head", "body", "main", "meta", "title"])
    assert "@page" not in shown.style.get_text()  # it would rule over all of the notebook
    parts = [item.get_text() for item in shown.select_one(".inline").find_all(recursive=False)]
    whole = [item.get_text() for item in page.main.find_all(recursive=False)]
    numbers = page.find("dt", string="Numbers")  # the page alone names the file of its numbers
    cut = f"{numbers.get_text()}{numbers.find_next('dd').get_text()}\n"
    assert parts == [text.replace(cut, "") for text in whole]


def test_a_file_that_changed_meanwhile_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "catalogue", tmp_path / "catalogue", symlinks=True)
    embedder, catalogue = loaded(folder)[0], CatalogueFiles.from_folder(tmp_path / "catalogue")
    found = examine(embedder, catalogue, folder / "design.png", ["buttons"], top=8)
    shutil.copy(folder / "design.png", tmp_path / "catalogue" / "b.png")
    with pytest.raises(EvidenceError, match=r"b\.png was changed since it was compared"):
        make(found, embedder, folder / "model.keras")


def test_a_name_in_another_encoding_is_escaped(folder: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "catalogue" / os.fsdecode(b"gr\xfcn.png")
    foreign.parent.mkdir()
    shutil.copy(folder / "catalogue" / "d.png", tmp_path / "catalogue")
    shutil.copy(folder / "catalogue" / "a.png", foreign)
    files = CatalogueFiles.from_folder(tmp_path / "catalogue")
    found = examine(loaded(folder)[0], files, folder / "design.png", ATTRIBUTES[:1], top=2)
    sheet = make(found, loaded(folder)[0], folder / "model.keras")
    page, numbers = evidence.write(sheet, tmp_path / "out")
    items = json.loads(numbers.read_text("utf-8"))["views"][0]["found"]
    assert foreign.name in [item["file"] for item in items]
    assert "gr\\udcfcn.png" in page.read_text("utf-8")
    assert hashlib.sha256(numbers.read_bytes()).hexdigest() in page.read_text("utf-8")


def test_the_map_of_untrained_features_comes_from_the_study(tmp_path: Path) -> None:
    def finish(name: str, settings: dict, data: str, score: float) -> Path:
        run = tmp_path / name
        run.mkdir()
        (run / "config.json").write_text(json.dumps({"dataset": "Shop", **settings}))
        (run / "manifest.json").write_text(json.dumps({"data_fingerprint": data}))
        rows = [
            f"{m},{e},0,neckline,{v},0,0,9"
            for m, e, v in (("random", "-", 20), ("x", "global", score))
        ]
        header = "method,embedding,seed,attribute,map,ci_low,ci_high,queries"
        (run / "map.csv").write_text("\n".join([header, *rows]))
        (run / "model.keras").write_bytes(b"weights")
        return run / "model.keras"

    features = {"method": "features", "feature_map": "none"}
    model = finish("asen_v2-0", {"method": "asen_v2"}, "this", 61)
    finish("features-1", features, "other", 50)
    finish("features-2", {**features, "feature_map": "whitened"}, "this", 51)
    origin = model_origin(model, ["neckline", "buttons"], "global")
    assert origin["map"] == {"neckline": {"model": 61.0, "random": 20.0}, "buttons": {}}
    assert "features" not in origin  # of other data, or not as they are
    finish("features-3", features, "this", 52)
    origin = model_origin(model, ["neckline", "buttons"], "global")
    assert origin["features"] == {"neckline": 52.0}


def test_what_makes_the_numbers_doubtful_stands_in_red_above_everything(sheet: Sheet) -> None:
    measured = {"neckline": {"model": 40.0, "random": 20.0}, "buttons": {"model": 61.0}}
    origin = {"file": "model.keras", "sha256": "0" * 64, "bytes": 1, "map": measured}
    side = sheet.examination.design.height
    assert sheet.examination.design.width == side
    half = {key: replace(one, box=(0, 0, side, side / 2)) for key, one in sheet.attention.items()}
    good = replace(sheet, origin={**origin, "features": {"neckline": 39.9}}, attention=half)
    assert good.warnings == []
    assert not BeautifulSoup(evidence.as_html(good), "html.parser").select(".warning")
    drawn = replace(good, origin={**origin, "dataset": "Garments"})
    assert [w for w in drawn.warnings if "drawings" in w] == drawn.warnings != []
    plain = replace(good, origin={**origin, "features": {"neckline": 39.9, "buttons": 61.0}})
    (warning,) = plain.warnings
    assert "buttons" in warning and "MAP of 61.0" in warning and "neckline" not in warning
    whole = {key: replace(one, box=(0, 0, side, side)) for key, one in sheet.attention.items()}
    assert [w.split(":")[1] for w in replace(good, attention=whole).warnings] == [
        " the region is 100% of what the model sees, so no part of the design was singled out."
    ] * 2
    # Measured, but on other pictures than the design and the catalogue.
    (warning,) = replace(good, origin={**good.origin, "dataset": "Shop"}).warnings
    assert "measured on pictures of Shop" in warning
    assert warning.endswith("in pictures like the design and the catalogue's.")
    here = good.examination.catalogue.root.resolve().name
    (warning,) = replace(good, origin={**good.origin, "dataset": here}).warnings or [""]
    assert "catalogue's" not in warning
    unknown = replace(good, origin={name: origin[name] for name in ("file", "sha256", "bytes")})
    page = BeautifulSoup(evidence.as_html(unknown), "html.parser")
    (line,) = page.select(".warning")
    assert "no measurement lies beside its file" in line.get_text(" ", strip=True)
    assert line.find_next("h1") is not None and line.find_previous("h1") is None
    assert re.search(r"\.warning \{ color: #b00020", page.style.get_text())
