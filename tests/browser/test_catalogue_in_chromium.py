"""A shop's catalogue in a real browser: filter, click, link, load more, drop, paste; a sheet."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_model import small_model

from asen_apps.explorer import LARGEST_BYTES
from asen_apps.search.catalogue_table import Sources
from asen_apps.search.cataloguing import make_index
from asen_apps.search.service import attribute_names
from asen_apps.search.storage import index_notes
from asen_tf.data import read_split, read_value_names
from asen_tf.embedder import model_file
from data_prep.synthetic import make_dataset

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds
STATUS = ".ax-status .widget-html-content"


@pytest.fixture(scope="module")
def catalogue(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """Serve a catalogue of 40 drawn garments, or 400 of a study; give its folder and address."""
    folder = tmp_path_factory.mktemp("catalogue")
    model, study = folder / "model.keras", request.config.getoption("--of")
    if study is None:
        count, side = 40, 96
        small_model().save(model)
    else:
        count, side = 400, 320
        model = model_file(Path("results/runs", study))
    root = make_dataset(folder, images=3 * count // 2, size=side)
    split, names = read_split(folder, "Garments", "train"), read_value_names(folder, "Garments")
    sleeve = split.attributes.names.index("sleeve_length")
    values = {image: value for image, name, value in split.labels.tolist() if name == sleeve}
    lines = ["image,brand,price,sleeve_length"]
    for number in range(count):
        shutil.copy(split.path(number), root / f"dress{number}.jpg")
        value = names["sleeve_length"][values[number]] if number in values else ""
        brand = "Acme" if number % 2 else "Zeta"
        lines.append(f"dress{number}.jpg,{brand},{number},{value}")
    (root / "shop.csv").write_text("\n".join(lines))
    make_index(model, Sources(table=str(root / "shop.csv")), folder / "index")
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
    opened.goto(catalogue[1], wait_until="commit")
    assert "Loading TensorFlow" in opened.locator("#ax-loading").inner_text()
    opened.wait_for_selector(".ax-card img")
    yield opened
    context.close()


def wait_for(page, pattern: str) -> None:
    page.wait_for_function(
        "([where, what]) => new RegExp(what).test(document.querySelector(where).innerText)",
        arg=[STATUS, pattern],
    )


def hand_over(page, kind: str, name: str, content: bytes) -> None:
    """Drop or paste a file, as the browser tells the page of it."""
    page.evaluate(
        """([kind, name, content]) => {
          const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], name));
          const about = { bubbles: true, cancelable: true };
          const event = kind === "drop"
            ? new DragEvent(kind, { dataTransfer: data, ...about })
            : new ClipboardEvent(kind, { clipboardData: data, ...about });
          document.body.dispatchEvent(event);
        }""",
        [kind, name, base64.b64encode(content).decode()],
    )


def test_a_shops_day_in_the_browser(page, catalogue: tuple[Path, str], keep_picture) -> None:
    folder, address = catalogue
    assert page.locator(".ax-card").count() == 12
    assert "dress" in page.locator(".ax-card").first.inner_text()
    keep_picture(page, "catalogue_wide.png")
    page.wait_for_function("location.hash.includes('image=')")
    address_of_first = page.evaluate("location.hash")
    first = re.search(r"image=(dress\d+\.jpg)", address_of_first)[1]
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
    # A link that is pasted into a page that is there already.
    other.evaluate("link => { location.hash = link }", address_of_first)
    wait_for(other, first.replace(".", r"\."))
    other.close()
    # Pictures that are dropped and pasted.
    content = (folder / "Garments" / "dress7.jpg").read_bytes()
    hand_over(page, "drop", "mine.jpg", content)
    wait_for(page, r"your picture mine\.jpg")
    assert "no label" not in page.inner_text(".ax-found")
    hand_over(page, "paste", "copied.png", content)
    wait_for(page, r"your picture copied\.png")


def test_a_dropped_picture_may_be_as_large_as_the_page_says(page) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1800, 1900, 3), np.uint8)
    Image.fromarray(noise).save(stream := io.BytesIO(), "PNG", compress_level=0)
    content = stream.getvalue()
    assert 0.97 < len(content) / LARGEST_BYTES < 1 and "up to 10 MB" in page.inner_text(".ax-panel")
    hand_over(page, "drop", "large.png", content)
    wait_for(page, r"your picture large\.png")
    told = []
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.accept()))
    hand_over(page, "drop", "larger.png", content + bytes(LARGEST_BYTES - len(content) + 1))
    assert told == ["This picture is larger than 10 MB. Choose a smaller copy."]


def test_the_page_is_usable_in_a_narrow_window(page, keep_picture) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    keep_picture(page, "catalogue_narrow.png", down_to=".ax-card >> nth=1")


def test_a_sheet_fits_a_wide_and_a_narrow_window(
    chromium, catalogue: tuple[Path, str], keep_picture
) -> None:
    folder, sheet = catalogue[0], catalogue[0] / "out.html"
    model = index_notes(folder / "index")["model"]["path"]
    attribute = next(name for name in attribute_names(Path(model)) if "sleeve" in name)
    words = ["search", folder / "index", folder / "Garments" / "dress7.jpg", "--attribute"]
    words += [attribute, "--where", "brand=Acme", "--not-itself", "--sheet", sheet]
    command = [sys.executable, "-m", "asen_apps.commands", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True)
    for name, width in (("wide", 1400), ("narrow", 390)):
        opened = chromium.new_page(viewport={"width": width, "height": 1000})
        opened.goto(sheet.as_uri())
        sides = opened.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
        assert len(sides) == 11 and min(sides) > 90  # the query and ten hits
        assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        keep_picture(opened, f"sheet_{name}.png", down_to="figure >> nth=5")
        opened.close()
