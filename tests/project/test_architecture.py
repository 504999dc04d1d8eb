"""ARCHITECTURE.md: its path of one image is the one that the code takes; its files exist."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest
import tensorflow as tf

from asen_tf.data import read_meta
from asen_tf.data.dataset import Dataset
from asen_tf.evaluation.metrics import summarise
from asen_tf.evaluation.retrieval import embed_labelled_pairs, query_metrics
from asen_tf.models import build_model
from asen_tf.presets import smoke
from data_prep.synthetic import make_dataset

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MOST = 16  # files that a reader opens to follow one image


def way() -> set[str]:
    """Return the files that the table lists."""
    table = TEXT.split("## The path of one image")[1].split("\n## ")[0]
    listed = set()
    for row in (line for line in table.splitlines() if line.startswith("|")):
        folder = Path()
        for name in re.findall(r"`([\w/]+\.py)`", row):
            folder = Path(name).parent if "/" in name else folder
            listed.add((folder / Path(name).name).as_posix())
    return listed


def test_the_way_of_an_image_is_short_and_there() -> None:
    assert 10 < len(way()) <= MOST
    assert not [name for name in way() if not (ROOT / name).is_file()]


def test_these_files_and_no_others_run_from_file_to_map(tmp_path: Path) -> None:
    make_dataset(tmp_path, images=80, size=48, dataset="Garments")
    lite = "efficientnet_lite0"
    config = smoke().override(
        starting_weights="random", global_backbone=lite, local_backbone=lite, cache_images=False
    )
    names = read_meta(tmp_path, "Garments").names
    model = build_model(config, names)
    ran: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        ran.add(frame.f_code.co_filename)

    tf.config.run_functions_eagerly(True)  # a traced function runs from a file of its own
    sys.setprofile(note)
    threading.setprofile(note)  # images are decoded in threads
    try:
        dataset = Dataset(tmp_path, config)
        test = dataset.split("test")
        embedded = embed_labelled_pairs(model, test, batch=8)
        found = summarise(query_metrics(embedded, test.split, "fused")["average_precision"])
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        tf.config.run_functions_eagerly(False)
    assert 0 < found["overall"] < 1
    floors = ("asen_tf", "asen_study", "asen_apps")
    inside = {
        Path(name).relative_to(ROOT).as_posix()
        for name in ran
        if name.startswith(str(ROOT)) and Path(name).relative_to(ROOT).parts[0] in floors
    }
    # Every file may ask `files` to note on an error what was being done.
    aside = {name for name in inside if name.endswith("__init__.py")} | {"asen_tf/files.py"}
    assert inside - aside == way()


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:asen_|data_prep|tests)[\w/]*\.py)`", TEXT)))
)
def test_every_file_that_is_named_is_there(name: str) -> None:
    assert (ROOT / name).is_file()
