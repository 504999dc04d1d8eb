"""Odd and broken images in every release: used, or named and left out, before training starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import raw_releases
from odd_images import BROKEN, EVERY, USABLE, break_files
from PIL import Image

from asen_tf.data import SPLITS, AnnotationError, read_split
from asen_tf.data.images import load_image
from data_prep.prepare import prepare

RELEASES = {
    "fashionai": "FashionAI",
    "darn": "DARN",
    "deepfashion": "DeepFashion",
    "zappos50k": "Zappos50k",
    "catalogue": "Shop",
}
releases = pytest.mark.parametrize("release", RELEASES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd")
    drawn = raw_releases.draw(path / "source", images=2 * EVERY * len(USABLE), size=48)
    for release in RELEASES:
        getattr(raw_releases, release)(drawn, path / release)
    return path


def prepared(folder: Path, release: str) -> Callable[..., object]:
    """Return what prepares a release, given the data folder and what to do about broken images."""
    dataset, raw = RELEASES[release], folder / release
    table = raw / "catalogue.csv" if release == "catalogue" else None
    return lambda out, broken: prepare(dataset, raw, out, broken=broken, table=table)


def listed(data_dir: Path, dataset: str) -> list[str]:
    return [name for split in SPLITS for name in read_split(data_dir, dataset, split).files]


@releases
def test_odd_images_are_no_problem(folder: Path, tmp_path: Path, release: str) -> None:
    rule = "skip" if release == "darn" else "error"  # some of DARN's are gone
    report = prepared(folder, release)(tmp_path, rule)
    assert set(report.left_out.values()) <= ({"no such file"} if release == "darn" else set())
    modes, sizes = set(), set()
    for name in listed(tmp_path, RELEASES[release]):
        path = tmp_path / RELEASES[release] / name
        assert load_image(path, 16).shape == (16, 16, 3)
        with Image.open(path) as opened:
            modes.add(opened.mode)
            sizes.add(opened.size)
    assert {"L", "CMYK", "P", "RGBA", "1", "I;16", "RGB"} <= modes
    assert {(1, 1), (12_000, 40)} <= sizes


@releases
def test_broken_images_are_fatal_or_left_out(folder: Path, tmp_path: Path, release: str) -> None:
    dataset, out = RELEASES[release], tmp_path / "data"
    prepared(folder, release)(out, "skip")  # as from an earlier attempt
    before = listed(out, dataset)
    known = prepared(folder, release)(out, "skip").left_out
    chosen = sorted(set(before))[:: len(set(before)) // len(BROKEN)][: len(BROKEN)]
    raw, fresh = tmp_path / release, tmp_path / "fresh"
    # FashionAI's raw images are in zip files, which break as a whole: take what they hold.
    shutil.copytree(out / dataset if release == "fashionai" else folder / release, raw)
    home = raw / "ut-zap50k-images" if release == "zappos50k" else raw
    ways = {name: way for name, way in zip(chosen, BROKEN, strict=True)}
    break_files([home / name for name in chosen])
    run = prepared(tmp_path, release)
    with pytest.raises(AnnotationError, match="every image must be readable"):
        run(fresh, "error")
    report = run(fresh, "skip")
    assert set(report.left_out) == {*chosen, *known}
    for name, way in ways.items():
        reason = report.left_out[name]
        expected = {"missing": "no such file", "empty": "the file is empty"}
        assert reason.startswith(expected.get(way, "not a readable image")), (way, reason)
    after = listed(fresh, dataset)
    assert set(after).isdisjoint(ways) and set(after) <= set(before)
    if release != "zappos50k":  # there, whole triplets are left out
        assert len(after) == len(before) - len(BROKEN)
    for name in after:
        load_image(fresh / dataset / name, 8)
    names = (fresh / dataset / "broken_images.csv").read_text(encoding="utf-8")
    assert all(f'"{name}",' in names for name in ways)
