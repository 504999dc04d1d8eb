"""A shop's catalogue through the page in a real browser: filter, click, drop, link, load more."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from small_model import pictures, small_model

from asen_apps.search.cataloguing import Sources, make_index

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds
STATUS = ".ax-status .widget-html-content"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve a catalogue of 40 pictures; give its folder and address."""
    folder = tmp_path_factory.mktemp("catalogue")
    small_model().save(folder / "model.keras")
    lines = ["image,brand,price,sleeve"]
    for number, pixels in enumerate(pictures(40, side=120)):
        Image.fromarray(pixels).save(folder / f"dress{number}.jpg")
        lines.append(f"dress{number}.jpg,{'Acme' if number % 2 else 'Zeta'},{number},short")
    (folder / "shop.csv").write_text("\n".join(lines))
    make_index(folder / "model.keras", Sources(table=str(folder / "shop.csv")), folder / "index")
    command = [sys.executable, "-m", "asen_apps.commands", "explore", str(folder / "index")]
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--no-browser", "--port", "8970"], cwd=ROOT, stdout=output, stderr=output
        )
    try:
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield folder, found[0]
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def page(chromium, catalogue: tuple[Path, str]) -> Iterator[object]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE * 1000)
    opened = context.new_page()
    opened.goto(catalogue[1])
    assert opened.locator("#loading, .ax-status").first.inner_text()  # a text says what is loading
    opened.wait_for_selector(".ax-card img")
    yield opened
    context.close()


def wait_for(page, pattern: str) -> None:
    page.wait_for_function(
        "([where, what]) => new RegExp(what).test(document.querySelector(where).innerText)",
        arg=[STATUS, pattern],
    )


def test_a_shops_day_in_the_browser(page, catalogue: tuple[Path, str], keep_picture) -> None:
    folder, address = catalogue
    assert page.locator(".ax-card").count() == 12
    assert "dress" in page.locator(".ax-card").first.inner_text()
    keep_picture(page, "catalogue_wide.png")
    # A filter.
    page.locator(".ax-where input").fill("brand=Acme; price<30")
    page.locator(".ax-where input").press("Enter")
    wait_for(page, r"with 1[45] images")
    assert all("brand: Acme" in text for text in page.locator(".ax-card").all_inner_texts())
    # A click on a neighbour makes it the query.
    name = re.search(r"dress\d+\.jpg", page.locator(".ax-card").nth(2).inner_text())[0]
    page.locator(".ax-card img").nth(2).click()
    wait_for(page, name.replace(".", r"\."))
    # More, and a link that asks the same.
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("document.querySelectorAll('.ax-card').length > 12")
    page.wait_for_function("location.hash.includes('image=')")
    shown = page.locator(".ax-card img").evaluate_all("all => all.map(one => one.dataset.ask)")
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_function("document.querySelectorAll('.ax-card').length > 12")
    wait_for(other, name.replace(".", r"\."))
    again = other.locator(".ax-card img").evaluate_all("all => all.map(one => one.dataset.ask)")
    assert again == shown
    # A picture that is dropped.
    content = base64.b64encode((folder / "dress7.jpg").read_bytes()).decode()
    page.evaluate(
        """content => {
          const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "mine.jpg", { type: "image/jpeg" }));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
        }""",
        content,
    )
    wait_for(page, r"your picture mine\.jpg")
    assert "no label" not in page.inner_text(".ax-found")


def test_the_page_is_usable_in_a_narrow_window(page, keep_picture) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    keep_picture(page, "catalogue_narrow.png")
