"""Tables on disk: every epoch of the runs that count, and the published rows on their own page."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from asen_study.matrix import settings
from asen_study.records import pack
from asen_study.tables import collect, write, write_published
from asen_tf.presets import smoke
from data_prep.archives import unpack

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "reference" / "published_results.csv"
MAP = "method,embedding,seed,attribute,map,ci_low,ci_high,queries"
MANIFEST = {
    "code_fingerprint": "c" * 16,
    "data_fingerprint": "d" * 64,
    "created": "2026-01-01T00:00:00+00:00",
    "commit": "0" * 40,
    "python": "3.11.7",
    "packages": {"numpy": "1.26.4"},
}


def finished(study: Path, row: str, seed: int, history: str, **manifest) -> None:
    """Write what the tables read of a finished run of the smoke preset."""
    config = settings(row, smoke()).override(seed=seed)
    run = study / f"{row}-seed{seed}-{len(list(study.glob('*')))}"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(config.to_dict()))
    (run / "manifest.json").write_text(json.dumps({**MANIFEST, **manifest}))
    (run / "metrics.json").write_text("{}")
    (run / "history.csv").write_text(history)
    lines = [
        MAP,
        "random,-,0,overall,20,20,20,5",
        f"{config.method},global,{seed},overall,50,1,9,5",
    ]
    (run / "map.csv").write_text("\n".join(lines))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    place = tmp_path / "smoke"
    one = "epoch,loss,val_map,best,stage\n1,0.25,10.123456,False,training\n"
    one += "2,0.125,20.0,True,training\n3,0.1,19.0,False,training\n4,0.1,18.0,False,training\n"
    two = "epoch,loss,val_map,val_entropy,val_region_side,best,stage,local\n"
    two += "1,0.5,11.0,0.9,0.66,True,stage1,\n2,0.4,12.0,0.8,0.625,True,stage1,\n"
    two += "1,0.3,13.0,0.7,0.5,False,stage2,0.75\n2,0.2,14.0,0.6,0.25,True,stage2,0.7\n"
    finished(place, "triplet", 0, one)
    finished(place, "asen_pp", 1, two)
    finished(place, "asen_pp", 1, one, code_fingerprint="e" * 16, created="2025-01-01")
    finished(place, "asen_pp", 1, one, data_fingerprint="e" * 64, created="2025-01-01")
    return place


def test_every_epoch_of_the_runs_that_count_is_written(study: Path) -> None:
    written = write(collect(study, smoke()), study)
    assert study / "history.csv" in written
    history = pd.read_csv(study / "history.csv")
    assert list(history.columns[:5]) == ["method", "seed", "images", "epoch", "loss"]
    # The runs of other code and of other data do not count; ASEN++'s two stages follow each other.
    keys = history[["method", "seed", "stage", "epoch"]].itertuples(index=False, name=None)
    assert list(keys) == [
        *(("triplet", 0, "training", epoch) for epoch in (1, 2, 3, 4)),
        *(("asen_pp", 1, stage, epoch) for stage in ("stage1", "stage2") for epoch in (1, 2)),
    ]
    assert history["val_map"].tolist() == [10.1235, 20, 19, 18, 11, 12, 13, 14]  # four decimals
    # 3 steps of 8 images an epoch: 2 attributes, 2 values, 2 images.
    assert history["images"].tolist() == 2 * [24, 48, 72, 96]
    assert history["best"].tolist() == [*(False, True, False, False), *(True, True, False, True)]
    whole, zoomed = history[history["method"] == "triplet"], history[history["seed"] == 1]
    assert (
        whole["val_region_side"].isna().all() and zoomed["local"].isna().tolist()[:2] == [True] * 2
    )
    assert zoomed["val_region_side"].tolist() == [0.66, 0.625, 0.5, 0.25]
    assert zoomed["val_entropy"].tolist() == [0.9, 0.8, 0.7, 0.6]


def test_records_hold_whatever_a_table_is_made_of(study: Path, tmp_path: Path) -> None:
    names = ("map_any_value", "localisation", "triplets", "fusion")
    (run,) = study.glob("triplet-*")
    for name in names:
        table = f"{MAP}\ntriplet,global,0,overall,7,1,9,5\n"
        (run / f"{name}.csv").write_text(table)
    assert pack(study, tmp_path / "runs.zip") == 4
    unpack(tmp_path / "runs.zip", tmp_path / "smoke again")
    before, after = (collect(place, smoke()) for place in (study, tmp_path / "smoke again"))
    for name in (*names, "map", "history"):
        assert len(getattr(before, name))
        pd.testing.assert_frame_equal(getattr(after, name), getattr(before, name))


def test_the_committed_page_of_published_rows_is_what_is_made_now(tmp_path: Path) -> None:
    write_published(REFERENCE, tmp_path / "published.md")
    committed = (ROOT / "results" / "published.md").read_text(encoding="utf-8")
    assert (tmp_path / "published.md").read_text(encoding="utf-8") == committed


def test_the_page_holds_every_number_with_its_status_and_source() -> None:
    page = (ROOT / "results" / "published.md").read_text(encoding="utf-8")
    _, *sections = page.split("\n## ")
    tables = {}
    for section in sections:
        dataset, *lines = section.strip().splitlines()
        heads, rule, *rows = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in lines[1:]
        ]
        assert rule[-2:] == ["---", "---"] and set(rule[1:-2]) == {"---:"}
        tables[dataset] = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    reference = pd.read_csv(REFERENCE)
    assert list(tables) == list(reference["dataset"].unique()) and len(tables) == 4
    shown = 0
    for row in reference.itertuples():
        cells = tables[row.dataset][row.method]
        assert cells[row.attribute.replace("_", " ")] == f"{row.percent:.2f}"
        assert (cells["status"], cells["source"]) == (row.status, row.source)
        shown += 1
    numbers = [cell for rows in tables.values() for row in rows.values() for cell in row.values()]
    assert sum(cell.replace(".", "", 1).isdigit() for cell in numbers) == shown  # and no others
