"""The page without a browser: controls, sentences, marks, and the executed notebook."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import papermill
import pytest
from bs4 import BeautifulSoup
from explorer_study import make
from widget_page import rows, texts, upload

from asen_apps.explorer import App, Explorer
from asen_apps.explorer.rendering import cut, describe
from asen_study import report

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("page"), images=160)


@pytest.fixture
def app(places: tuple[Path, Path]) -> App:
    made = App(Explorer(*places, count=4))
    made.update()
    return made


def test_the_page_begins_with_a_result(app: App) -> None:
    page, status = texts(app)
    assert len(page.select(".ax-card")) == len(app.answer.neighbours) > 0
    assert status.startswith(f"ASEN++ compared {app.answer.query.title} with ")
    assert len(app.answer.attention) == 2


def test_a_study_opens_on_the_two_most_telling_of_well_labelled_attributes(
    app: App, monkeypatch
) -> None:
    explorer, gallery = app.explorer, app.explorer.gallery
    table = explorer.first.run.path / "map.csv"
    scores = {name: 95.0 - 3 * place for place, name in enumerate(gallery.attributes)}
    lines = [
        "method,embedding,seed,attribute,map",
        *(f"x,fused,0,{n},{v}" for n, v in scores.items()),
    ]
    table.write_text("\n".join(lines))
    told = explorer._telling()
    table.unlink()
    assert set(told) == {name for name in scores if gallery.chance(name) < 1} and len(told) > 2
    for name, merit in told.items():  # 0 at chance, 1 if all is right
        chance = gallery.chance(name)
        assert merit * (1 - chance) + chance == pytest.approx(scores[name] / 100)
    pairs = list(combinations(gallery.attributes, 2))
    enough = [pair for pair in pairs if len(gallery.labelled(pair)) >= 4 * explorer.count]
    for pair in (enough or pairs)[-1], (enough or pairs)[0]:
        monkeypatch.setattr(explorer, "_telling", lambda pair=pair: dict.fromkeys(pair, 0.9))
        chosen, query = explorer.first_question()
        if enough:
            assert chosen == pair
        assert query.image in gallery.labelled(chosen)


def test_every_picture_has_words_and_every_verdict_a_mark(app: App) -> None:
    page, _ = texts(app)
    pictures = page.find_all("img")
    assert len(pictures) == 1 + 2 * len(app.answer.attention) + len(app.answer.neighbours)
    assert all(picture["alt"].strip() for picture in pictures)
    assert all(picture["src"].startswith("data:image/jpeg;base64,") for picture in pictures)
    marks = {"ax-right": "✓", "ax-wrong": "✗", "": "–"}
    values = page.select(".ax-value")
    assert len(values) == len(app.answer.neighbours) * len(app.answer.attention)
    for value in values:
        kind = (value["class"] + [""])[1]
        assert value.get_text().startswith(marks[kind])


def test_a_region_is_cut_and_described() -> None:
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    assert np.array_equal(cut(image, (0.5, 0.0, 1.0, 0.5)), image[:5, 5:])
    assert cut(image, (1.0, 1.0, 1.0, 1.0)).shape == (1, 1, 3)
    assert describe((0, 0, 0.5, 0.5), np.array([[0, 0.1, 0.9], [0, 0, 0]])) == (
        "brightest at the top right; the region covers 25% of the picture"
    )


def test_scores_of_the_page_are_those_of_the_answer(app: App) -> None:
    page, _ = texts(app)
    shown = [float(head.get_text().split()[-1]) for head in page.select(".ax-head")]
    assert shown == [round(one.score, 3) for one in app.answer.neighbours]


def test_controls_change_the_answer(app: App) -> None:
    tick, weight = rows(app)["lapel_design"]
    for name, (other, _) in rows(app).items():
        other.value = name == "lapel_design"
    app.wait()
    assert [one.attribute for one in app.answer.attention] == ["lapel_design"]
    assert not weight.disabled and rows(app)["neck_design"][1].disabled
    rows(app)["sleeve_length"][0].value = True
    weight.value = 0.5
    app.wait()
    assert {one.attribute: one.weight for one in app.answer.attention} == pytest.approx(
        {"sleeve_length": 2 / 3, "lapel_design": 1 / 3}
    )
    app._methods.value = app.explorer.methods[0]
    app.wait()
    assert app.answer.method == "Triplet network"
    assert "has no attention map" in app._result.value
    app._thumbnails._clicked(1)
    app.wait()
    chosen = [button for button in app._thumbnails._buttons if "ax-chosen" in button._dom_classes]
    assert [button.description for button in chosen] == [f"✓ {app.answer.query.image}"]


def test_no_attribute_is_a_sentence_and_the_page_goes_on(app: App) -> None:
    for tick, _ in rows(app).values():
        tick.value = False
    app.wait()
    assert "Choose at least one attribute" in texts(app)[1]
    assert app.answer is None
    rows(app)["neck_design"][0].value = True
    app.wait()
    assert texts(app)[1].startswith("ASEN++ compared") and app.answer is not None


def test_uploads_are_searched_or_refused_in_words(app: App, places: tuple[Path, Path]) -> None:
    content = next((places[1] / "Garments").rglob("*.jpg")).read_bytes()
    upload(app, "<b>mine</b>.jpg", content)
    assert app.answer.query.image is None
    assert "your picture <b>mine</b>.jpg" in texts(app)[1]  # as text, not as markup
    assert not texts(app)[0].select("figcaption b")
    before = app._result.value
    upload(app, "letter.jpg", b"Dear reader")
    assert "letter.jpg is not an image that can be read" in texts(app)[1]
    upload(app, "film.jpg", b"", size=10**8)
    assert "film.jpg is too large" in texts(app)[1]
    assert app._result.value == before and app.answer is not None


def test_an_unexpected_error_is_a_sentence_without_its_traceback(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("secret /path")

    monkeypatch.setattr(app.explorer, "search", fail)
    app.update()
    assert "Something unexpected went wrong" in texts(app)[1]
    assert "secret" not in app._status.value and app.answer is None


def test_the_executed_notebook_shows_a_result_without_python(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    executed = tmp_path / "09_explore.ipynb"
    parameters = {"results_dir": str(places[0].parent), "study": places[0].name}
    parameters |= {"data_dir": str(places[1]), "count": 3}
    papermill.execute_notebook(
        ROOT / "notebooks/09_explore.ipynb",
        executed,
        parameters=parameters,
        cwd=ROOT,
        progress_bar=False,
    )
    report.write([executed], tmp_path / "page.html")
    page = BeautifulSoup((tmp_path / "page.html").read_text(), "html.parser")
    assert page.select_one(".ax h1").get_text() == "Garment explorer"
    assert len(page.select(".ax-card img")) == 3


def test_the_terminal_is_spared_noise_and_nothing_else() -> None:
    lines = ["Setting websocket_ping_timeout", "[IPKernelApp] an error", "W0000 else"]
    code = "import os; from asen_apps.explorer.__main__ import filter_log; filter_log(); "
    code += f"os.write(2, {(chr(10).join(lines) + chr(10)).encode()!r}); import time; time.sleep(1)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines() == lines[1:]
