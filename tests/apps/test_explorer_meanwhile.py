"""What a visitor does while the explorer searches."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_study import make
from widget_page import rows, send, texts

from asen_apps.explorer import App, Explorer
from asen_apps.explorer.app import Worker


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("meanwhile"), images=80)


@pytest.fixture
def app(places: tuple[Path, Path]) -> App:
    return App(Explorer(*places, count=3))


@pytest.fixture
def busy(app: App) -> Iterator[threading.Event]:
    """Keep the page's worker busy until the event is set; then it searches."""
    begun, go = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go.wait(60)
        app.update()

    app._worker.ask(slow)
    assert begun.wait(10)
    yield go
    go.set()
    app.wait()


def tick_another(app: App) -> str:
    name = next(name for name, (tick, _) in rows(app).items() if not tick.value)
    rows(app)[name][0].value = True
    return name


def test_an_upload_during_a_search_outlives_the_next_change(
    app: App, busy: threading.Event, places: tuple[Path, Path]
) -> None:
    send(app, "mine.jpg", next((places[1] / "Garments").rglob("*.jpg")).read_bytes())
    name = tick_another(app)
    busy.set()
    app.wait()
    assert app.answer.query.title == "your picture mine.jpg"
    assert name in [one.attribute for one in app.answer.attention]
    assert "compared your picture mine.jpg" in texts(app)[1]


def test_a_refusal_during_a_search_stays_until_the_reader_goes_on(
    app: App, busy: threading.Event
) -> None:
    send(app, "letter.jpg", b"Dear reader")
    assert "letter.jpg is not an image" in texts(app)[1]  # at once
    busy.set()
    app.wait()
    assert re.search(r"letter\.jpg is not an image .* ASEN\+\+ compared test", texts(app)[1])
    tick_another(app)
    app.wait()
    assert "letter.jpg" not in texts(app)[1] and "compared test image" in texts(app)[1]


def test_a_worker_does_the_last_of_what_was_asked_meanwhile() -> None:
    worker, begun, go, done = Worker(), threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        assert go.wait(10)
        done.append("slow")

    worker.ask(slow)
    assert begun.wait(10)
    for name in "abc":
        worker.ask(lambda name=name: done.append(name))
    go.set()
    worker.wait(10)
    assert done == ["slow", "c"]
