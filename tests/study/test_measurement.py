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
from naive_regions import naive_map
from notebook_cells import run_here

from asen_study.figures.attention import attention_side_by_side
from asen_study.figures.gallery import Gallery
from asen_study.measurement import measure, measure_elsewhere
from asen_study.runs import Places, Run, Selection, finished_runs
from asen_tf.config import ConfigError
from asen_tf.data import read_meta, read_split
from asen_tf.embedder import Embedder
from asen_tf.models import ModelFileError, build_model
from asen_tf.presets import preset, smoke
from data_prep.synthetic import make_dataset

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_evaluate.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, a model that is no preset's, and its measured run.

    It sees 48 px and reads its maps where the cells see. Test images have a box of every part: a
    stripe, as wide as a cell, whose edges lie between where one and the other reading sees cells.
    """
    path = tmp_path_factory.mktemp("measured")
    make_dataset(path / "data", images=120, size=64)
    rng, lines = np.random.default_rng(0), ["index,attribute,left,top,right,bottom"]
    for pair in np.ndindex(12, 8):
        box, axis, edge = [0, 0, 48, 48], rng.integers(2), 8 * rng.integers(5) + 2
        box[axis], box[axis + 2] = edge, edge + 8
        lines.append(",".join(map(str, [*pair, *(64 * px / 48 for px in box)])))
    (path / "data" / "Garments" / "regions_test.csv").write_text("\n".join(lines))
    keras.utils.set_random_seed(1)
    names = read_meta(path / "data", "Garments").names
    config = smoke().override(global_size=48, map_reading="cells")
    build_model(config, names).save(path / "their model.keras")
    parameters = {"preset": "smoke", "model": str(path / "their model.keras"), "study": "theirs"}
    places = {"data_dir": str(path / "data"), "results_dir": str(path / "results")}
    run_here(NOTEBOOK, {**parameters, **places})
    return path


def measured(folder: Path) -> Path:
    (run,) = (folder / "results" / "theirs").glob("their_model-*")
    return run


def naive_score(folder: Path, embedding: str, attribute: int) -> float:
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
    expected = naive_score(folder, embedding, attribute)
    assert row["map"].item() == pytest.approx(expected, abs=0.01)


def highest(heat: np.ndarray, first: float) -> tuple[float, float]:
    """Return the place (x, y) of a map's highest cell, in shares of the 48 px that it covers.

    There are 6 x 6 cells, 8 px apart; the centre of the first is `first` px from the edges.
    """
    row, column = max(np.ndindex(6, 6), key=lambda cell: heat[cell])
    return (first + 8 * column) / 48, (first + 8 * row) / 48


def test_pointing_is_measured_where_the_cells_of_its_maps_see(folder: Path) -> None:
    table = pd.read_csv(measured(folder) / "localisation.csv").set_index("attribute")["pointing"]
    boxes = pd.read_csv(folder / "data" / "Garments" / "regions_test.csv")
    edges = boxes.set_index(["index", "attribute"]).to_dict("index")
    names = read_meta(folder / "data", "Garments").names
    with np.load(measured(folder) / "test_pairs.npz") as kept:
        pairs, maps = kept["pairs"].tolist(), kept["attention"]

    def pointing(first: float) -> dict[str, float]:
        hits: dict[str, list[bool]] = {"overall": []}
        for pair, heat in zip(pairs, maps, strict=True):
            box, (x, y) = edges[tuple(pair)], highest(heat, first)
            inside = box["left"] <= 64 * x < box["right"] and box["top"] <= 64 * y < box["bottom"]
            for name in (names[pair[1]], "overall"):
                hits.setdefault(name, []).append(inside)
        return {name: 100.0 * sum(found) / len(found) for name, found in hits.items()}

    expected = pointing(0.5)  # the first cell is around pixel 0
    assert table.to_dict() == pytest.approx(expected) and 0 < expected["overall"] < 100
    assert table.to_dict() != pytest.approx(pointing(4.0))  # as if cells filled the frame


def test_its_examples_are_drawn_where_the_cells_of_its_maps_see(folder: Path) -> None:
    places = Places(folder / "data", folder / "results", "theirs")
    gallery = Gallery(measure(folder / "their model.keras", preset("smoke"), places), places)
    for attribute, (example, *_) in gallery.attentions(count=1).items():
        figure = attention_side_by_side({"asen_pp": {attribute: example}})
        _, drawn, _ = figure.axes
        heat, side = example.attention, len(example.image)
        assert side == 64 and heat.shape == (6, 6)
        expected = [64 * share for share in highest(heat, 0.5)]
        assert drawn.lines[0].get_xydata()[0].tolist() == pytest.approx(expected)
        laid = naive_map(heat, side, (-3.5 / 48, 44.5 / 48))
        shown = np.asarray(drawn.images[1].get_array())
        np.testing.assert_allclose(shown, laid, atol=1e-3 * np.ptp(heat))
        assert np.abs(laid - naive_map(heat, side)).max() > 0.05 * np.ptp(heat)


def test_models_that_are_told_where_the_part_is_are_not_measured_elsewhere(folder: Path) -> None:
    places = Places(folder / "data", folder / "results", "elsewhere")
    told = SimpleNamespace(config=smoke().override(region="true"))
    assert measure_elsewhere(
        Selection((told,), ("asen_pp/true_region",), {}), "Garments", places
    ).empty
    config = smoke().override(method="asen_v2", networks=2)
    run = Run(folder / "fused", {"config.json": config.to_dict()})
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
    assert settings["map_reading"] == "cells"
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
