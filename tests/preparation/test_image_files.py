"""Which image files can be used: found out by decoding them all, before training."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_inputs import hundreds
from PIL import Image

from asen_tf.data import AnnotationError, AttributeTable, read_split
from asen_tf.data.images import ImageError, load_image
from data_prep.image_files import broken_images
from data_prep.releases import Sample, divide, write_dataset

NOISE = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
MODES = ("L", "1", "P", "CMYK", "RGBA", "LA", "RGB")


def make_images(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write good and broken images; return the good ones' names, and reasons of the others."""
    picture = Image.fromarray(NOISE)
    good = []
    for mode in MODES:
        suffix = ".jpg" if mode in ("CMYK", "RGB") else ".png"
        good.append(f"{mode} mode{suffix}")
        picture.convert(mode).save(folder / good[-1])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(folder / "turned é.jpg", exif=exif)
    Image.new("RGB", (1, 1), "red").save(folder / "pixel.jpg")
    Image.new("L", (12000, 12000), 90).save(folder / "huge.jpg")
    good += ["turned é.jpg", "pixel.jpg", "huge.jpg"]
    whole = (folder / "RGB mode.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.png").write_bytes((folder / "L mode.png").read_bytes()[:500])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<html><body>404</body></html>")
    (folder / "folder.jpg").mkdir()
    reasons = {
        "cut.jpg": "not a readable image (",
        "cut.png": "not a readable image (",
        "empty.jpg": "the file is empty",
        "page.jpg": "not a readable image (",
        "folder.jpg": "not a readable image (",
        "absent.jpg": "no such file",
    }
    return good, reasons


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    folder = tmp_path_factory.mktemp("images")
    return folder, *make_images(folder)


def test_broken_images_are_found_with_their_reason(mixed) -> None:
    folder, good, reasons = mixed
    found = broken_images(folder, [*good, *reasons], progress=False)
    assert list(found) == list(reasons)
    for name, why in reasons.items():
        assert found[name].startswith(why), (name, found[name])


def test_what_passes_can_be_loaded_and_what_fails_cannot(mixed) -> None:
    folder, good, reasons = mixed
    for name in good:
        assert load_image(folder / name, 8).shape == (8, 8, 3)
    for name in reasons:
        with pytest.raises(ValueError, match="no such file|not a readable image"):
            load_image(folder / name, 8)


# === The check and the loader agree ===


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00II*\x00\xff",
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\xff\xff\xff\xff\x00\x06",
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_damaged_exif_data_count_as_none(tmp_path: Path, suffix: str, exif: bytes) -> None:
    for name, more in (("bad", {"exif": exif}), ("none", {})):
        Image.fromarray(NOISE).save(tmp_path / f"{name}.{suffix}", **more)
    assert not broken_images(tmp_path, [f"bad.{suffix}"], progress=False)
    found, expected = (load_image(tmp_path / f"{name}.{suffix}", 20) for name in ("bad", "none"))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    pixels = NOISE[:40]  # square, so that nothing is cut off
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}  # quarters, after mirroring
    mirrored = pixels[:, ::-1] if orientation in (2, 4, 5, 7) else pixels
    np.testing.assert_array_equal(
        load_image(tmp_path / "a.png", 40), np.rot90(mirrored, turns[orientation])
    )


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_keep_their_greys(tmp_path: Path, suffix: str) -> None:
    grey = np.random.default_rng(0).integers(0, 65536, (9, 9)).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    assert not broken_images(tmp_path, [f"a.{suffix}"], progress=False)
    found = load_image(tmp_path / f"a.{suffix}", 9)
    for channel in range(3):  # the higher byte, as Pillow reads colours of 16 bits
        np.testing.assert_array_equal(found[..., channel], grey // 256)


def originals() -> dict[str, bytes]:
    """Return a small image in many formats, with EXIF data in two of them."""
    exif, made = Image.Exif(), {}
    exif[0x0112], exif[0x010F] = 6, "maker"
    picture = Image.fromarray(NOISE)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "TGA", "PCX"):
        for more in ({}, {"exif": exif}) if kind in ("JPEG", "PNG") else ({},):
            picture.save(stream := io.BytesIO(), kind, **more)
            made[f"{kind}{len(more)}"] = stream.getvalue()
    return made


ORIGINALS = originals()
CHANGE = st.tuples(st.integers(0, 10**4) | st.integers(0, 200), st.integers(0, 255))


@hundreds
@given(st.sampled_from(sorted(ORIGINALS)), st.lists(CHANGE, min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_what_the_check_passes_the_loader_loads(
    tmp_path: Path, kind: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(ORIGINALS[kind])
    for place, value in changes:
        data[place % len(data)] = value
    (tmp_path / "a.image").write_bytes(data)
    reasons = broken_images(tmp_path, ["a.image"], workers=1, progress=False)
    try:
        assert load_image(tmp_path / "a.image", 16).shape == (16, 16, 3)
    except ImageError:
        assert reasons


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300 * 100)
    assert "too many pixels" in broken_images(tmp_path, ["a.png"], progress=False)["a.png"]


def test_a_dataset_with_broken_images_is_refused_or_does_without(tmp_path: Path) -> None:
    root = tmp_path / "Mixed"
    root.mkdir()
    good, reasons = make_images(root)
    table = AttributeTable(("hue",), (2,))
    samples = [Sample(name, ((0, at % 2),)) for at, name in enumerate([*good, *reasons])]
    divided = divide(samples, seed=0)
    with pytest.raises(AnnotationError, match=r"6 of 16 that are not: .*--broken skip"):
        write_dataset(tmp_path, "Mixed", table, divided)
    assert not (tmp_path / "meta.json").exists()
    left_out = write_dataset(tmp_path, "Mixed", table, divided, broken="skip")
    assert set(left_out) == set(reasons)
    kept = [
        name for s in ("train", "valid", "test") for name in read_split(tmp_path, "Mixed", s).files
    ]
    assert sorted(kept) == sorted(good)
    listing = (root / "broken_images.csv").read_text().splitlines()
    assert listing[0] == "image,reason" and len(listing) == 7
    with pytest.raises(AnnotationError, match="broken must be one of error, skip; got 'hide'"):
        write_dataset(tmp_path, "Mixed", table, divided, broken="hide")
