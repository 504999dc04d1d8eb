"""Notebook 07 on your own dataset: from a CSV file and a folder of images to its table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pytest
from notebook_cells import run_here
from PIL import Image

from asen_apps.rerank import check
from asen_study.matrix import settings
from asen_tf.config import ConfigError
from asen_tf.presets import smoke
from data_prep import catalog

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/07_rerank.ipynb"
SETTINGS = {"preset": "smoke", "dataset": "Shop", "starting_weights": "random", "specific": "csn"}
COLOURS = {"Red": (200, 40, 40), "Sea blue": (40, 90, 200), "Moss": (60, 130, 50)}
PATTERNS = ("plain", "striped")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare 200 pictures of plain and striped cloth, named by a table as a shop may have it."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "raw").mkdir()
    rng, lines = np.random.default_rng(0), ["image,Colour,Pattern"]
    for number in range(200):
        colour, pattern = list(COLOURS)[number % 3], PATTERNS[number // 3 % 2]
        pixels = np.clip(COLOURS[colour] + rng.normal(0, 12, (48, 40, 3)), 0, 255)
        if pattern == "striped":
            pixels[::6] = pixels[1::6] = 240
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "raw" / f"{number}.png")
        lines.append(f"{number}.png,{colour},{pattern}")
    (folder / "shop.csv").write_text("\n".join(lines))
    table = folder / "shop.csv"
    catalog.prepare(folder / "raw", folder / "data", table=table, dataset="Shop")
    return folder / "data"


def execute(data: Path, folder: Path, **parameters) -> str:
    places = {"data_dir": str(data), "results_dir": str(folder / "results"), "study": "shop"}
    executed = papermill.execute_notebook(
        NOTEBOOK,
        folder / "out.ipynb",
        parameters={**SETTINGS, **places, "top": 5, "tops": [3, 9], "strips": 1, **parameters},
        cwd=ROOT,
        progress_bar=False,
    )
    outputs = [out for cell in executed.cells for out in cell.get("outputs", [])]
    return "".join(str(out.get("data", out.get("text", ""))) for out in outputs)


def test_on_ones_own_catalogue_it_measures_and_draws_each_attribute(
    data: Path, tmp_path: Path
) -> None:
    output = execute(data, tmp_path, rank=5, blend=0.45)
    place = tmp_path / "results" / "shop"
    table = pd.read_csv(place / "rerank.csv")
    assert set(table["attribute"]) == {"colour", "pattern", "overall", "macro"}
    assert set(table["top"]) == {3, 5, 9} and set(table["k"]) == {1, 5, 10, 20}
    assert set(table[table["top"] == 5]["weight"]) == {*(step / 10 for step in range(11)), 0.45}
    assert set(table[table["top"] != 5]["weight"]) == {0.45}
    assert (table["queries"] > 0).all() and (table["precision_before"] > 0).any()
    origin = json.loads((place / "rerank_provenance.json").read_text())
    assert {run["settings"]["dataset"] for run in origin["runs"]} == {"Shop"}
    for name in ("precision", "changes", "blend", "depth", "colour", "pattern"):
        assert (place / "figures" / f"rerank_{name}.png").stat().st_size > 5_000
    assert "precision@5 before, %" in output and str(place / "rerank.csv") in output


def test_a_number_out_of_range_is_refused_before_training(data: Path, tmp_path: Path) -> None:
    places = {"data_dir": str(data), "results_dir": str(tmp_path / "results"), "study": "shop"}
    for wrong, message in (
        ({"top": 0}, "top must be"),
        ({"tops": [0]}, "tops must be"),
        ({"blend": 1.5}, "blend must lie between 0 and 1; got 1.5"),
        ({"rank": 7}, "rank must be one of .*got 7"),
        ({"strips": 0}, "strips must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_here(NOTEBOOK, {**SETTINGS, **places, **wrong})
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"top": 0}, "top must be whole numbers of 1 or more; got 0"),
        ({"top": 2.5}, "top must be .* got 2.5"),
        ({"tops": [20, 0]}, "tops must be whole numbers of 1 or more; got 0"),
        ({"tops": ["20"]}, "tops must be .* got '20'"),
        ({"strips": 0}, "strips must be whole numbers of 1 or more; got 0"),
        ({"blend": 1.5}, "blend must lie between 0 and 1; got 1.5"),
        ({"blend": float("nan")}, "blend must lie between 0 and 1; got nan"),
        ({"rank": 7}, "rank must be one of \\(1, 5, 10, 20\\), the k of the table; got 7"),
        ({"rank": True}, "rank must be .* got True"),
    ],
)
def test_what_cannot_be_measured_is_known_before_the_data_are_read(
    asked: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(settings("triplet", smoke()), "nowhere", **asked)


def test_what_the_notebook_asks_for_by_default_is_possible(data: Path) -> None:
    config = settings("triplet", smoke().override(dataset="Shop"))
    check(config, data, top=50, tops=[20, 50, 100, 400], blend=1.0, rank=10, strips=2)
    check(config, data, tops=[], blend=0)
