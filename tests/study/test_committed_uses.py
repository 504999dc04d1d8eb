"""The reference results of the applications and of tuning: the text agrees with the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kept_results import ROOT, kept, table

from asen_study.tuning import DEFAULT_FIELDS
from asen_tf.presets import preset
from data_prep.garments.values import ATTRIBUTES


def test_reranking_is_told_as_its_table_says() -> None:
    found = table("quick", "rerank.csv")
    row = found.query("top == 50 and weight == 1 and k == 10").set_index("attribute")
    overall = row.loc["overall"]
    text = " ".join((ROOT / "docs" / "reranking.md").read_text(encoding="utf-8").split())
    told = (
        f"precision@10 rises from {overall['precision_before']:.1f}% to "
        f"{overall['precision_after']:.1f}% (+{overall['gain']:.1f}, {overall['gain_low']:.1f} to "
        f"{overall['gain_high']:.1f}"
    )
    assert told in text
    assert (row["gain_low"] > 0).all() and row["gain"].drop(
        ["overall", "macro"]
    ).idxmin() == "sleeve_length"
    necks = row.loc[[name for name in ATTRIBUTES if name.endswith("_design")], "gain"]
    told = f"necks and collars {necks.min():.0f} to {necks.max():.0f} points, sleeves "
    assert f"{told}{row.loc['sleeve_length', 'gain']:.0f}." in text
    cost = f"from {overall['similarity_before']:.3f} to {overall['similarity_after']:.3f}"
    assert cost in text and f"would have {overall['precision_oracle']:.1f}%" in text
    assert found.query("weight == 0")["gain"].eq(0).all()


def test_the_sheet_of_evidence_is_told_as_it_says() -> None:
    (file,) = (ROOT / "results" / "quick" / "evidence").glob("*.json")
    sheet = json.loads(file.read_text(encoding="utf-8"))
    (view,) = (one for one in sheet["views"] if one["name"] == "neckline_design")
    found = view["found"][0]["similarities"]["neckline_design"]
    pairs, nearest = found["random_pairs"], found["nearest_neighbours"]
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert f"results/quick/evidence/{file.name}" in page and file.with_suffix(".html").exists()
    words = " ".join(page.split())
    assert f"nearest of {nearest['of']} drawings by neckline has a cosine of" in words
    told = f"{found['similarity']:.3f}, which {pairs['at_least']} of {pairs['of']:,} random pairs"
    assert told in words
    assert f"nearest neighbours of {nearest['at_least']} of the {nearest['of']} are" in words


def test_the_best_preset_is_the_best_trial_of_the_search(tmp_path: Path) -> None:
    trials = table("tuning", "trials.csv").set_index("trial")
    assert set(trials["status"]) == {"COMPLETED"} and len(trials) == 12
    assert list(trials.columns[3:-1]) == list(DEFAULT_FIELDS)
    for name in ("best", "default"):
        (tmp_path / f"{name}.json").write_text(kept(f"tuning/{name}.json"))
    best, first = (preset(str(tmp_path / f"{name}.json")) for name in ("best", "default"))
    assert first == preset("tune")
    winner = trials.loc[trials["val_map"].idxmax()]
    # Hashes are of all settings that there were when the search was made; these were searched.
    for trial, found in ((winner, best), (trials.loc[1], first)):  # the default is a trial, too
        assert [trial[name] for name in DEFAULT_FIELDS] == [
            pytest.approx(getattr(found, name), rel=1e-3) for name in DEFAULT_FIELDS
        ]
    gained = table("tuning", "test.csv").set_index("attribute")
    assert set(gained.index) == {*ATTRIBUTES, "overall", "macro"}
    gaps = gained["best"] - gained["default"]
    assert gained["difference"].to_list() == pytest.approx(gaps.to_list(), abs=2e-3)
    assert best.hash != first.hash or gaps.eq(0).all()
    row, text = gained.loc["overall"], " ".join(kept("README.md").split())
    assert f"{row['difference']:+.1f} overall ({row['ci_low']:.1f} to {row['ci_high']:.1f})" in text
    assert gained.loc[list(ATTRIBUTES), ["ci_low", "ci_high"]].prod(axis=1).le(0).all()
