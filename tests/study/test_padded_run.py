"""A run on tall images that are padded: it trains, and its pictures and measures follow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from asen_study import experiment
from asen_study.figures.gallery import Gallery
from asen_study.matrix import settings
from asen_study.measurement import settings_of
from asen_study.runs import Places, Run
from asen_tf.data import load_image, read_regions
from asen_tf.presets import smoke
from data_prep.synthetic import make_dataset

CONFIG = settings("asen_v2", smoke()).override(fit="whole_mean")
SIZE, TALL = 96, 144  # px, the images' width, and their height once they are longer


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    path = tmp_path_factory.mktemp("padded")
    make_dataset(path / "data", images=160, size=SIZE)
    for image in (path / "data" / "Garments" / "images").rglob("*.*"):
        with Image.open(image) as opened:
            longer = Image.new("RGB", (SIZE, TALL), "white")
            longer.paste(opened)  # above: true boxes stay where they are
        longer.save(image)
    return Places(path / "data", path / "results")


@pytest.fixture(scope="module")
def run(places: Places) -> Run:
    return experiment.run(CONFIG, places)


def test_the_run_and_its_model_know_their_fit(run: Run) -> None:
    model = run.load_model()
    assert run.config.fit == model.settings.fit == "whole_mean"
    assert settings_of(model, smoke()).fit == "whole_mean"
    assert run.table("map")["map"].between(0, 100).all()
    assert run.table("localisation")["pointing"].between(0, 100).all()


def test_examples_are_drawn_on_the_padded_image(run: Run, places: Places) -> None:
    gallery = Gallery(run, places)
    truths = read_regions(places.data_dir, "Garments", "test")
    split, side = gallery.split, CONFIG.source_size
    squares = [load_image(split.path(n), side, fit="whole_mean") for n in range(len(split.files))]
    for number, name in enumerate(split.attributes.names):
        if name not in gallery.attributes:
            continue
        for example in gallery.attention(name):
            (image,) = [n for n, square in enumerate(squares) if (square == example.image).all()]
            left, top, right, bottom = truths[image, number]
            # Of 64 px in 144, 96 become 43 after a margin of 10.
            across = [(10 + edge * 43 / SIZE) / 64 for edge in (left, right)]
            expected = (across[0], top / TALL, across[1], bottom / TALL)
            assert example.truth == pytest.approx(np.clip(expected, 0, 1).tolist())


def test_a_backbone_pretrained_on_another_fit_is_another_one(run: Run, places: Places) -> None:
    study = run.path.parent
    assert len(list(study.glob("backbone-*"))) == 1
    experiment.pretrain(CONFIG, places)
    assert len(list(study.glob("backbone-*"))) == 1
    experiment.pretrain(CONFIG.override(fit="square"), places)
    assert len(list(study.glob("backbone-*"))) == 2
