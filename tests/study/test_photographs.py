"""The study on photographs, at the smoke preset: folds, untrained rows, fewer labels, no images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import published_photographs
import pytest
from study_process import run_study

from asen_study.matrix import FEATURES
from asen_tf.embedder import Embedder

pytestmark = pytest.mark.studies

ROWS = (*FEATURES, "asen_v2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs")
    published_photographs.draw(path / "raw")
    return path


@pytest.fixture(scope="module")
def place(folder: Path) -> Path:
    done = run_study(folder, f"raw={folder / 'raw'}", profile="photos_smoke")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "results" / "photos_smoke"


def test_without_data_the_study_asks_for_it_in_a_sentence(tmp_path: Path) -> None:
    done = run_study(tmp_path, profile="photos_smoke")
    assert done.returncode != 0
    assert "There is no data for ClothingAttributes-0. Say where the published" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_every_row_has_every_fold_in_the_seeds_place(place: Path) -> None:
    table = pd.read_csv(place / "map.csv")
    assert list(
        table.columns
    ) == "method,embedding,seed,attribute,map,ci_low,ci_high,queries".split(",")
    found = set(zip(table["method"], table["seed"], strict=True))
    assert found == {(row, seed) for row in ("random", *ROWS) for seed in (0, 1)}
    queries = table[table["method"] == "features"].set_index(["seed", "attribute"])["queries"]
    for row in ROWS:  # all methods of a fold are asked the same
        same = table[table["method"] == row].set_index(["seed", "attribute"])["queries"]
        assert same.equals(queries)


def test_differences_are_those_of_the_table(place: Path) -> None:
    table, pairs = pd.read_csv(place / "map.csv"), pd.read_csv(place / "pairs.csv")
    means = table.groupby(["method", "attribute"])["map"].mean()
    assert {("asen_v2", row) for row in FEATURES} < set(
        zip(pairs["method_a"], pairs["method_b"], strict=True)
    )
    for pair in pairs.itertuples():
        gap = means[pair.method_a, pair.attribute] - means[pair.method_b, pair.attribute]
        assert pair.difference == pytest.approx(gap, abs=2e-3), pair
        assert pair.ci_low <= pair.difference + 1e-3 and pair.difference <= pair.ci_high + 1e-3


def test_the_provenance_names_each_folds_data(place: Path) -> None:
    origin = json.loads((place / "provenance.json").read_text())
    assert origin["settings"]["dataset"] == "ClothingAttributes-{seed}"
    folds = {run["seed"]: set() for run in origin["runs"]}
    for one in origin["runs"]:
        assert one["changes"]["dataset"] == f"ClothingAttributes-{one['seed']}"
        folds[one["seed"]].add(one["data_fingerprint"])
    assert [len(data) for data in folds.values()] == [1, 1]
    assert folds[0] != folds[1]
    assert not origin["left_out"]
    note = (place / "map.md").read_text()
    assert "test splits of ClothingAttributes-0, ClothingAttributes-1" in note


def test_what_is_not_trained_has_a_history_of_one_row_and_no_cost(place: Path) -> None:
    history = pd.read_csv(place / "history.csv")
    for row in ("features", "features/whitened"):
        alone = history[history["method"] == row]
        assert list(alone["epoch"]) == [0, 0] and list(alone["images"]) == [0, 0]
        assert alone["val_map"].between(0, 100).all()
    assert len(history[history["method"] == "features/linear"]) == 8
    costs = pd.read_csv(place / "costs.csv").set_index("method")
    assert costs.loc["features", "parameters"] == costs.loc["features/whitened", "parameters"] == 0
    width = 256  # channels of the compact backbone
    assert costs.loc["features/linear", "parameters"] == 10 * 16 * (width + 1)
    assert costs.loc["features", "images_seen"] == 0


def test_a_saved_model_embeds_image_files(place: Path, folder: Path) -> None:
    photograph = folder / "raw" / "images" / "000001.jpg"
    shapes = {}
    for model in sorted(place.glob("features-seed0-*/model.keras")):
        kind = json.loads((model.parent / "config.json").read_text())["feature_map"]
        vectors = Embedder.load(model).embed_all([photograph])
        shapes[kind] = vectors.shape
        same = np.allclose(vectors[0, 0], vectors[0, 1])
        assert same == (kind != "linear")
    assert shapes == {"none": (1, 10, 256), "whitened": (1, 10, 256), "linear": (1, 10, 16)}


def test_fewer_labels_have_a_table_and_a_figure(place: Path) -> None:
    table = pd.read_csv(place / "labels.csv")
    assert set(table["method"]) == {"features", "features/linear", "asen_v2"}
    sizes = table.groupby("method")["train_images"].unique()
    assert list(sizes["features"]) == [0]
    (fewer, everything) = sorted(sizes["asen_v2"])
    assert fewer == 24 < everything and sorted(sizes["features/linear"]) == [24, everything]
    assert table["map"].between(0, 100).all()
    assert (place / "figures" / "labels.png").stat().st_size > 10_000
    fewer = [path.parent.name for path in (place / "labels").glob("*/manifest.json")]
    origin = json.loads((place / "labels_provenance.json").read_text(encoding="utf-8"))
    runs = [run["run"] for run in origin["runs"]]
    assert len(fewer) == 2 and set(fewer) < set(runs)
    assert all((place / run).is_dir() for run in set(runs) - set(fewer))
    assert re.fullmatch("[0-9a-f]{40}(-modified)?|unknown", origin["evaluated_by"])
    assert origin["settings"]["dataset"] == "ClothingAttributes-{seed}"


def test_votes_are_counted_beside_the_majority(place: Path) -> None:
    table = pd.read_csv(place / "tags.csv")
    assert set(table["method"]) == {"features", "asen_v2"} and set(table["seed"]) == {
        "0",
        "1",
        "all",
    }
    percent = ["majority", "every", "coverage"]
    assert table[percent].stack().between(0, 100).all()
    summed = table[table["seed"] == "all"].set_index(["method", "attribute"])["images"]
    parts = table[table["seed"] != "all"].groupby(["method", "attribute"])["images"].sum()
    assert summed.to_dict() == parts.to_dict()
    origin = json.loads((place / "tags_provenance.json").read_text(encoding="utf-8"))
    assert [run["row"] for run in origin["runs"]].count("asen_v2") == 2  # folds
    known = table[(table["attribute"] != "overall") & (table["coverage"] > 0)]
    assert (known["ci_low"] <= known["accuracy"]).all()
    assert (known["accuracy"] <= known["ci_high"]).all()


def test_no_picture_shows_a_photograph(place: Path) -> None:
    drawn = {path.name for path in (place / "figures").iterdir()}
    assert drawn == {"labels.png", "map.png", "training_bands.png", "value_counts.png"}
    assert not list(place.rglob("*.jpg"))


def test_a_second_call_repeats_nothing_and_needs_no_photographs(place: Path, folder: Path) -> None:
    executed = sorted(place.rglob("notebooks/*.ipynb"))
    assert len(executed) == 2 + 8 + 1 + 2 + 1  # folds, runs, tables, fewer images, their table
    nbformat.validate(nbformat.read(executed[0], as_version=4))
    before = [path.stat().st_mtime_ns for path in executed]
    done = run_study(folder, f"raw={folder / 'raw'}", profile="photos_smoke")
    assert done.returncode == 0, done.stdout[-2000:]
    assert [path.stat().st_mtime_ns for path in executed] == before
