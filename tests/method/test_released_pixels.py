"""Imported models see the authors' pixels: compared with Pillow, step by step, to a grey level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_model import NAMES, small_model

from asen_apps.search.frozen import CACHE, FrozenModel, open_embedder
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.data import AttributeTable
from asen_tf.data.dataset import Dataset
from asen_tf.embedder import Embedder
from asen_tf.evaluation.retrieval import embed_labelled_pairs
from asen_tf.layers import released_crops, released_view
from asen_tf.models import AsenPlusPlus, fuse
from asen_tf.presets import smoke
from data_prep.writing import write_meta, write_split

# Width and height: tall, wide by an odd number, nearly square, small, a line, square, large.
SIZES = [(300, 640), (801, 334), (225, 227), (60, 41), (9, 200), (224, 224), (1500, 2001)]
VIEW = tf.function(released_view)  # as models run it
CROPS = tf.function(released_crops)


def photograph(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Return noise, in which a shift by one pixel changes everything."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))


def pillow_view(image: Image.Image, side: int) -> np.ndarray:
    width, height = image.size
    if width < height:
        image = image.resize((side, int(side * height / width)), Image.Resampling.BILINEAR)
    else:
        image = image.resize((int(side * width / height), side), Image.Resampling.BILINEAR)
    left, top = (int(round((length - side) / 2.0)) for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)))


def pillow_crop(image: Image.Image, box: list[int], frame: int, side: int) -> np.ndarray:
    top, left, bottom, right = box
    width, height = image.size
    scale = min(width, height)
    x, y, length = (int(edge / frame * scale) for edge in (left, top, right - left))
    x, y = x + max(width - height, 0) // 2, y + max(height - width, 0) // 2
    length = max(length, 1)  # the release has no answer to less than a pixel
    part = image.crop((x, y, x + length, y + length))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))


def within_a_grey_level(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_the_view_is_pillows(size: tuple[int, int]) -> None:
    image = photograph(size)
    found = VIEW(np.asarray(image)[None], 224).numpy()[0]
    within_a_grey_level(found, pillow_view(image, 224))


@pytest.mark.parametrize("size", SIZES)
def test_the_crops_are_pillows(size: tuple[int, int]) -> None:
    images = [photograph(size, seed) for seed in range(2)]
    boxes = [[0, 0, 224, 224], [0, 31, 150, 181], [223, 223, 224, 224], [90, 7, 203, 120]]
    rows = [0, 1, 1, 0]
    stack = np.stack([np.asarray(image) for image in images])
    found = CROPS(stack, np.int32(rows), np.int32(boxes), map_size=224, crop_size=112).numpy()
    for crop, row, box in zip(found, rows, boxes, strict=True):
        within_a_grey_level(crop, pillow_crop(images[row], box, 224, 112))


@pytest.mark.parametrize("short", [41, 333, 448, 501, 640, 999])
def test_every_box_is_truncated_as_python_does(short: int) -> None:
    """A product that rounds to the other side of a whole pixel would shift the crop by one."""
    image = photograph((short, short + 7))
    boxes = [[edge, 223 - edge, edge + 1, 224 - edge] for edge in range(224)]
    boxes += [[0, 0, edge, edge] for edge in range(1, 225)]
    rows = np.zeros(len(boxes), np.int32)
    found = CROPS(np.asarray(image)[None], rows, np.int32(boxes), map_size=224, crop_size=8)
    for crop, box in zip(found.numpy(), boxes, strict=True):
        within_a_grey_level(crop, pillow_crop(image, box, 224, 8))


def test_the_docstrings_numbers() -> None:
    columns = np.arange(251, dtype=np.uint8)[None, :, None] * np.ones((100, 1, 3), np.uint8)
    # Column c of the resized image is the mean of about 2 c and 2 c + 1.
    assert (VIEW(columns[None], 50).numpy()[0, 25, [0, 49], 0] // 2).tolist() == [38, 87]
    pixels = np.zeros((90, 151, 3), np.uint8)
    pixels[11:33, 52:74] = 200
    box = np.int32([[1, 2, 3, 4]])
    crop = CROPS(pixels[None], np.int32([0]), box, map_size=8, crop_size=22)
    assert crop.numpy().min() == 200


# === The whole model ===


@pytest.fixture(scope="module")
def model() -> AsenPlusPlus:
    own = small_model()
    released = AsenPlusPlus.from_config({**own.get_config(), "preprocessing": "release"})
    released.set_weights(own.get_weights())
    return released


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return smooth photographs of several sizes, two of them neighbours of the same one."""
    folder = tmp_path_factory.mktemp("Photos") / "Photos"
    folder.mkdir()
    paths = []
    for number, size in enumerate([(130, 203), (90, 90), (90, 90), (211, 77)]):
        paths.append(folder / f"{number}.png")
        photograph((23, 29), number).resize(size, Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def expected_vector(model: AsenPlusPlus, path: Path, attribute: int) -> tuple[np.ndarray, list]:
    """Run both branches on what Pillow gives them."""
    image, asked = Image.open(path), model.attribute_table(tf.constant([[attribute]]))
    view = pillow_view(image, model.global_size)[None]
    whole = model.global_branch({"image": view, "attribute": asked})
    box = model.region.boxes(whole["attention"][:, 0]).numpy()[0].tolist()
    crop = pillow_crop(image, box, model.global_size, model.settings.local_size)[None]
    zoomed = model.local_branch({"image": crop, "attribute": asked})
    parts = whole["embedding"][0, 0], zoomed["embedding"][0, 0]
    return fuse(*parts, model.settings.fusion_weight).numpy(), box


def test_an_embedder_gives_what_pillows_pixels_give(
    model: AsenPlusPlus, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "model.keras")
    monkeypatch.setenv(CACHE, str(tmp_path / "kept"))
    kept = open_embedder(tmp_path / "model.keras")  # as commands start: a graph that was kept
    assert isinstance(kept.model, FrozenModel)
    found = kept.embed_all(files)
    ours = AsenPlusPlus.from_config({**model.get_config(), "preprocessing": "ours"})
    ours.set_weights(model.get_weights())
    others = Embedder(ours).embed_all(files)
    boxes, errors = set(), []
    for row, path in enumerate(files):
        for attribute in range(len(NAMES)):
            vector, box = expected_vector(model, path, attribute)
            boxes.add(tuple(box))
            errors.append([np.abs(one[row, attribute] - vector).max() for one in (found, others)])
    assert len(boxes) > 3  # not all the whole frame
    error, of_ours = np.max(errors, axis=0)
    assert error < 1e-3 and error < of_ours / 5  # pixels that differ by a grey level


def test_what_it_attends_to_lies_in_the_upright_image(
    model: AsenPlusPlus, files: list[Path]
) -> None:
    shown = Embedder(model).attend(files[0], NAMES[1])
    _, (top, left, bottom, right) = expected_vector(model, files[0], 1)
    share = 130 / model.global_size
    expected = (left * share, 36 + top * share, right * share, 36 + bottom * share)
    np.testing.assert_allclose(shown.region, expected)
    assert shown.crop.shape == (64, 64, 3) and shown.frame == (0, 36, 130, 130)


def test_evaluation_sees_the_same_pixels(model: AsenPlusPlus, files: list[Path]) -> None:
    data, attributes = files[0].parents[1], AttributeTable(NAMES, (2, 2, 2))
    write_meta(data, "Photos", attributes)
    labels = np.array([[row, row % 3, row % 2] for row in range(4)])
    names = [path.name for path in files]
    write_split(data, "Photos", "test", files=names, queries=labels, candidates=labels)
    sizes = {"source_size": 64, "global_size": 32}
    config = ExperimentConfig(dataset="Photos", **sizes, preprocessing="release")
    images = Dataset(data, config).split("test")
    found = embed_labelled_pairs(model, images, batch=8)
    every = Embedder(model).embed_all(files)
    for (row, attribute), vector in zip(found.pairs, found.arrays["fused"], strict=True):
        np.testing.assert_allclose(vector, every[row, attribute], atol=1e-5)
    assert images.views[np.arange(4)].shape == (4, 32, 32, 3)  # for pictures
    assert not list(data.rglob("*.npy"))  # nor kept


def test_what_does_not_go_together_is_refused(model: AsenPlusPlus) -> None:
    for setting in ({"packed": True}, {"fit": "whole_edge"}):
        with pytest.raises(ConfigError, match="needs fit='square' and packed=False"):
            smoke().override(preprocessing="release", **setting)
    with pytest.raises(ValueError, match=r"RGB, \(batch, height, width, 3\), at least one; got"):
        model.embed(np.zeros((1, 8, 9, 4), np.uint8), [0])
