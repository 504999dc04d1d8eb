"""The authors' own FashionAI split files, if you have them.

`FASHIONAI_SPLITS=DIR make test`, with meta.json and FashionAI/ in DIR (or `shared/splits`
beside the project); images are not needed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asen_tf.data import read_split
from data_prep.check import check

BESIDE = Path(__file__).parents[3] / "shared" / "splits"
PLACE = os.environ.get("FASHIONAI_SPLITS", BESIDE if BESIDE.is_dir() else "")
pytestmark = pytest.mark.skipif(not PLACE, reason="FASHIONAI_SPLITS does not name the split files")

# Exact expectations of a random ranking, percent; they are in reference/published_results.csv, too.
RANDOM = {
    "skirt_length": 17.20,
    "sleeve_length": 12.50,
    "coat_length": 13.35,
    "pant_length": 17.45,
    "collar_design": 22.36,
    "lapel_design": 21.62,
    "neckline_design": 11.09,
    "neck_design": 21.20,
    "overall": 15.79,
}


def test_the_check_counts_what_the_authors_released() -> None:
    report = check(Path(PLACE), "FashionAI")
    train, valid, test = (report["splits"][name] for name in ("train", "valid", "test"))
    assert train["labels"] == 144335
    for part in (valid, test):
        assert (part["files"], part["queries"], part["candidates"]) == (18000, 3600, 14400)
    found = {name: round(value, 2) for name, value in test["random_map"].items()}
    assert found == {**RANDOM, "macro": found["macro"]}
    kinds = {problem["kind"] for problem in report["problems"]}
    assert kinds <= {"unreadable file", "missing images"}  # the rows themselves are sound


def test_every_image_has_one_value_of_one_attribute() -> None:
    for name in ("valid", "test"):
        split = read_split(PLACE, "FashionAI", name, missing="ignore")
        assert sorted(split.labels[:, 0].tolist()) == list(range(18000))
        assert split.files[0].startswith("fashionAI_attributes_train")
