"""Annotations of figures with many rows: groups, bars, stages, whose embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_ablation_figures import FUSION, frame, legend, points, space

from asen_study.figures.comparisons import forest, group_of, lay_out, method_scores
from asen_study.figures.curves import fusion_sweep, setting_sweep, training_bands
from asen_study.figures.spaces import all_spaces, attribute_spaces
from asen_study.matrix import CONTROLS, LABELS, ROWS
from asen_study.tables import summarise

ABLATIONS = Path(__file__).parents[2] / "results" / "compact"
DEVIATION = "±1 standard deviation"


def ticks(axes) -> dict[str, float]:
    """Return the place of each name at the left."""
    return {tick.get_text(): tick.get_position()[1] for tick in axes.get_yticklabels()}


def test_groups_hold_every_row_of_the_matrix_once() -> None:
    groups = {row: group_of(row) for row in ROWS}
    assert {row for row, group in groups.items() if group == "Methods"} == {
        *("triplet", "csn", "csn/disjoint", "asen", "asen_v2", "asen_pp", "asen_pp/adapted", "rpf")
    }
    assert {row for row, group in groups.items() if group == "Without a trained network"} == {
        *("features", "features/whitened", "features/linear")
    }
    assert {groups[row] for row in CONTROLS} == {"Controls of the local branch"}
    assert groups["triplet/hard"] == "Triplet network, other losses"
    assert groups["asen_v2/compact"] == "ASEN_v2, other starts than ImageNet"
    assert groups["asen_pp/no_asa"] == groups["asen_pp/one_stage"] == "Parts left out or replaced"
    assert groups["asen_pp/true_region"] == "What the local branch sees"
    assert groups["asen_pp/threshold_0.6"].startswith("Threshold of the region")
    assert groups["asen_pp/local_size_96"] == "Input of the local branch"
    places, headings = lay_out(list(ROWS))
    assert set(headings) == set(groups.values()) and len(set(places)) == len(ROWS)
    for row, place in zip(ROWS, places, strict=True):  # each below its heading, and no other
        above = max(at for at in headings.values() if at < place)
        assert headings[groups[row]] == above


def test_places_by_hand() -> None:
    places, headings = lay_out(["asen_pp/no_asa", "csn", "asen_pp/no_aca", "asen"])
    assert headings == {"Methods": 0.0, "Parts left out or replaced": 3.4}
    assert places == pytest.approx([4.4, 1.0, 5.4, 2.0])
    assert lay_out(["csn", "asen", "csn"]) == ([0.0, 1.0, 2.0], {})
    assert lay_out([]) == ([], {})


def test_methods_of_the_committed_table_stand_where_their_names_are() -> None:
    scores = pd.read_csv(ABLATIONS / "map.csv")
    figure = method_scores(summarise(scores))
    axes = figure.axes[0]
    at = ticks(axes)
    assert set(at) > {LABELS[row] for row in set(scores["method"]) - {"random"}}
    means = scores[scores["attribute"] == "overall"].groupby(["method", "embedding"])["map"].mean()
    drawn = [point for bars in axes.containers for point in points(bars[0])]
    assert len(drawn) == len(means) - 1  # random is a line
    for (method, embedding), value in means.drop("random").items():
        aside = {"global": -0.26, "local": 0.0, "fused": 0.26}
        place = at[LABELS[method]] + (aside[embedding] if method.startswith("asen_pp") else 0.0)
        assert min(abs(x - value) + abs(y - place) for x, y in drawn) < 1e-9, (method, embedding)
    (words,) = figure.legends
    assert words.get_title().get_text() == f"bars: {DEVIATION} over 3 seeds or folds"
    assert legend(figure) == ["global", "local", "fused", "ASEN++ fused", "random"]
    bold = {t.get_text() for t in axes.get_yticklabels() if t.get_fontweight() == "bold"}
    assert bold == {group_of(row) for row in set(scores["method"]) - {"random"}}


def test_one_seed_has_intervals_over_queries() -> None:
    scores = pd.read_csv(ABLATIONS / "map.csv")
    (words,) = method_scores(summarise(scores[scores["seed"] == 0])).legends
    assert words.get_title().get_text() == "bars: 95% interval over queries"
    fewer = scores[(scores["seed"] == 0) | (scores["method"] != "csn")]
    (words,) = method_scores(summarise(fewer)).legends
    title = words.get_title().get_text()
    assert title.endswith("over seeds or folds; with one, 95% interval over queries")


def test_differences_are_what_the_variation_does() -> None:
    pairs = pd.read_csv(ABLATIONS / "pairs.csv")
    pairs = pairs[pairs["attribute"] == "overall"].set_index(["method_a", "method_b"])
    (axes,) = forest(pairs.reset_index()).axes
    at = ticks(axes)
    drawn = {round(y, 6): x for line in axes.lines[:2] for x, y in points(line)}
    assert len(drawn) == len(pairs)
    turned = 0
    for (first, second), row in pairs.iterrows():
        sign = -1.0 if second.startswith(f"{first}/") else 1.0
        left, right = (first, second) if sign > 0 else (second, first)
        names = [LABELS.get(name, f"ASEN++ {name[8:]}") for name in (left, right)]
        assert drawn[round(at[" minus ".join(names)], 6)] == sign * row["difference"]
        turned += sign < 0
    assert turned == 15  # every variation of ASEN++
    ends = [s for bars in axes.collections[::3] for s in bars.get_segments()]
    by_place = {round(float(s[0, 1]), 6): s[:, 0].tolist() for s in ends}
    row = pairs.loc[("asen_pp", "asen_pp/no_asa")]
    low, high = by_place[round(at["ASEN++ without ASA minus ASEN++"], 6)]
    assert (low, high) == (-row["ci_high"], -row["ci_low"]) and high < 0


def test_legends_say_what_bars_and_bands_are() -> None:
    (axes,) = fusion_sweep(FUSION).axes
    assert axes.get_legend().get_title().get_text() == f"band: {DEVIATION}\nover 2 seeds or folds"
    (axes,) = fusion_sweep(FUSION[FUSION["seed"] == 0]).axes
    assert not axes.get_legend().get_title().get_text()
    rows = [(32, name, seed, 40.0 + seed) for name in ("global", "fused") for seed in range(3)]
    (axes,) = setting_sweep(frame("value embedding seed map", *rows), setting="px", chosen=32).axes
    assert axes.get_legend().get_title().get_text() == f"bars: {DEVIATION}\nover 3 seeds or folds"


def test_a_setting_has_a_line_with_bars_per_embedding() -> None:
    table = frame(
        "value embedding seed map",
        *[(32, "global", 0, 40.0), (32, "global", 1, 42.0), (64, "global", 0, 43.0)],
        *[(64, "global", 1, 43.0), (64, "fused", 0, 50.0), (64, "fused", 1, 52.0)],
    )
    (axes,) = setting_sweep(table, setting="local input, px", chosen=64).axes
    assert points(axes.lines[0]) == [(32.0, 41.0), (64.0, 43.0)]
    assert legend(axes) == ["global", "fused", "the study's value, 64"]
    first = axes.collections[0].get_segments()[0]
    assert first[:, 1].tolist() == pytest.approx([41.0 - np.sqrt(2.0), 41.0 + np.sqrt(2.0)])
    assert axes.get_xlabel() == "local input, px"


def test_marks_at_one_value_stand_beside_each_other_and_inside_the_axes() -> None:
    names = ("global", "local", "fused")
    rows = [(x, name, seed, 40.0 + seed) for x in (1, 2) for name in names for seed in (0, 2)]
    figure = setting_sweep(frame("value embedding seed map", *rows), setting="px", chosen=1)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    places = [line.get_transform().transform((1.0, 41.0)) for line in axes.lines[:9:3]]
    # Each line is followed by the caps of its bars.
    points_apart = np.diff([x for x, _ in places]) / figure.dpi * 72
    assert points_apart == pytest.approx([5.0, 5.0])
    middle = axes.transData.transform((1.0, 41.0))
    assert places[1] == pytest.approx(middle)  # the three stand around their value
    low, high = axes.get_ylim()
    assert low < 41.0 - np.sqrt(2.0) < 41.0 + np.sqrt(2.0) < high


def test_bands_say_where_the_second_stage_begins() -> None:
    rows = [
        ("asen_pp", s, 1000 * e, 9.0, f"stage{1 + (e > 3)}") for s in (0, 1) for e in range(1, 6)
    ]
    rows += [("csn", s, 1000 * e, 8.0, "training") for s in (0, 1) for e in range(1, 6)]
    table = frame("method seed images val_map stage", *rows)
    (axes,) = training_bands(table).axes
    (mark,) = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert list(mark.get_xdata()) == [3.0, 3.0]  # thousands, after the last epoch of the first
    assert [text.get_text() for text in axes.texts] == ["stage 2 of ASEN++ begins"]
    assert axes.get_legend().get_title().get_text() == f"bands: {DEVIATION}\nover 2 seeds or folds"
    (axes,) = training_bands(table[table["method"] == "csn"]).axes
    assert not axes.texts and len(axes.lines) == 1
    alone = table.query("method == 'csn' or seed == 0")  # one seed has no band
    (axes,) = training_bands(alone).axes
    assert axes.get_legend().get_title().get_text() == f"bands: {DEVIATION}\nover 2 seeds or folds"
    third = table.query("method == 'csn' and seed == 0").assign(seed=2)
    (axes,) = training_bands(pd.concat([table, third])).axes
    assert axes.get_legend().get_title().get_text() == f"bands: {DEVIATION}\nover seeds or folds"


def test_titles_say_whose_embeddings_are_shown() -> None:
    embedded, split = space((12, 12))
    shown = {"embedding": "global", "of": "ASEN++, seed 2"}
    figure = attribute_spaces(embedded, split, None, **shown)
    title = "ASEN++, seed 2: the global embeddings of each attribute (t-SNE)"
    assert figure.get_suptitle() == title
    (axes,) = all_spaces(embedded, split, **shown).axes
    title = "ASEN++, seed 2: the global embeddings of all attributes (t-SNE)"
    assert axes.get_title("left") == title
