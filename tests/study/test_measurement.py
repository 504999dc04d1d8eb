"""A model from a file gets its table without any training."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from notebook_cells import run_here

from asen_study.measurement import measure, measure_elsewhere
from asen_study.runs import Places, Selection, finished_runs
from asen_tf.config import ConfigError
from asen_tf.data import read_meta, read_split
from asen_tf.embedder import Embedder
from asen_tf.models import ModelFileError, build_model
from asen_tf.presets import preset, smoke
from data_prep.synthetic import make_dataset

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_evaluate.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, a model of 48 px that is no preset's, and its measured run."""
    path = tmp_path_factory.mktemp("measured")
    make_dataset(path / "data", images=120, size=64)
    keras.utils.set_random_seed(1)
    names = read_meta(path / "data", "Garments").names
    build_model(smoke().override(global_size=48), names).save(path / "their model.keras")
    parameters = {"preset": "smoke", "model": str(path / "their model.keras"), "study": "theirs"}
    places = {"data_dir": str(path / "data"), "results_dir": str(path / "results")}
    run_here(NOTEBOOK, {**parameters, **places})
    return path


def measured(folder: Path) -> Path:
    (run,) = (folder / "results" / "theirs").glob("their_model-*")
    return run


def naive_map(folder: Path, embedding: str, attribute: int) -> float:
    """Rank by loops over files, as a user would."""
    embedder = Embedder.load(folder / "their model.keras")
    split = read_split(folder / "data", "Garments", "test")
    name = split.attributes.names[attribute]
    precisions = []
    for query, a, value in split.queries.tolist():
        if a != attribute:
            continue
        asked = embedder.embed(split.path(query), name, embedding=embedding)
        scored = []
        for image, other, held in split.candidates.tolist():
            if other == attribute:
                vector = embedder.embed(split.path(image), name, embedding=embedding)
                scored.append((float(asked @ vector), held == value))
        found, total = 0, 0.0
        for rank, (_, relevant) in enumerate(sorted(scored, reverse=True), start=1):
            if relevant:
                found += 1
                total += found / rank
        precisions.append(total / max(found, 1))
    return 100.0 * sum(precisions) / len(precisions)


@pytest.mark.parametrize("embedding", ["global", "fused"])
def test_the_table_is_what_ranking_its_embeddings_gives(folder: Path, embedding: str) -> None:
    table = pd.read_csv(measured(folder) / "map.csv")
    asked = read_split(folder / "data", "Garments", "test").queries[:, 1].tolist()
    attribute = max(asked, key=asked.count)
    name = read_meta(folder / "data", "Garments").names[attribute]
    assert (measured(folder) / "figures" / "confusions.png").stat().st_size > 5_000
    row = table[(table["embedding"] == embedding) & (table["attribute"] == name)]
    assert row["queries"].item() == asked.count(attribute) > 1
    expected = naive_map(folder, embedding, attribute)
    assert row["map"].item() == pytest.approx(expected, abs=0.01)


def test_models_that_are_told_where_the_part_is_are_not_measured_elsewhere(folder: Path) -> None:
    places = Places(folder / "data", folder / "results", "elsewhere")
    told = SimpleNamespace(config=smoke().override(region="true"))
    assert measure_elsewhere(
        Selection((told,), ("asen_pp/true_region",), {}), "Garments", places
    ).empty
    run = SimpleNamespace(
        path=folder / "fused", config=smoke().override(method="asen_v2", networks=2)
    )
    run.path.mkdir()
    names = read_meta(folder / "data", "Garments").names
    build_model(run.config, names).save(run.path / "model.keras")
    chosen = Selection((told, run), ("asen_pp/true_region", "asen_v2/two_seeds"), {})
    table = measure_elsewhere(chosen, "Garments", places)
    assert set(table["method"]) == {"random", "asen_v2/two_seeds"}


def test_the_run_says_which_file_it_measured_and_how_it_read_the_images(folder: Path) -> None:
    run = measured(folder)
    origin = json.loads((run / "provenance.json").read_text())
    content = (folder / "their model.keras").read_bytes()
    assert origin["model_sha256"] == hashlib.sha256(content).hexdigest()
    assert origin["model_file"] == "their model.keras" and origin["data_fingerprint"]
    settings = json.loads((run / "config.json").read_text())
    assert settings["global_size"] == 48 and settings["method"] == "asen_pp"
    for name in ("metrics.json", "triplets.csv", "localisation.csv", "figures/attention.png"):
        assert (run / name).stat().st_size > 100, name


def test_nothing_was_trained_and_tables_of_trained_runs_leave_it_out(folder: Path) -> None:
    place = folder / "results" / "theirs"
    assert [path.name for path in place.iterdir() if path.name != ".work"] == [
        measured(folder).name
    ]
    assert not (measured(folder) / "history.csv").exists()
    assert finished_runs(place) == []


def test_a_second_call_finds_the_first_ones_numbers_and_another_file_its_own(folder: Path) -> None:
    places = Places(folder / "data", folder / "results", "theirs")
    before = (measured(folder) / "map.csv").stat().st_mtime_ns
    run = measure(folder / "their model.keras", preset("smoke"), places)
    assert run.path == measured(folder)
    assert (run.path / "map.csv").stat().st_mtime_ns == before
    names = read_meta(folder / "data", "Garments").names
    build_model(smoke().override(method="csn"), names).save(folder / "second.keras")
    other = measure(folder / "second.keras", preset("smoke"), replace(places, study="others"))
    assert other.config.method == "csn"
    assert set(other.table("map")["embedding"]) == {"-", "global"}


def test_a_model_of_other_attributes_or_none_is_refused(folder: Path, tmp_path: Path) -> None:
    places = Places(folder / "data", tmp_path / "results")
    build_model(smoke().override(method="csn"), ("hat", "shoe")).save(tmp_path / "hats.keras")
    with pytest.raises(ConfigError, match=r"attributes of Garments.*skirt.*; got hat, shoe"):
        measure(tmp_path / "hats.keras", preset("smoke"), places)
    with pytest.raises(ModelFileError, match="no such model"):
        measure(tmp_path / "absent.keras", preset("smoke"), places)
    assert not (tmp_path / "results").exists()
    assert not np.any([path.suffix == ".csv" for path in tmp_path.rglob("*")])
