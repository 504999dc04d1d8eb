"""A catalogue: from photographs on the disk to vectors of all attributes, and loading the model.

The model is the size of one that was trained on photographs: EfficientNet-Lite0 at 224 px, ten
attributes, from sources of 400 px.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asen_study.starts import load_starting_weights
from asen_tf.data import load_image
from asen_tf.embedder import Embedder
from asen_tf.models import build_model
from asen_tf.presets import paper

ATTRIBUTES = tuple(f"attribute_{index}" for index in range(10))
PHOTOGRAPHS, WIDTH, HEIGHT = 96, 870, 1150  # px: 1 MP, about 290 kB each
BATCH = 8
BACKBONE = "efficientnet_lite0"
SETTINGS = {
    "global_backbone": BACKBONE,
    "global_size": 224,
    "source_size": 400,
    "local_backbone": BACKBONE,
    "local_size": 128,
    "starting_weights": "imagenet",
}


def saved(folder: Path, method: str) -> Path:
    """Save a model of the method with ImageNet weights; its cost does not depend on training."""
    config = paper().override(method=method, **SETTINGS)
    model = build_model(config, ATTRIBUTES)
    load_starting_weights(model, config, None)
    model.save(folder / f"{method}.keras")
    return folder / f"{method}.keras"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for models."""
    return tmp_path_factory.mktemp("catalogue")


@pytest.fixture(scope="module")
def single(folder: Path) -> Path:
    """Return the file of a model of one branch."""
    return saved(folder, "asen_v2")


@pytest.fixture(scope="module")
def double(folder: Path) -> Path:
    """Return the file of a model of two branches."""
    return saved(folder, "asen_pp")


@pytest.fixture(scope="module")
def photographs(folder: Path) -> list[Path]:
    """Write JPEG files that are as hard to decode as photographs: smooth, with grain."""
    rng = np.random.default_rng(0)
    for number in range(PHOTOGRAPHS):
        rough = Image.fromarray(rng.integers(0, 256, (24, 18, 3), np.uint8))
        smooth = np.asarray(rough.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        grain = rng.integers(-12, 13, smooth.shape, np.int16)
        pixels = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
    return [folder / f"{number}.jpg" for number in range(PHOTOGRAPHS)]


def in_turn(embedder: Embedder, paths: list[Path], embedding: str) -> np.ndarray:
    """Decode a batch, then run the network on it, then decode the next one."""
    parts = []
    for first in range(0, len(paths), BATCH):
        batch = paths[first : first + BATCH]
        images = np.stack([load_image(path, embedder.model.source_size) for path in batch])
        parts.append(embedder.model.embed_all(images, embedding=embedding))
    vectors = np.concatenate(parts)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_one_photograph(paired: Any, notes: Any, single: Path, photographs: list[Path]) -> None:
    """One file to vectors of all attributes, against one attribute after the other."""
    embedder, path = Embedder.load(single), photographs[0]

    def one_by_one() -> list[np.ndarray]:
        return [embedder.embed(path, attribute) for attribute in ATTRIBUTES]

    np.testing.assert_allclose(embedder.embed_all([path])[0], one_by_one(), atol=1e-5)
    ours, theirs = paired(lambda: embedder.embed_all([path]), one_by_one, rounds=9, warmup=2)
    notes.add(
        "One photograph of 1 MP to vectors of ten attributes, EfficientNet-Lite0 at 224 px, "
        "against once per attribute",
        ours=f"{1000 * ours:.0f} ms",
        against=f"{1000 * theirs:.0f} ms",
        ratio=theirs / ours,
        goal="60 ms",
        met=ours <= 0.060,
    )


def test_loading(paired: Any, notes: Any, single: Path) -> None:
    """A saved model from its file to the first vectors, against loading alone."""
    pixels = np.zeros((1, 400, 400, 3), np.uint8)
    loading, first = paired(
        lambda: Embedder.load(single),
        lambda: Embedder.load(single).model.embed_all(pixels),
        rounds=3,
    )
    size = single.stat().st_size / 1e6
    notes.add(
        "Loading a saved model of EfficientNet-Lite0 with ten attributes, against loading it and "
        "embedding a first image",
        ours=f"{loading:.1f} s, a file of {size:.0f} MB",
        against=f"{first:.1f} s",
        ratio=first / loading,
        goal="5 s, 60 MB",
        met=loading <= 5 and size <= 60,
    )


def rates(
    paired: Callable[..., tuple[float, float]], ours: Callable[[], Any], against: Callable[[], Any]
) -> tuple[float, float]:
    """Return the photographs per second of both ways."""
    spent = paired(ours, against, rounds=3)
    return PHOTOGRAPHS / spent[0], PHOTOGRAPHS / spent[1]


def test_a_catalogue(paired: Any, notes: Any, single: Path, photographs: list[Path]) -> None:
    """Decoding while the network runs, against one after the other."""
    embedder = Embedder.load(single)
    few = photographs[: BATCH + 3]
    found, expected = embedder.embed_all(few), in_turn(embedder, few, "global")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    ours, theirs = rates(
        paired,
        lambda: embedder.embed_all(photographs),
        lambda: in_turn(embedder, photographs, "global"),
    )
    notes.add(
        "A catalogue of JPEG files of 1 MP to vectors of ten attributes, decoding included, "
        "EfficientNet-Lite0 at 224 px, against decoding and network in turn",
        ours=f"{ours:.1f} images/s",
        against=f"{theirs:.1f} images/s",
        ratio=ours / theirs,
        goal="25 images/s",
        met=ours >= 25,
    )


def test_a_catalogue_fused(paired: Any, notes: Any, double: Path, photographs: list[Path]) -> None:
    """What the local branch costs, which runs once per attribute."""
    embedder = Embedder.load(double)
    fused, whole = rates(
        paired,
        lambda: embedder.embed_all(photographs, embedding="fused"),
        lambda: embedder.embed_all(photographs, embedding="global"),
    )
    notes.add(
        "The same catalogue with ASEN++, the local branch at 128 px: fused embeddings against "
        "global ones of the same model",
        ours=f"{fused:.1f} images/s",
        against=f"{whole:.1f} images/s",
        ratio=fused / whole,
    )
