"""Old imports: each names the new place, which exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asen_tf.compatibility import MOVED

ROOT = Path(__file__).parents[2]

# Every module of version 0.1 before its packages were divided, by package.
OLD = {
    "asen_tf": (
        "__main__ activity annotations backbones branches cells checkpoints comparison "
        "compatibility config data embedder evaluation evidence experiment explorer figures "
        "files intervals layers losses matrix measurement metric_losses models notebook "
        "overlays pipeline presets production provenance ranking report reranking results "
        "retrieval starts studies tables training tuning weights"
    ),
    "asen_tf.annotations": (
        "chance fingerprint images integers json_files listed names parsing problems reading "
        "records regions writing"
    ),
    "asen_tf.backbones": "build errors residual torchvision",
    "asen_tf.branches": "attentive relatives",
    "asen_tf.config": "rules settings",
    "asen_tf.data": (
        "augmentation dataset images listed packing pipeline regions sampling shards sources"
    ),
    "asen_tf.evaluation": (
        "attention embedding fusion localisation report retrieval several_values triplets"
    ),
    "asen_tf.evidence": (
        "background catalogue designs errors examining histograms numbers origin page pictures "
        "records sheet statements tails wishes"
    ),
    "asen_tf.explorer": (
        "__main__ answers app attribute_rows catalogue errors explorer indexes limits looks "
        "methods page palette pictures pool quiet rendering server show thumbnails uploads "
        "worker"
    ),
    "asen_tf.figures": (
        "before_after curves differences examples gallery groups methods reranking scores "
        "side_by_side spaces style sweeps tuning"
    ),
    "asen_tf.layers": (
        "average_attention channel_attention conditional_mask global_view image_normalisation "
        "position_gate product_attention region_crops region_of_interest spatial_attention"
    ),
    "asen_tf.models": "asen asen_pp base build classifier fusion pairs relatives saved",
    "asen_tf.ranking": "chance metrics retrieval several_values summary",
    "asen_tf.reranking": "checks measures runs shortlists tables text writing",
    "asen_tf.retrieval": (
        "addresses backends choosing errors faiss_backend faiss_indexes filters fingerprint "
        "hits index item_files items lazy_vectors leftovers manifest milvus_backend "
        "milvus_collection queries scoring searching stored vector_checks versions weighting"
    ),
    "asen_tf.tables": "collecting costs pairs published remeasuring settings text writing",
    "asen_tf.training": (
        "failures objective optimizers phases pretraining replicas similarity stage state "
        "trainer workers"
    ),
    "asen_tf.tuning": (
        "__main__ durable failures importance locked oracles processes progress search "
        "side_by_side space taking_part testing trials tuner"
    ),
    "asen_tf.weights": "__main__ loading names",
}


@pytest.mark.parametrize(
    "old", [f"{package}.{name}" for package, names in OLD.items() for name in names.split()]
)
def test_every_old_module_is_there_or_says_where_it_is_now(old: str) -> None:
    try:
        found = importlib.util.find_spec(old)
    except ImportError as error:
        place = re.search(r"has moved: import (\S+) ", str(error))
        found = place and importlib.util.find_spec(place[1])
    assert found


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_says_where_it_is_now(old: str) -> None:
    with pytest.raises(ImportError, match=rf"asen_tf\.{old} has moved: import {MOVED[old]} "):
        importlib.import_module(f"asen_tf.{old}")
    assert importlib.util.find_spec(MOVED[old]) is not None


@pytest.mark.parametrize(
    "code",
    [
        "from asen_tf import experiment",
        "import asen_tf.explorer.server",
        "from asen_tf.retrieval import AttributeIndex",
        "from asen_tf.config import rules",
    ],
)
def test_every_way_to_import_says_so(code: str) -> None:
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "has moved: import asen_" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [  # of packages that load TensorFlow: not in processes of their own
        "from asen_tf.training import replicas",
        "from asen_tf.training import OutOfMemoryError",
        "from asen_tf.models import load_starting_weights",
    ],
)
def test_so_does_an_import_from_a_package_that_is_still_there(code: str) -> None:
    with pytest.raises(ImportError, match="has moved: import asen_"):
        exec(code, {})


def test_an_old_command_says_so() -> None:
    command = [sys.executable, "-m", "asen_tf.tuning"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode != 0 and "import asen_study.tuning" in ran.stderr


def test_the_old_command_of_weights_says_the_new_one_and_works(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asen_tf.weights", "x.pth.tar", tmp_path / "x.keras"]
    command += ["--data", tmp_path]  # which has no meta.json
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = ran.stderr.splitlines()  # some of it is TensorFlow's
    assert "`python -m asen_tf.weights` is now called `asen weights`" in said
    assert ran.returncode == 2 and said[-1].startswith(f"{tmp_path / 'meta.json'}: ")


def test_a_name_that_never_was_is_just_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match="asen_tf.nothing"):
        importlib.import_module("asen_tf.nothing")
