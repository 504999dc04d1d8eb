"""A study of three untrained methods, made in seconds, for the tests of the explorer."""

from __future__ import annotations

import json
from pathlib import Path

import keras

from asen_study.matrix import settings
from asen_tf.config import ExperimentConfig
from asen_tf.data import read_meta
from asen_tf.models import build_model
from asen_tf.presets import smoke
from data_prep.synthetic import make_dataset

ROWS = ("triplet", "asen_pp", "asen_pp/true_region")


def make(folder: Path, *, images: int = 240, **changes: object) -> tuple[Path, Path]:
    """Draw data and save models into a folder; return the study's directory and the data's.

    The models have random weights, which is enough: a search is just as exact with them.

    Args:
        folder: where to.
        images: how many to draw.
        **changes: settings of all models that are not those of the preset.
    """
    data, place = folder / "data", folder / "results" / "smoke"
    make_dataset(data, images=images, size=96)
    for number, row in enumerate(ROWS):
        config = settings(row, smoke()).override(**changes)
        keras.utils.set_random_seed(number)
        model = build_model(config, read_meta(data, config.dataset).names)
        run = describe_run(place / f"{config.method}-seed0-{number}", config)
        model.save(run / "model.keras")
    return place, data


def describe_run(run: Path, config: ExperimentConfig) -> Path:
    """Write the files that describe a finished run, with an empty one for its model.

    That is enough to list methods: no model is loaded.
    """
    run.mkdir(parents=True)
    (run / "model.keras").touch()
    manifest = {"code_fingerprint": "c", "data_fingerprint": "d", "created": "2026-01-01"}
    contents = {"config": config.to_dict(), "manifest": manifest, "metrics": {}}
    for name, content in contents.items():
        (run / f"{name}.json").write_text(json.dumps(content))
    return run
