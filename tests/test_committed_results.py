"""The reference results that git keeps: complete, with their origin, and quoted rightly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from asen_tf.presets import quick
from data_prep.garments.values import ATTRIBUTES

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "results" / "quick"
MAP_COLUMNS = "method,embedding,seed,attribute,map,ci_low,ci_high,queries".split(",")
PLACE_COLUMNS = "method,seed,attribute,pointing,iou,centre_pointing,centre_iou".split(",")
ALL = [*ATTRIBUTES, "overall", "macro"]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return pd.read_csv(PLACE / "map.csv")


def test_the_table_has_every_embedding_and_attribute(scores: pd.DataFrame) -> None:
    assert list(scores.columns) == MAP_COLUMNS
    rows = {key: list(group["attribute"]) for key, group in scores.groupby(["method", "embedding"])}
    assert set(rows) >= {("random", "-"), *(("asen_pp", e) for e in ("global", "local", "fused"))}
    assert all(sorted(attributes) == sorted(ALL) for attributes in rows.values())
    assert scores["map"].between(0, 100).all()


def test_macro_and_overall_follow_from_the_attributes(scores: pd.DataFrame) -> None:
    for _, group in scores.groupby(["method", "embedding", "seed"]):
        by_name = group.set_index("attribute")
        parts = by_name.loc[list(ATTRIBUTES)]
        weighted = (parts["map"] * parts["queries"]).sum() / parts["queries"].sum()
        assert by_name.loc["overall", "map"] == pytest.approx(weighted, abs=1e-3)
        assert by_name.loc["macro", "map"] == pytest.approx(parts["map"].mean(), abs=1e-3)


@pytest.mark.parametrize("embedding", ["global", "fused"])
def test_every_attribute_is_learned(scores: pd.DataFrame, embedding: str) -> None:
    chance = scores[scores["method"] == "random"].set_index("attribute")["map"]
    learned = scores[scores["embedding"] == embedding].set_index("attribute")
    for attribute in ATTRIBUTES:
        assert learned.loc[attribute, "ci_low"] > chance[attribute] + 2.0, attribute
        assert learned.loc[attribute, "map"] > 1.3 * chance[attribute], attribute


def test_localisation_has_a_row_per_attribute_beside_its_baseline() -> None:
    table = pd.read_csv(PLACE / "localisation.csv")
    assert list(table.columns) == PLACE_COLUMNS
    assert set(table["attribute"]) == {*ATTRIBUTES, "overall"}
    assert table[PLACE_COLUMNS[3:]].stack().between(0, 100).all()


def test_the_provenance_names_run_code_data_versions_and_settings() -> None:
    (run,) = json.loads((PLACE / "provenance.json").read_text())["runs"]
    expected, settings = quick().to_dict(), run["settings"]
    assert {name: settings[name] for name in settings if name in expected} == {
        name: expected[name] for name in settings if name in expected
    }
    assert re.fullmatch(r"[0-9a-f]{40}", run["commit"]), "made from files that are not committed"
    assert re.fullmatch(r"[0-9a-f]{16}", run["code_fingerprint"])
    assert {"tensorflow", "keras", "numpy"} <= set(run["packages"])
    assert run["wall_seconds"] > 0 and run["peak_memory_mib"] > 0


def test_the_readme_quotes_the_table(scores: pd.DataFrame) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    quoted = {cells[0]: cells[1:] for cells in lines if cells and cells[0].replace(" ", "_") in ALL}
    assert len(quoted) == len(ALL)
    for name, cells in quoted.items():
        here = scores[scores["attribute"] == name.replace(" ", "_")].set_index("embedding")["map"]
        expected = [here[embedding] for embedding in ("-", "global", "local", "fused")]
        assert [float(cell.strip("*")) for cell in cells] == pytest.approx(expected, abs=0.0501)


def test_every_picture_of_the_readme_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
    assert pictures
    for description, path in pictures:
        assert len(description) > 20 and (ROOT / path).stat().st_size > 10_000
