"""The explorer in a real browser, on a smoke study."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from asen_apps.explorer import LARGEST_BYTES

pytestmark = pytest.mark.browser

STATUS = ".ax-status .widget-html-content"


def status(page) -> str:
    return page.inner_text(STATUS)


def wait_for(page, pattern: str) -> str:
    """Wait until the status line matches; return it."""
    page.wait_for_function(
        "([where, what]) => new RegExp(what).test(document.querySelector(where).innerText)",
        arg=[STATUS, pattern],
    )
    return status(page)


def weighted(page, weights: dict[str, float]) -> bool:
    """Return whether each card's score is the sum of its attributes' cosines by these weights."""
    cards = page.locator(".ax-found li").all_inner_texts()
    for card in cards:
        words = re.sub(r"\s+", " ", card)
        score = float(re.search(r"score (-?\d\.\d+)", words)[1])
        parts = {name: float(re.search(rf"{name} (-?\d\.\d+)", words)[1]) for name in weights}
        # Scores are shown with three digits, cosines with two.
        if abs(score - sum(weights[name] * parts[name] for name in weights)) > 0.0056:
            return False
    return len(cards) > 1


def box(page, name: str):
    return page.get_by_role("checkbox", name=name, exact=True)


def choose(page, name: str, content: bytes) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a picture").click()
    chooser.value.set_files({"name": name, "mimeType": "image/jpeg", "buffer": content})


@pytest.fixture
def tab(open_tab):
    return open_tab(1400, 1000)


def test_the_page_begins_with_a_result(tab, keep_picture) -> None:
    page = tab.page
    assert page.title() == "Garment explorer"
    assert re.search(r"ASEN\+\+ compared test image \d+ with \d+ test images", status(page))
    assert page.locator(".ax-attention img").count() == 5  # the query; a map and a region of two
    keep_picture(page, "explorer_wide.png")
    assert tab.complaints == []


def test_every_picture_has_words_and_every_control_a_name(tab) -> None:
    page = tab.page
    assert page.locator("img").count() > 5
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.get_by_role("combobox", name="Method").count() == 1
    assert page.get_by_role("slider", name="Weight of sleeve length").count() == 1
    assert page.get_by_role("button", name=re.compile(r"^Test image \d+, selected")).count() == 1
    assert page.locator("h1").count() == 1 and page.locator("[role=status]").count() == 1
    assert page.get_attribute("html", "lang") == "en"


def test_weights_attributes_and_methods_change_the_result(tab) -> None:
    page = tab.page
    for name in page.locator(".ax-row .widget-label-basic").all_inner_texts():
        box(page, name.strip()).set_checked(name.strip() == "sleeve length")
    wait_for(page, r"share[s]? its sleeve length \([^)]*\)\.?$")
    # By keyboard alone: tick with the space bar, change the weight with an arrow.
    box(page, "skirt length").focus()
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.ax').innerText.includes('0.50 skirt length')")
    assert weighted(page, {"skirt length": 0.5, "sleeve length": 0.5})
    page.get_by_role("slider", name="Weight of sleeve length").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('.ax').innerText.includes('0.67 skirt length')")
    assert weighted(page, {"skirt length": 2 / 3, "sleeve length": 1 / 3})
    page.get_by_role("combobox", name="Method").focus()
    page.keyboard.press("ArrowUp")
    wait_for(page, "^ASEN_v2 compared")
    page.get_by_role("combobox", name="Method").select_option("Triplet network")
    wait_for(page, "^Triplet network compared")
    assert page.locator(".ax-attention img").count() == 1
    page.get_by_role("button", name=re.compile(r"^Test image \d+$")).last.press("Enter")
    wait_for(page, "Triplet network compared test image")
    assert tab.complaints == []


def test_the_focus_is_seen(tab) -> None:
    page = tab.page
    for _ in range(3):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"


def test_uploads_are_searched_or_refused_in_words(tab) -> None:
    page = tab.page
    stored = io.BytesIO()
    Image.radial_gradient("L").resize((300, 400)).save(stored, "JPEG")
    choose(page, "photo.jpg", stored.getvalue())
    wait_for(page, "compared your picture photo.jpg")
    shown = page.inner_html(".ax-attention")
    choose(page, "letter.jpg", b"Dear reader, this is a text.")
    assert "letter.jpg is not an image that can be read" in wait_for(page, "letter.jpg")
    choose(page, "large.jpg", b"x" * (LARGEST_BYTES + 1))
    assert "large.jpg is too large" in wait_for(page, "large.jpg")
    choose(page, "huge.jpg", b"x" * (2 * LARGEST_BYTES))  # more than a message may hold
    assert "huge.jpg is too large: it has 20.0 MB" in wait_for(page, "huge.jpg")
    assert page.inner_html(".ax-attention") == shown
    box(page, "neck design").click()
    wait_for(page, "compared your picture photo.jpg")  # and the page goes on
    assert tab.complaints == []


def test_pages_of_test_images_are_turned(tab) -> None:
    page = tab.page
    for name in page.locator(".ax-row .widget-label-basic").all_inner_texts():
        box(page, name.strip()).set_checked(name.strip() in ("collar design", "neck design"))
    page.get_by_text("1 to 8 of 16").wait_for()  # no image has both labels: all are offered
    page.get_by_role("button", name="Next").click()
    page.get_by_text("9 to 16 of 16").wait_for()
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_role("button", name="Test image 12", exact=True).click()
    wait_for(page, "compared test image 12 ")
    page.get_by_role("button", name="Previous").click()
    page.get_by_text("1 to 8 of 16").wait_for()
    assert tab.complaints == []


@pytest.mark.parametrize("width", [320, 360])
def test_a_narrow_window_needs_no_sideways_scrolling(open_tab, keep_picture, width: int) -> None:
    page = open_tab(width, 900, scale=1.5).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.ax *')].filter(e => e.getClientRects().length && "
    wide += f"e.getBoundingClientRect().right > {width + 1} && !e.closest('.widget-readout'))"
    assert page.evaluate(f"{wide}.length") == 0
    if width == 360:
        keep_picture(page, "explorer_narrow.png", down_to=".ax-card >> nth=1")
    page.get_by_role("link", name="Skip to the results").click()
    assert page.locator(".ax-attention img").first.is_visible()
    assert page.evaluate("window.scrollY") > 100
