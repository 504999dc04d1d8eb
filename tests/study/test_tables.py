"""Tables for readers: means and intervals by hand, layout, and where the numbers come from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from asen_study.runs import Run, Selection
from asen_study.tables import localisation_table, triplet_table
from asen_study.tables.text import cells, source_note, summarise, to_latex, to_markdown
from asen_tf.presets import quick

COLUMNS = ["method", "embedding", "seed", "attribute", "map", "ci_low", "ci_high", "queries"]


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


ONE_SEED = table(
    ("random", "-", 0, "neck_design", 20.0, 20.0, 20.0, 5),
    ("asen_pp", "global", 0, "neck_design", 50.123, 40.04, 60.06, 5),
    ("asen_pp", "fused", 0, "neck_design", 55.0, 45.0, 65.0, 5),
)
THREE_SEEDS = table(
    *(("asen_pp", "fused", k, "overall", m, 0, 9, 5) for k, m in enumerate((1, 2, 6)))
)


def test_one_seed_keeps_its_interval_over_queries() -> None:
    row = summarise(ONE_SEED).set_index("series").loc["ASEN++ global"]
    assert (row["map"], row["low"], row["high"], row["seeds"]) == (50.123, 40.04, 60.06, 1)


def test_several_seeds_give_mean_and_sample_deviation() -> None:
    (row,) = summarise(THREE_SEEDS).itertuples()
    deviation = 7**0.5  # of 1, 2, 6: squares 4, 1, 9 of the distances to 3, over 2
    assert row.map == 3.0 and row.seeds == 3
    assert (row.low, row.high) == pytest.approx((3 - deviation, 3 + deviation))


def test_cells_are_texts_in_the_order_of_the_table() -> None:
    laid_out = cells(summarise(ONE_SEED))
    assert list(laid_out.index) == ["Random", "ASEN++ global", "ASEN++ fused"]
    assert list(laid_out.columns) == ["neck design"]
    expected = ["20.0", "50.1 (40.0 to 60.1)", "55.0 (45.0 to 65.0)"]
    assert list(laid_out["neck design"]) == expected
    assert cells(summarise(THREE_SEEDS)).iloc[0, 0] == "3.0 ± 2.6"


def test_costs_stand_beside_their_method_and_embedding() -> None:
    costs = pd.DataFrame(
        [("asen_pp", "fused", 1234567, 2.34, 72000), ("asen_pp", "global", 500, 1.0, 72000)],
        columns=["method", "embedding", "parameters", "ms_per_image", "images_seen"],
    )
    laid_out = cells(summarise(ONE_SEED), costs)
    assert list(laid_out.loc["ASEN++ fused"])[1:] == ["1,234,567", "2.3", "72,000"]
    assert list(laid_out.loc["ASEN++ global"])[1:] == ["500", "1.0", "72,000"]
    assert list(laid_out.loc["Random"])[1:] == ["-", "-", "-"]


def test_a_method_with_one_embedding_goes_by_its_name_alone() -> None:
    assert list(summarise(THREE_SEEDS)["series"]) == ["ASEN++"]
    other = THREE_SEEDS.assign(method="triplet")
    assert list(summarise(other)["series"]) == ["Triplet network"]


def test_markdown_has_a_row_per_method() -> None:
    lines = to_markdown(cells(summarise(ONE_SEED))).splitlines()
    assert lines[0] == "| method | neck design |"
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == "| Random | 20.0 |" and len(lines) == 5


def test_latex_is_for_booktabs_and_carries_the_note() -> None:
    text = to_latex(cells(summarise(ONE_SEED)), "first\nsecond")
    assert text.startswith("% first\n% second\n\\begin{tabular}{lr}")
    assert all(rule in text for rule in ("\\toprule", "\\midrule", "\\bottomrule"))


@pytest.mark.parametrize("modified", ["", "-modified"])
def test_the_note_shows_whether_files_differed_from_the_commit(modified: str) -> None:
    manifest = {
        "packages": {"numpy": "1.26.4"},
        "python": "3.11.7",
        "commit": "0123456789abcdef0123456789abcdef01234567" + modified,
        "code_fingerprint": "c" * 16,
        "data_fingerprint": "d" * 64,
    }
    contents = {"config.json": {"seed": 4}, "manifest.json": manifest}
    run = Run(Path("results/x/asen_pp-seed4-1"), contents)
    note = source_note(Selection((run,), ("asen_pp",), {}), quick())
    assert f"commit 0123456789{modified};" in note
    assert "1 runs, seeds 4;" in note and "numpy 1.26.4" in note and "c" * 16 in note
    assert "test split of Garments;" in note and "deviation over seeds." in note
    folds = [
        Run(Path(f"results/x/asen_pp-seed{fold}-1"), {**contents, "config.json": settings})
        for fold in (0, 1)
        for settings in [{"seed": fold, "dataset": f"Shop-{fold}"}]
    ]
    study = quick().override(dataset="Shop-{seed}")
    for runs, said in ((folds, "splits of Shop-0, Shop-1;"), (folds[:1], "split of Shop-0;")):
        note = source_note(Selection(tuple(runs), ("asen_pp",) * len(runs), {}), study)
        assert said in note and "deviation over folds." in note and "runs, folds 0" in note


def test_triplet_accuracies_are_averaged_over_seeds_by_hand() -> None:
    rows = [
        ("csn", "global", seed, name, value, value - 1.25, value + 1.5)
        for seed, (neck, overall) in enumerate([(70.0, 60.0), (74.0, 62.0)])
        for name, value in (("neck_design", neck), ("overall", overall))
    ]
    columns = ["method", "embedding", "seed", "attribute", "accuracy", "ci_low", "ci_high"]
    laid_out = triplet_table(pd.DataFrame(rows, columns=columns))
    assert list(laid_out.columns) == ["neck design", "overall"]
    assert laid_out.loc["CSN"].tolist() == ["72.0 ± 2.8", "61.0 ± 1.4"]
    alone = triplet_table(pd.DataFrame(rows[:2], columns=columns))
    assert alone.loc["CSN"].tolist() == ["70.0 (68.8 to 71.5)", "60.0 (58.8 to 61.5)"]


def test_localisation_is_averaged_over_seeds_in_the_order_of_the_rows() -> None:
    rows = [
        ("asen_v2", 0, "overall", 40.0, 20.0, 50.0, 30.0),
        ("asen_v2", 0, "neck_design", 90.0, 90.0, 90.0, 90.0),
        ("asen", 0, "overall", 10.0, 10.0, 50.0, 20.0),
        ("asen_v2", 1, "overall", 50.0, 22.0, 50.0, 34.0),
    ]
    columns = "method,seed,attribute,pointing,iou,centre_pointing,centre_iou".split(",")
    laid_out = localisation_table(pd.DataFrame(rows, columns=columns))
    assert laid_out.index.tolist() == ["asen_v2", "asen"]
    assert laid_out.loc["asen_v2"].tolist() == [45.0, 21.0, 50.0, 32.0]
