"""From image files to the batches of an epoch: decoding, cache, order."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from memory_images import Memory
from PIL import Image
from small_model import pictures

from asen_tf.config import ExperimentConfig
from asen_tf.data import AttributeTable, Split
from asen_tf.data.dataset import Dataset
from asen_tf.data.images import CachedImages, ImageError
from asen_tf.data.pipeline import training_steps
from asen_tf.data.reading import _contents_read
from asen_tf.files import DiskFullError
from asen_tf.presets import smoke
from asen_tf.training.similarity import epoch_planner
from data_prep.writing import write_meta, write_split

LABELS = np.array([row for i in range(6) for row in ([i, 0, i % 2], [i, 1, i // 3])])
SIZES = [(40, 40), (40, 30), (24, 40), (16, 16), (9, 12), (33, 40)]  # px, width and height
EVERY = np.arange(6)


def picture_file(path: Path, width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Tiny").mkdir()
    names = [f"{number}.png" for number in range(6)]
    for number, (width, height) in enumerate(SIZES):
        picture_file(tmp_path / "Tiny" / names[number], width, height, number)
    write_meta(tmp_path, "Tiny", AttributeTable(("length", "neck"), (2, 2)))
    write_split(tmp_path, "Tiny", "train", files=names, labels=LABELS)
    return tmp_path


def tiny(folder: Path, *, cache: bool = True, cache_dir: Path | None = None) -> Dataset:
    sizes = {"source_size": 16, "global_size": 8}
    config = ExperimentConfig(dataset="Tiny", **sizes, cache_images=cache)
    return Dataset(folder, config, cache_dir=cache_dir)


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """Take the centre square, and weigh its pixels by a triangle as wide as the scale demands."""
    square = min(pixels.shape[:2])
    top, left = ((length - square) // 2 for length in pixels.shape[:2])
    centre = pixels[top : top + square, left : left + square].astype(np.float64)
    weights, scale = np.zeros((side, square)), max(square / side, 1.0)
    for target, source in np.ndindex(side, square):
        distance = source + 0.5 - (target + 0.5) * square / side
        weights[target, source] = max(0.0, 1.0 - abs(distance) / scale)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("iy,yxc,jx->ijc", weights, centre, weights)


# === Decoding and the cache ===


@pytest.mark.parametrize("cache", [True, False])
def test_images_are_their_centre_squares_shrunk_by_hand(folder: Path, cache: bool) -> None:
    images = tiny(folder, cache=cache).split("train")
    for number, found in enumerate(images.sources[EVERY]):
        expected = shrunk(np.asarray(Image.open(images.split.path(number))), 16)
        # Pillow lets the outermost pixels of a square see what lies just outside it.
        inner = slice(None) if SIZES[number][0] == SIZES[number][1] else slice(1, -1)
        np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=1.5)
    for found, source in zip(images.views[EVERY], images.sources[EVERY], strict=True):
        np.testing.assert_allclose(found, shrunk(source, 8), atol=0.51)  # rounded once


def test_a_cache_is_filled_once_in_order_and_read_from_then_on(tmp_path: Path) -> None:
    array = np.arange(600 * 12, dtype=np.uint32).astype(np.uint8).reshape(600, 2, 2, 3)
    first, second = Memory(array), Memory(255 - array)
    for images in (first, second):
        cached = CachedImages(images, tmp_path / "new" / "a.npy", description="filling")
        np.testing.assert_array_equal(cached[np.arange(600)], array)
    assert (first.asked, second.asked) == (list(range(600)), [])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_a_changed_image_is_decoded_anew(folder: Path) -> None:
    before = tiny(folder).split("train").sources[EVERY]
    picture_file(folder / "Tiny" / "2.png", 20, 20, seed=99)
    changed = tiny(folder).split("train")
    fresh = tiny(folder, cache=False).split("train")
    np.testing.assert_array_equal(changed.sources[EVERY], fresh.sources[EVERY])
    np.testing.assert_array_equal(changed.views[EVERY], fresh.views[EVERY])
    same_as_before = (changed.sources[EVERY] == before).all(axis=(1, 2, 3))
    assert same_as_before.tolist() == [True, True, False, True, True, True]


def test_a_broken_image_leaves_no_cache_behind(folder: Path) -> None:
    path = folder / "Tiny" / "4.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"4\.png: not a readable image"):
        tiny(folder).split("train")
    assert not [*caches(folder), *(folder / "Tiny" / ".cache").glob(".tmp-*")]


def caches(folder: Path) -> list[Path]:
    return sorted((folder / "Tiny" / ".cache").glob("*.npy"))


def test_contents_decide_whether_an_image_has_changed(folder: Path) -> None:
    path, before = folder / "Tiny" / "2.bmp", tiny(folder)
    (folder / "Tiny" / "2.png").unlink()
    names = [f"{number}.png" for number in range(6)]
    write_split(folder, "Tiny", "train", files=[*names[:2], "2.bmp", *names[3:]], labels=LABELS)
    picture_file(path, 16, 16, seed=2)
    first, times = tiny(folder), path.stat()
    assert first.fingerprint != before.fingerprint
    os.utime(path)  # touched, and nothing else
    assert tiny(folder).fingerprint == first.fingerprint
    old = first.split("train").sources[EVERY]
    picture_file(path, 16, 16, seed=7)  # of the same size in bytes, and then of the same time
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    changed = tiny(folder).split("train").sources[EVERY]
    assert (changed != old).any(axis=(1, 2, 3)).tolist() == [False, False, True] + [False] * 3
    np.testing.assert_array_equal(changed, tiny(folder, cache=False).split("train").sources[EVERY])


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"PK\x03\x04", None])
def test_a_damaged_cache_is_made_anew(folder: Path, damage: bytes | None) -> None:
    expected = tiny(folder, cache=False).split("train").views[EVERY]
    tiny(folder).split("train")
    record = folder / "Tiny" / ".cache" / "contents.json"
    for path in (*caches(folder), record):
        path.write_bytes(path.read_bytes()[:-7] if damage is None else damage)
    _contents_read.clear()  # as in a new process
    again = tiny(folder)
    np.testing.assert_array_equal(again.split("train").views[EVERY], expected)
    assert set(json.loads(record.read_bytes())) == {f"{number}.png" for number in range(6)}
    assert [len(np.load(path)) for path in caches(folder)] == [6, 6]


@pytest.mark.parametrize("moment", ["before", "reserving", "writing"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "before":
        usage = shutil.disk_usage(folder)._replace(free=4_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        numbers = "8,704 needed, 4,000 bytes free"
    else:
        name = "os.posix_fallocate" if moment == "reserving" else "os.fsync"
        monkeypatch.setattr(name, full)
        numbers = r"8,704 needed, [\d,]+ bytes free"
    with pytest.raises(DiskFullError, match=f"cache: no room .*: {numbers}; .* cache_images=False"):
        tiny(folder).split("train")
    assert not [*caches(folder), *(folder / "Tiny" / ".cache").glob(".tmp-*")]
    monkeypatch.undo()
    tiny(folder).split("train")
    assert len(caches(folder)) == 2


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    tiny(folder).split("train")
    path = caches(folder)[0]
    left = path.with_name(f".tmp-0a1b2c3d-{path.name}")
    path.rename(left)
    other = path.with_name(".tmp-0a1b2c3d-other.npy")
    other.write_bytes(b"")
    tiny(folder).split("train")
    assert path.exists() and other.exists() and not left.exists()


def test_a_folder_that_may_only_be_read_stays_as_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    before = sorted((folder / "Tiny").iterdir())
    with pytest.warns(UserWarning, match="Tiny may only be read: .*allow writing"):
        plain = tiny(folder)
    expected = plain.split("train").sources[EVERY]
    cached = tiny(folder, cache_dir=tmp_path / "results" / ".cache").split("train")
    np.testing.assert_array_equal(cached.sources[EVERY], expected)
    assert sorted((folder / "Tiny").iterdir()) == before
    names = [path.suffix for path in (tmp_path / "results" / ".cache" / "Tiny").iterdir()]
    assert sorted(names) == [".json", ".npy", ".npy"]


# === Batches ===

VIEWS, SOURCES = pictures(6, 16), pictures(6, 24)
TABLE, NONE = AttributeTable(("length", "neck"), (2, 2)), np.zeros((0, 3), np.int64)
SPLIT = Split(Path("."), "Tiny", "train", TABLE, (), LABELS, NONE, NONE, ())


def steps(first: int = 0, *, seed: int = 0, **options):
    return list(
        training_steps(
            epoch_planner(smoke().override(seed=seed, **options), SPLIT),
            views=Memory(VIEWS),
            sources=Memory(SOURCES),
            first_epoch=first,
            epochs=3,
        ).as_numpy_iterator()
    )


def same(left: list[dict], right: list[dict], name: str) -> list[bool]:
    return [np.array_equal(a[name], b[name]) for a, b in zip(left, right, strict=True)]


@pytest.mark.parametrize("sampling", ["batch_all", "random_triplets"])
def test_a_batch_holds_the_planned_images_with_their_labels(sampling: str) -> None:
    plan = epoch_planner(smoke().override(sampling=sampling), SPLIT)
    batches = steps(sampling=sampling)
    assert len(batches) == 3 * 3
    for number, batch in enumerate(batches):
        planned, step = plan(number // 3), number % 3
        np.testing.assert_array_equal(batch["view"], VIEWS[planned.images[step]])
        np.testing.assert_array_equal(batch["source"], SOURCES[planned.images[step]])
        np.testing.assert_array_equal(batch["attribute"], planned.attributes[step])
        np.testing.assert_array_equal(batch["value"], planned.values[step])


def test_draws_of_jitter_are_a_pure_function_too_however_a_step_is_divided() -> None:
    def draws(first: int, seed: int, **parts) -> np.ndarray:
        planner = epoch_planner(smoke(), SPLIT)
        given = {"views": Memory(VIEWS), "sources": None, "first_epoch": first, "epochs": 3}
        found = training_steps(planner, **given, moves=["jitter"], seed=seed, **parts)
        return np.array([batch["draws"] for batch in found.as_numpy_iterator()])

    whole = draws(0, 5)
    assert whole.shape == (9, *steps()[0]["value"].shape, 3) and whole.dtype == np.float32
    assert whole.min() < -0.8 and whole.max() > 0.8 and np.abs(whole).max() <= 1.0
    np.testing.assert_array_equal(draws(1, 5), whole[3:])  # as if never interrupted
    assert np.abs(draws(0, 6) - whole).max() > 0.1 and np.abs(whole[:3] - whole[3:6]).max() > 0.1
    halves = draws(0, 5, parts=(0, 1), of=2).reshape(whole.shape)
    np.testing.assert_array_equal(halves, whole)
    assert "draws" not in steps()[0]


def test_zooms_are_squares_of_the_source_as_pillow_resizes_them() -> None:
    given = {"views": Memory(VIEWS), "sources": Memory(SOURCES), "first_epoch": 0, "epochs": 3}
    plan = epoch_planner(smoke(), SPLIT)
    moved = [
        list(training_steps(plan, **given, moves=moves, seed=5).as_numpy_iterator())
        for moves in (["zooms"], ["jitter"])  # the same random numbers, seen as they are
    ]
    widths, compared = [], 0
    for number, (zoomed, drawn) in enumerate(zip(*moved, strict=True)):
        assert "source" not in zoomed and zoomed["view"].dtype == np.uint8
        images = plan(number // 3).images[number % 3]
        for place in np.ndindex(*images.shape):
            side, top, left = (drawn["draws"][place].astype(float) + 1) / 2
            width = 24 * (0.3 + 0.7 * side)
            top, left = top * (24 - width), left * (24 - width)
            picture = Image.fromarray(SOURCES[images[place]])
            box = (left, top, left + width, top + width)
            expected = picture.resize((16, 16), Image.Resampling.BILINEAR, box=box)
            found = zoomed["view"][place].astype(int)
            assert np.abs(found - np.asarray(expected).astype(int)).max() <= 1
            widths.append(width)
            compared += 1
    assert compared > 50 and min(widths) < 10 and max(widths) > 22


def test_epochs_are_a_pure_function_of_seed_and_epoch() -> None:
    whole = steps()
    for name in ("view", "source", "attribute", "value"):
        assert all(same(whole, steps(), name))
        assert all(same(whole[3:], steps(1), name))  # as if never interrupted
    assert not all(same(whole[:3], whole[3:6], "source"))  # epochs differ
    assert not all(same(whole, steps(seed=1), "source"))  # and so do seeds
