"""The committed tables of the study on photographs: whole folds, quoted correctly, no pictures."""

from __future__ import annotations

import json
import re

import pytest
from kept_results import CONTROLLED_FORMS, ROOT, kept, table

from asen_study.findings import whether_it_pays
from asen_study.matrix import PHOTOS, in_fold, settings
from asen_tf.config import ExperimentConfig
from asen_tf.presets import photos

FOLDS = {0, 1, 2, 3, 4}
ROWS = set(PHOTOS)
# Trained by earlier code, which gives the digits of the other rows of one branch, too.
EARLIER = {"triplet", "csn", "asen"}
NAMES = {  # in the README: the row, and the embedding that it is measured by
    "Random ranking": ("random", "-"),
    "ImageNet features, no training": ("features", "global"),
    "The same, a trained linear map per attribute": ("features/linear", "global"),
    "ASEN_v2, six minutes of training": ("asen_v2", "global"),
    **CONTROLLED_FORMS,
}


def test_every_row_has_every_fold_and_sums_follow_from_the_attributes() -> None:
    scores = table("photos", "map.csv")
    assert set(scores["method"]) == {"random", *ROWS}
    for (method, _), group in scores.groupby(["method", "embedding"]):
        assert set(group["seed"]) == FOLDS, method
    for _, group in scores.groupby(["method", "embedding", "seed"]):
        sums = group.set_index("attribute")["map"]
        parts = group[~group["attribute"].isin(["overall", "macro"])]
        assert len(parts) == 10
        weighted = (parts["map"] * parts["queries"]).sum() / parts["queries"].sum()
        assert sums["macro"] == pytest.approx(parts["map"].mean(), abs=1e-3)
        assert sums["overall"] == pytest.approx(weighted, abs=1e-3)


def test_the_settings_are_those_of_the_preset() -> None:
    origin = json.loads(kept("photos/provenance.json"))
    study = photos().override(dataset="ClothingAttributes-{seed}")
    later = ExperimentConfig().to_dict()  # settings that came later: what there was before them
    assert {**later, **origin["settings"]} == study.to_dict()
    assert {(run["row"], run["seed"]) for run in origin["runs"]} == {
        (row, fold) for row in ROWS for fold in FOLDS
    }
    codes = {run["row"] in EARLIER: run["code_fingerprint"] for run in origin["runs"]}
    for run in origin["runs"]:
        assert run["code_fingerprint"] == codes[run["row"] in EARLIER], run["run"]
        wanted = settings(run["row"], in_fold(study, run["seed"])).to_dict()
        assert {**origin["settings"], **run["changes"]} == wanted, run["run"]


def test_the_readme_quotes_the_means_over_the_folds() -> None:
    scores = table("photos", "map.csv")
    means = scores.groupby(["method", "embedding", "attribute"])["map"].mean()
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("**On photographs**")[1]
    for name, row in NAMES.items():
        found = re.search(rf"\| {re.escape(name)} \| ([\d.]+) \| ([\d.]+) \|", text)
        assert found is not None, name
        expected = [f"{means[(*row, attribute)]:.1f}" for attribute in ("overall", "macro")]
        assert list(found.groups()) == expected, name
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("## On photographs")[1]
    rows = {**NAMES, "CSN": ("csn", "global"), "ASEN": ("asen", "global")}
    rows["RPF, compact"] = ("rpf", "fused")
    controls = ("ASEN++", "ASEN_v2, rates", "Two", "RPF")
    for name in ("CSN", "ASEN", *[name for name in rows if name.startswith(controls)]):
        found = re.search(rf"\| {re.escape(name)} \| ([\d.]+) \| ([\d.]+) \|", page)
        assert found is not None, name
        expected = [f"{means[(*rows[name], attribute)]:.1f}" for attribute in ("overall", "macro")]
        assert list(found.groups()) == expected, name
    pairs = table("photos", "pairs.csv")
    macro = pairs[pairs["attribute"] == "macro"].set_index(["method_a", "method_b"])
    lines = {
        line.split(" | ")[0].strip("| "): line for line in page.split("**How many")[0].splitlines()
    }
    above = {"ASEN_v2": ("asen_v2", "global"), **rows}  # the third column, of the page's names
    found = {
        name: row for name, (row, _) in above.items() if (row, "features/linear") in macro.index
    }
    for name in found.keys() & lines.keys():
        gap = macro.loc[(found[name], "features/linear")]
        told = f"| {gap.difference:+.1f} ({gap.ci_low:.1f} to {gap.ci_high:.1f}) |"
        assert lines[name].endswith(told), name
    assert len(found.keys() & lines.keys()) == 10
    own = pairs[pairs["method_a"] == "asen_pp/adapted"].set_index(["method_b", "attribute"])
    for control in ("asen_v2/two_seeds", "asen_pp/adapted_whole_frame"):  # what the page names
        for attribute in ("neckline", "sleeve_length", "pattern"):
            gap = own.loc[(control, attribute)]
            told = f"({gap.difference:+.1f}, {gap.ci_low:.1f} to {gap.ci_high:.1f})"
            assert (told in page) == (gap.ci_low > 0), (control, attribute)
    words = " ".join(text.split())
    gain = macro.loc[("asen_v2", "features/linear")]
    assert f"{gain.difference:.1f} points above the linear maps" in words
    assert f"(95% interval {gain.ci_low:.1f} to {gain.ci_high:.1f})" in words
    for control in ("asen_v2", "asen_pp/adapted_whole_frame", "asen_v2/two_seeds"):
        gap = macro.loc[("asen_pp/adapted", control)]
        told = f"{gap.difference:+.1f} ({gap.ci_low:.1f} to {gap.ci_high:.1f})"
        assert told in words and told in " ".join(page.split()), control
    # What the README says of it: above two of its three controls with certainty.
    assert "It cannot be said that ASEN++, adapted pays" in whether_it_pays(pairs, on="")
    certain = macro.loc["asen_pp/adapted"]["ci_low"] > 0
    assert certain["asen_v2"] and certain["asen_pp/adapted_whole_frame"]
    assert not certain["asen_v2/two_seeds"]


def test_no_picture_shows_a_photograph() -> None:
    drawn = {path.name for path in (ROOT / "results" / "photos").rglob("*.png")}
    assert drawn == {"labels.png", "map.png", "training_bands.png", "value_counts.png"}
    assert not [*(ROOT / "results" / "photos").rglob("*.jpg")]


def test_filled_cells_are_counted_over_the_folds() -> None:
    cells = table("photos", "tags.csv")
    for method, group in cells.groupby("method"):
        by_fold = group[(group["seed"] != "all") & (group["attribute"] == "overall")]
        together = group[(group["seed"] == "all") & (group["attribute"] == "overall")].iloc[0]
        assert len(by_fold) == len(FOLDS) and by_fold["images"].sum() == together["images"], method
        filled = by_fold["images"] * by_fold["coverage"] / 100
        assert filled.sum() / by_fold["images"].sum() * 100 == pytest.approx(together["coverage"])
        right = (filled * by_fold["accuracy"]).sum() / filled.sum()
        assert right == pytest.approx(together["accuracy"])


def test_what_more_labels_bring_is_quoted_and_follows_from_the_attributes() -> None:
    scores = table("photos", "labels.csv")
    assert set(scores["seed"]) == {0, 1, 2}
    for _, group in scores.groupby(["method", "seed", "train_images"]):
        sums = group.set_index("attribute")["map"]
        parts = group[~group["attribute"].isin(["overall", "macro"])]
        assert len(parts) == 10 and sums["macro"] == pytest.approx(parts["map"].mean(), abs=1e-3)
    every = table("photos", "map.csv")
    of_all = scores["train_images"].isin([0]) | (scores["train_images"] > 800)
    keys = ["method", "seed", "attribute"]
    both = scores[of_all].merge(every, on=keys, suffixes=("", "_of_study"))
    assert len(both) == 3 * 3 * 12 and (both["map"] == both["map_of_study"]).all()
    macro = scores[(scores["attribute"] == "macro") & (scores["train_images"] > 0)]
    sizes = macro["train_images"].where(macro["train_images"] <= 800, 10**6)
    means = macro.groupby([macro["method"], sizes])["map"].mean()
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("How many labels")[1]
    for name, row in (
        ("ImageNet features, a trained linear", "features/linear"),
        ("ASEN_v2", "asen_v2"),
    ):
        line = next(one for one in page.splitlines() if one.startswith(f"| {name}"))
        assert re.findall(r"\| ([\d.]+)", line) == [f"{value:.1f}" for value in means[row]]
    free = scores[(scores["attribute"] == "macro") & (scores["train_images"] == 0)]["map"].mean()
    assert f"untrained features have {free:.1f}" in " ".join(page.split())
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    few, full = means.xs(400, level=1), means.xs(10**6, level=1)
    assert f"ASEN_v2 {few['asen_v2']:.1f} with 400, {full['asen_v2']:.1f} with all" in readme
    linear = few["features/linear"], full["features/linear"]
    assert f"linear maps {linear[0]:.1f} and {linear[1]:.1f}" in readme
