"""Uploads of all kinds through the page, and two visitors at once: the page stays up."""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from test_page_in_chromium import box, choose, status, wait_for

pytestmark = pytest.mark.browser

GRADIENT = Image.radial_gradient("L").resize((60, 80))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stored = io.BytesIO()
    image.save(stored, kind, **options)
    return stored.getvalue()


def huge_png(side: int) -> bytes:
    """Return a PNG of a few bytes whose header promises a huge picture."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def turned() -> bytes:
    orientation = Image.Exif()
    orientation[0x0112] = 6
    return encoded(GRADIENT, "JPEG", exif=orientation)


def zipped() -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as opened:
        opened.writestr("photo.jpg", encoded(GRADIENT, "JPEG"))
    return stored.getvalue()


def hidden(wide: int) -> Image.Image:
    return Image.fromarray(np.full((wide, wide, 4), (200, 0, 0, 0), np.uint8))


TAKEN = {
    "turned": turned(),
    "transparent": encoded(hidden(40), "PNG"),
    "deep": encoded(
        Image.fromarray(np.linspace(0, 65535, 900).astype(np.uint16).reshape(30, 30)), "PNG"
    ),
    "palette": encoded(GRADIENT.convert("P"), "GIF"),
    "moving": encoded(GRADIENT, "GIF", save_all=True, append_images=[GRADIENT.rotate(90)]),
    "print": encoded(GRADIENT.convert("CMYK"), "JPEG"),
    "webp": encoded(GRADIENT.convert("RGB"), "WEBP"),
    "bmp": encoded(GRADIENT.convert("RGB"), "BMP"),
    "dot": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "ribbon": encoded(Image.new("RGB", (2000, 2), "red"), "PNG"),
}
REFUSED = {
    "empty": b"",
    "text": b"Dear reader, this is a text.",
    "cut": encoded(GRADIENT, "JPEG")[:300],
    "half": huge_png(30),
    "bomb": huge_png(60_000),
    "poster": huge_png(8_000),
    "zip": zipped(),
    "pickle": pickle.dumps({"weights": [1.0]}),
    "vector": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "page": b"<html><script>alert(1)</script></html>",
    "scan": encoded(GRADIENT, "TIFF"),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
}
REASONS = "is empty|not an image that can be read|too large|far too many pixels"


def test_every_kind_of_file_is_searched_or_refused_in_words(open_tab, served, tell) -> None:
    tab = open_tab(1200, 900)
    page, dialogs = tab.page, []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    outcomes = {}
    for kinds in (REFUSED, TAKEN, REFUSED):
        for name, content in kinds.items():
            choose(page, f"{name}.jpg", content)
            said = wait_for(
                page, rf"(your picture {name}\.jpg with)|(^Problem: {name}\.jpg .*({REASONS}))"
            )
            outcomes[name] = "compared your picture" in said.splitlines()[0]
            assert served.process.poll() is None
    assert outcomes == dict.fromkeys(REFUSED, False) | dict.fromkeys(TAKEN, True)
    box(page, "neck design").click()  # and the page goes on with the last one that was taken
    wait_for(page, f"^[^\n]*compared your picture {list(TAKEN)[-1]}")
    assert tab.complaints == [] and dialogs == []
    for name, taken in outcomes.items():
        tell("upload", name, "searched" if taken else "refused in words; the page stayed up")


def test_names_are_shown_as_text_and_lead_nowhere(open_tab) -> None:
    tab = open_tab(1200, 900)
    page, dialogs = tab.page, []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    names = ["<img src=x onerror=alert(1)>.jpg", "$a$ & b.jpg", "\u202egpj.exe", "x" * 200 + ".jpg"]
    for name in names:
        choose(page, name, b"no picture")
        wait_for(page, "not an image that can be read")
        shown = status(page).split(" is not an image")[0].removeprefix("Problem: ")
        assert shown == name or shown.endswith("...") or shown == name.lstrip("\u202e")
        choose(page, "good.png", TAKEN["dot"])
        wait_for(page, "^[^\n]*compared your picture good.png")
    assert page.locator(".ax-status img").count() == 0
    assert tab.complaints == [] and dialogs == []


def test_two_visitors_do_not_see_each_others_pictures(open_tab, served, tell) -> None:
    first, second = open_tab(1200, 900), open_tab(1200, 900)
    for tab, kind in ((first, "webp"), (second, "turned")):  # at the same time
        choose(tab.page, f"{kind}.jpg", TAKEN[kind])
    for tab, kind in ((first, "webp"), (second, "turned")):
        wait_for(tab.page, f"compared your picture {kind}.jpg")
    box(second.page, "neck design").click()
    choose(first.page, "text.jpg", REFUSED["text"])
    wait_for(first.page, "text.jpg is not an image")
    wait_for(second.page, "^[^\n]*compared your picture turned.jpg")
    assert "webp" not in second.page.inner_text(".ax")
    assert "turned" not in first.page.inner_text(".ax")
    first.page.close()  # the other one stays
    box(second.page, "neck design").click()
    wait_for(second.page, "^[^\n]*compared your picture turned.jpg")
    assert not re.search("text.jpg|webp", status(second.page))
    assert second.complaints == [] and served.process.poll() is None
    tell("visitors", "two at once, with a picture each", "each saw nothing of the other's")
