"""A served explorer and Debian's chromium, for the tests that need a browser."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from asen_study import experiment, provenance
from asen_study.matrix import MAIN, settings
from asen_study.runs import Places
from asen_tf.files import write_text
from asen_tf.presets import smoke
from data_prep.synthetic import make_dataset

ROOT = Path(__file__).parents[2]
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
PATIENCE = 180  # seconds; the machine may be busy


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="folder for screenshots of the page")
    parser.addoption("--figures", type=Path, help="CSV file for what was sent and what came of it")
    parser.addoption("--of", help="finished study to show instead of a smoke study, e.g. quick")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives chromium; `make test-browser` runs these")


@dataclass
class Served:
    """An explorer's process, and where it answers."""

    process: subprocess.Popen
    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Tab:
    """A page in the browser, and the errors of its console and network."""

    page: object
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, str]:
    """Train the rows of a smoke study; nothing else is set up for the explorer.

    Returns the folders of results and data, and the study's name.
    """
    finished = request.config.getoption("--of")
    if finished is not None:
        return Path("results/runs").resolve(), Path("data").resolve(), finished
    folder = tmp_path_factory.mktemp("study")
    data, results = folder / "data", folder / "results"
    make_dataset(data, images=160, size=96)
    for row in MAIN:
        config = settings(row, smoke())
        experiment.run(config, Places(data, results, "smoke"))
    return results, data, "smoke"


@pytest.fixture(scope="session")
def served(
    study: tuple[Path, Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("served") / "log.txt"
    command = [sys.executable, "-m", "asen_apps.explorer", "--study", study[2], "--no-browser"]
    command += ["--results-dir", str(study[0]), "--data-dir", str(study[1]), "--port", "8950"]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield Served(process, int(found[1]), log)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is not installed; `make test-browser` installs it")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=program, args=[*ARGUMENTS, "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_tab(chromium: object, served: Served) -> Iterator[object]:
    contexts = []

    def open_one(width: int, height: int, scale: float = 1.0) -> Tab:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=scale
        )
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        tab = Tab(context.new_page())
        tab.page.on(
            "console",
            lambda said: tab.complaints.append(said.text) if said.type == "error" else None,
        )
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.on("requestfailed", lambda request: tab.complaints.append(request.url))
        tab.page.goto(served.address)
        tab.page.wait_for_selector(".ax-card img")
        return tab

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Iterator[Callable[[str, str, str], None]]:
    """Note what is sent to the page, and what comes of it; with `--figures`, write it in the end.

    Rows of tests that failed are missing, and so the file is written only if none did.
    """
    rows: list[tuple[str, str, str]] = []
    yield lambda kind, sent, outcome: rows.append((kind, sent, outcome))
    place = request.config.getoption("--figures")
    if place is None or request.session.testsfailed:
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([("kind", "sent", "outcome"), *rows])
    origin = f"# python -m pytest -m browser --figures; commit {provenance.commit()}\n"
    write_text(place, f"{origin}{table.getvalue()}")


@pytest.fixture
def keep_picture(request: pytest.FixtureRequest) -> object:
    folder = request.config.getoption("--screenshots")

    def keep(page: object, name: str, *, down_to: str | None = None) -> None:
        """Take a screenshot of the window, or of the page from its top down to an element."""
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if down_to is None:
            page.screenshot(path=folder / name)
            return
        page.evaluate("window.scrollTo(0, 0)")
        last = page.locator(down_to).bounding_box()
        size = {"width": page.viewport_size["width"], "height": last["y"] + last["height"] + 12}
        page.screenshot(path=folder / name, full_page=True, clip={"x": 0, "y": 0, **size})

    return keep
