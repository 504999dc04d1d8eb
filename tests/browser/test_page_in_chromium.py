"""The explorer in a real browser, on a smoke study."""

from __future__ import annotations

import io
import re
import socket
from pathlib import Path

import pytest
from PIL import Image

from asen_tf.explorer.limits import LARGEST_BYTES

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
    assert page.locator(".ax-looks img").count() == 5  # the query; a map and a region of two
    keep_picture(page, "explorer_wide.png")
    assert tab.complaints == []


def test_every_picture_has_words_and_every_control_a_name(tab) -> None:
    page = tab.page
    assert page.locator("img").count() > 5
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.get_by_role("combobox", name="Method").count() == 1
    assert page.get_by_role("slider", name="Weight of sleeve length").count() == 1
    assert page.get_by_role("button", name=re.compile(r"^Test image \d+, chosen")).count() == 1
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
    assert page.locator(".ax-looks img").count() == 1
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
    shown = page.inner_html(".ax-looks")
    choose(page, "letter.jpg", b"Dear reader, this is a text.")
    assert "letter.jpg is not an image that can be read" in wait_for(page, "letter.jpg")
    choose(page, "large.jpg", b"x" * (LARGEST_BYTES + 1))
    assert "large.jpg is too large" in wait_for(page, "large.jpg")
    choose(page, "huge.jpg", b"x" * (2 * LARGEST_BYTES))  # more than a message may hold
    assert "huge.jpg is too large: it has 20.0 MB" in wait_for(page, "huge.jpg")
    assert page.inner_html(".ax-looks") == shown
    box(page, "neck design").click()
    wait_for(page, "compared your picture photo.jpg")  # and the page goes on
    assert tab.complaints == []


def test_a_narrow_window_needs_no_sideways_scrolling(open_tab, keep_picture) -> None:
    page = open_tab(400, 900).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    wide = "[...document.querySelectorAll('.ax *')].filter(e => e.getClientRects().length && "
    wide += "e.getBoundingClientRect().right > 401 && !e.closest('.widget-readout')).length"
    assert page.evaluate(wide) == 0
    page.get_by_role("link", name="To the results").click()
    assert page.locator(".ax-looks img").first.is_visible()
    assert page.evaluate("window.scrollY") > 100
    keep_picture(page, "explorer_narrow.png")


PATHS = (
    "/voila/files/09_explore.ipynb",
    "/voila/files/../README.md",
    "/voila/files/%2e%2e/README.md",
    "/voila/files/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
    "/voila/static/../../../../../../etc/passwd",
    "/voila/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/voila/templates/lab/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/voila/api/contents/README.md",
    "/api/contents/README.md",
    "/files/README.md",
)


def ask(served, path: str, host: str | None = None) -> tuple[int, bytes]:
    """Send a path as it is: clients of the standard library would tidy it first."""
    with socket.create_connection(("127.0.0.1", served.port), 60) as connection:
        name = host or f"127.0.0.1:{served.port}"
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer


@pytest.mark.parametrize("path", PATHS)
def test_no_file_is_served(served, path: str) -> None:
    code, answer = ask(served, path)
    assert code in (302, 400, 403, 404, 500)
    assert b"root:" not in answer and b"asen-tf" not in answer and b"nbformat" not in answer
    if code == 302:  # to the place of files, which has none
        assert ask(served, re.search(rb"Location: (\S+)", answer)[1].decode())[0] == 403


def test_another_name_in_the_request_is_refused(served) -> None:
    assert ask(served, "/", host="evil.example")[0] == 403


def test_other_machines_cannot_connect(served) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        except OSError:
            pytest.skip("this machine has no address but the loopback one")
        own = probe.getsockname()[0]
    assert not own.startswith("127.")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own, served.port), 10)


def test_without_a_study_the_command_says_what_to_do(tmp_path: Path, capfd) -> None:
    from asen_tf.explorer.__main__ import main

    assert main(["--results-dir", str(tmp_path)]) == 1
    assert "Run `make study` first" in capfd.readouterr().err
