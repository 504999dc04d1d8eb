"""What may be uploaded."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from asen_apps.explorer import LARGEST_BYTES, ExplorerError, gallery


def encoded(kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    stored = io.BytesIO()
    Image.new(mode, size, 128).save(stored, kind)
    return stored.getvalue()


def png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header promises any size, and whose pixels are not there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + encoded("PNG")[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_usual_images_are_taken(kind: str) -> None:
    assert gallery.decode_upload("photo", encoded(kind), 16).shape == (16, 16, 3)


def test_transparent_pixels_become_white() -> None:
    stored = io.BytesIO()
    Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(stored, "PNG")
    assert (gallery.decode_upload("logo.png", stored.getvalue(), 8) == 255).all()


def test_a_file_that_is_too_long_is_refused_whatever_it_holds() -> None:
    with pytest.raises(ExplorerError, match=r"photo.jpg is too large: it has 10.0 MB"):
        gallery.check_upload("photo.jpg", b"x" * (LARGEST_BYTES + 1))


def test_a_file_that_the_browser_kept_back_is_refused_by_its_size() -> None:
    with pytest.raises(ExplorerError, match=r"it has 953.7 MB, and the limit is 10 MB"):
        gallery.check_upload("film.jpg", b"", size=10**9)


def test_too_many_pixels_are_refused_from_the_header_alone(monkeypatch) -> None:
    def decodes(*arguments: object) -> None:
        raise AssertionError("decoded before the check")

    monkeypatch.setattr(gallery, "load_image", decodes)
    with pytest.raises(ExplorerError, match="8000 x 8000 pixels, and the limit is 50 million"):
        gallery.decode_upload("poster.png", png_of(8000, 8000), 16)
    with pytest.raises(ExplorerError, match="far too many pixels"):
        gallery.decode_upload("bomb.png", png_of(60000, 60000), 16)


@pytest.mark.parametrize(
    "content",
    [
        b"only text\n" * 100,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        encoded("TIFF"),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        png_of(10, 10)[:40],
        encoded("JPEG", (400, 400))[:300],
        encoded("PNG")[:60],
    ],
    ids=["text", "eps", "tiff", "svg", "no pixels", "half a header", "half a picture"],
)
def test_what_is_no_image_of_a_known_kind_is_refused(content: bytes) -> None:
    with pytest.raises(ExplorerError, match=r"photo\.jpg is not an image that can be read"):
        gallery.decode_upload("photo.jpg", content, 16)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ExplorerError, match="photo.jpg is empty"):
        gallery.check_upload("photo.jpg", b"")


def test_a_name_is_shown_short_and_without_control_characters() -> None:
    with pytest.raises(ExplorerError, match=r"^a{57}\.\.\. is empty"):
        gallery.check_upload("a" * 300, b"")
    with pytest.raises(ExplorerError, match=r"^x\.jpg is empty"):
        gallery.check_upload("\x1b\nx.jpg", b"")
