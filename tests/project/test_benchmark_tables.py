"""The benchmark tables: the page shows what was measured and which goals were met."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from benchmarks import table
from benchmarks.where_time_goes import OPERATION

PAGE = (table.HERE / "README.md").read_text(encoding="utf-8")


def test_the_page_shows_what_was_measured() -> None:
    assert table.filled(PAGE) == PAGE


def test_a_goal_is_called_met_where_the_ratio_reaches_it() -> None:
    rows = pd.read_csv(table.MEASURED / table.RATIOS, keep_default_na=False)
    faster = rows[rows["goal"].str.fullmatch(r"[\d.]+x.*")]
    assert len(faster) >= 3
    for row in faster.itertuples():
        assert (row.met == "yes") == (float(row.ratio) >= float(row.goal.split("x")[0])), (
            row.question
        )


@pytest.mark.parametrize("stage", [1, 2])
def test_convolutions_are_among_the_operations_that_take_time(stage: int) -> None:
    shares = pd.read_csv(table.MEASURED / table.OPERATIONS).query(f"stage == {stage}")
    assert shares["share"].sum() == pytest.approx(1.0, abs=0.005)
    assert shares["operation"].iloc[0].startswith("Conv2D")
    assert shares["share"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("model/conv/Conv2D:_MklNativeConv2D", "Conv2D"),
        ("gradients/MatMul:_MklMatMul", "MatMul"),
        ("model/relu:Relu", "Relu"),
        ("ThreadpoolListener::Process", None),
        ("EagerExecute", None),
        ("Iterator::Root", None),
    ],
)
def test_operations_are_told_from_other_events(event: str, kind: str | None) -> None:
    found = OPERATION.fullmatch(event)
    assert (found and found["kind"]) == kind


def test_every_benchmark_is_part_of_the_table() -> None:
    questions = "".join(path.read_text(encoding="utf-8") for path in table.HERE.glob("bench_*.py"))
    asked = re.findall(r'notes\.add\(\s*f?"([^"{]+)', questions)
    known = pd.read_csv(table.MEASURED / table.RATIOS)["question"]
    assert len(asked) >= 9
    for question in asked:
        assert known.str.startswith(question).any(), question


def test_the_page_of_the_data_says_what_squares_at_true_parts_give_away() -> None:
    page = " ".join((table.HERE.parent / "docs" / "data.md").read_text(encoding="utf-8").split())
    measured = pd.read_csv(table.MEASURED / "drawn_squares.csv", comment="#")
    rows = {key: rest.set_index("attribute") for key, rest in measured.groupby(["square", "seen"])}
    side, offset = rows["drawn", "side"], rows["drawn", "side and offset"]
    wide = np.maximum(side["ci_high"] - side["over_chance"], side["over_chance"] - side["ci_low"])
    told = f"within {ceiling(side):.1f} points of MAP in every attribute, 95% intervals at most"
    assert f"{told} {math.ceil(10 * wide.max()) / 10:.1f} wide to either side" in page
    boxes = rows["box", "side"]["over_chance"]
    assert f"gave it {boxes.min():.0f} to {boxes.max():.0f} points more than chance" in page
    designs = offset[offset.index.str.endswith("_design")]
    assert f"within {ceiling(designs):.1f} points of chance in the four designs" in page
    lengths = offset.drop(designs.index)
    named = zip(("skirts", "sleeves", "coats", "trousers"), lengths.itertuples(), strict=True)
    for name, row in named:
        low, high = f"{row.ci_low:.1f}", f"{row.ci_high:.1f}"
        assert f"{name} (+{row.over_chance:.1f}, {low} to {high}" in page, name
    skirts = rows["box", "side and offset"]["over_chance"]["skirt_length"]
    assert f"with boxes as they are, +{skirts:.1f})" in page


def ceiling(rows: pd.DataFrame) -> float:
    """Return the tenth of a point within which all of them are."""
    return math.ceil(10 * rows["over_chance"].abs().max()) / 10
