"""Which image files can be used: found out by decoding them all, before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asen_tf.annotations import AnnotationError, AttributeTable, read_split
from asen_tf.data import load_image
from data_prep.image_files import broken_images, place_image
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


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300 * 100)
    assert "too many pixels" in broken_images(tmp_path, ["a.png"], progress=False)["a.png"]


def test_an_image_is_placed_once_and_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "deep" / "b.png"
    source.write_bytes(b"first")
    place_image(source, target)
    assert target.read_bytes() == b"first"
    source.unlink()
    source.write_bytes(b"second")
    place_image(source, target)
    assert target.read_bytes() == b"first"  # what is there stays


def test_without_links_an_image_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "a.png").write_bytes(b"first")
    place_image(tmp_path / "a.png", tmp_path / "deep" / "b.png")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b.png"]


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
