"""The reference results of the applications and of tuning: the text agrees with the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from kept_results import ROOT, kept, table

from asen_study.tuning import DEFAULT_FIELDS
from asen_tf.presets import preset
from data_prep.garments.values import ATTRIBUTES


def test_another_machine_gives_other_digits_and_much_the_same_scores() -> None:
    key = ["method", "embedding", "seed", "attribute"]
    ours, theirs = (table(name, "map.csv").set_index(key) for name in ("compact", "applications"))
    ours = ours.loc[theirs.index]  # the rows of a quick study, with its seed
    chance = ours.index.get_level_values("method") == "random"
    pd.testing.assert_frame_equal(ours[chance], theirs[chance], check_exact=True)
    gaps = (ours["map"] - theirs["map"])[ours.index.get_level_values("attribute") == "overall"]
    assert gaps[gaps != 0].size == 6 and gaps.abs().max() < 2.0
    origins = [
        json.loads(kept(f"{name}/provenance.json"))["runs"][0]
        for name in ("compact", "applications")
    ]
    assert origins[0]["data_fingerprint"] == origins[1]["data_fingerprint"]
    assert origins[0]["machine"] != origins[1]["machine"]


def test_reranking_is_told_as_its_table_says() -> None:
    found = table("applications", "rerank.csv")
    row = found.query("top == 50 and weight == 1 and k == 10").set_index("attribute")
    overall = row.loc["overall"]
    text = " ".join((ROOT / "docs" / "reranking.md").read_text(encoding="utf-8").split())
    told = (
        f"precision@10 rises from {overall['precision_before']:.1f}% to "
        f"{overall['precision_after']:.1f}% (+{overall['gain']:.1f}, {overall['gain_low']:.1f} to "
        f"{overall['gain_high']:.1f}"
    )
    assert told in text
    gained = row.index[row["gain_low"] > 0].difference(["overall", "macro"])
    assert set(gained) == {
        *("skirt_length", "sleeve_length", "collar_design", "neckline_design", "neck_design")
    }
    assert found.query("weight == 0")["gain"].eq(0).all()


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
