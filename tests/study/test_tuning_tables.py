"""What a search reports about its trials: importance, figures, the comparison on test."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from asen_study.runs import Run
from asen_study.tuning import (
    compare_on_test,
    importance,
    parallel_coordinates,
    setting_importance,
    verdict,
)
from asen_tf.config import ExperimentConfig
from asen_tf.files import write_json

FIELDS = ("margin", "embedding_dim", "sampling", "fusion_weight")


@pytest.fixture
def trials() -> pd.DataFrame:
    """Return forty trials whose score is the margin's doing alone; one has failed."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "trial": range(1, 42),
            "status": ["COMPLETED"] * 40 + ["FAILED"],
            "epochs": 5,
            "margin": rng.uniform(0.05, 0.5, 41),
            "embedding_dim": rng.choice([128, 256, 512], 41),
            "sampling": rng.choice(["batch_all", "random_triplets"], 41),
            "fusion_weight": 0.6,
        }
    )
    return table.assign(val_map=[*(30 + 20 * table["margin"][:40]), np.nan])


def lines_of(figure) -> list:
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) == len(FIELDS) + 1]


def bars(figure) -> list:
    return figure.axes[0].patches


# === Importance ===


def test_the_setting_that_decides_is_the_important_one(trials: pd.DataFrame) -> None:
    table = importance(trials, FIELDS)
    assert table["setting"][0] == "margin" and sorted(table["setting"]) == sorted(FIELDS)
    first, *rest = table["importance"]
    # Shuffled, a margin is off by a third of its range on average: 20 * 0.45 / 3 = 3 points.
    assert first == pytest.approx(3.0, abs=0.8)
    assert max(rest) < 0.1 * first
    assert 0.8 < table["explained"][0] <= 1.0


def test_a_setting_of_one_value_has_no_importance(trials: pd.DataFrame) -> None:
    table = importance(trials, FIELDS).set_index("setting")
    assert tuple(table.loc["fusion_weight", ["importance", "deviation"]]) == (0.0, 0.0)


def test_noise_explains_nothing(trials: pd.DataFrame) -> None:
    noise = trials.assign(val_map=np.random.default_rng(1).normal(size=41))
    assert importance(noise, FIELDS)["explained"][0] < 0.2


def test_short_trials_of_hyperband_do_not_count(trials: pd.DataFrame) -> None:
    short = trials[:30].assign(epochs=2, val_map=3.0)
    pd.testing.assert_frame_equal(
        importance(pd.concat([short, trials]), FIELDS), importance(trials, FIELDS)
    )


def test_importance_is_the_same_each_time(trials: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(importance(trials, FIELDS), importance(trials, FIELDS))


def test_three_trials_are_too_few(trials: pd.DataFrame) -> None:
    assert importance(trials[-4:], FIELDS).empty


# === Figures ===


def test_a_line_per_completed_trial_between_the_ends_of_each_axis(trials: pd.DataFrame) -> None:
    figure = parallel_coordinates(trials, FIELDS)
    axes, lines = figure.axes[0], lines_of(figure)
    assert len(lines) == 40
    heights = np.array([line.get_ydata() for line in lines])
    assert heights[:, :3].min() == 0.0 and heights[:, :3].max() == 1.0
    assert set(np.round(heights[:, 1], 6)) == {0.0, 0.5, 1.0}  # 128, 256, 512 on a log axis
    assert set(heights[:, 3]) == {0.5}  # of one value
    (best,) = [line for line in lines if line.get_linestyle() == "--"]
    assert best.get_ydata()[0] == 1.0  # the greatest margin has the highest score
    assert axes.get_title(loc="left") == "Trials of the search; the best one is dashed"
    words = [text.get_text() for text in axes.texts]
    assert {"128", "512", "batch\nall", "random\ntriplets", "0.6"} <= set(words)


def test_the_last_axis_is_the_score(trials: pd.DataFrame) -> None:
    figure = parallel_coordinates(trials, FIELDS)
    heights = sorted(line.get_ydata()[-1] for line in lines_of(figure))
    scores = np.sort(trials["val_map"][:40])
    assert heights == pytest.approx((scores - scores[0]) / (scores[-1] - scores[0]))
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks[-1] == "validation MAP, percent"
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[-2:] == [f"{scores[0]:.1f}", f"{scores[-1]:.1f}"]


def test_one_trial_far_above_the_others_leaves_them_their_colours(trials: pd.DataFrame) -> None:
    scores = [18.0, 18.1, 18.3, 18.2, 90.0]
    figure = parallel_coordinates(trials[:5].assign(val_map=scores), FIELDS)
    lines = sorted(lines_of(figure), key=lambda line: line.get_ydata()[-1])
    scale = matplotlib.colormaps["cividis_r"](np.array([4, 3, 2, 1, 0]) / 4)
    assert np.allclose([line.get_color() for line in lines], scale)
    assert figure.axes[1].get_ylim()[0] > figure.axes[1].get_ylim()[1]  # the first at the top


def test_a_short_trial_is_dotted_and_cannot_be_the_best(trials) -> None:
    few = trials[:6].assign(epochs=[2, 2, 2, 2, 5, 5], val_map=[90, 20, 21, 22, 30, 40])
    figure = parallel_coordinates(few, FIELDS)
    styles = {round(line.get_ydata()[-1] * 70 + 20): line for line in lines_of(figure)}
    found = {score: line.get_linestyle() for score, line in styles.items()}
    assert found == {90: ":", 20: ":", 21: ":", 22: ":", 30: "-", 40: "--"}
    title = figure.axes[0].get_title(loc="left")
    assert title.endswith("the best one is dashed, shorter ones are dotted")


def test_one_trial_is_a_line(trials: pd.DataFrame) -> None:
    figure = parallel_coordinates(trials[:1], FIELDS)
    assert [list(line.get_ydata()) for line in lines_of(figure)] == [[0.5] * 5]


def test_without_a_completed_trial_there_is_nothing_to_draw(trials: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="need a completed trial; got none"):
        parallel_coordinates(trials[-1:], FIELDS)


def test_importance_is_drawn_with_what_the_forest_is_worth(trials: pd.DataFrame) -> None:
    table = importance(trials, FIELDS)
    figure = setting_importance(table, trials=40)
    assert [bar.get_width() for bar in bars(figure)] == list(table["importance"])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert f"of 40 trials relies on (it explains {table['explained'][0]:.0%}" in titles[0]
    useless = setting_importance(table.assign(explained=-0.1), trials=8)
    assert "it predicts nothing" in useless.axes[0].get_title(loc="left")


# === On test ===


def finished(folder: Path, seed: int, values: dict[str, list[float]]) -> Run:
    path = folder / f"run{len(list(folder.iterdir()))}"
    path.mkdir()
    write_json(path / "config.json", ExperimentConfig(seed=seed).to_dict())
    arrays = {f"fused/{name}": np.array(part) for name, part in values.items()}
    others = {f"{kind}/{name}": np.zeros(9) for kind in ("global", "random") for name in values}
    np.savez(path / "queries.npz", **arrays, **others)
    return Run(path)


def test_the_comparison_is_over_the_same_seeds_and_queries(tmp_path: Path) -> None:
    default = [finished(tmp_path, seed, {"a": [0.2, 0.4], "b": [0.5]}) for seed in (1, 2)]
    best = [
        finished(tmp_path, 1, {"a": [0.4, 0.6], "b": [0.5]}),
        finished(tmp_path, 2, {"a": [0.4, 0.4], "b": [0.8]}),
    ]
    table = compare_on_test(default, best).set_index("attribute")
    # a: 30 to (50 + 40) / 2; b: 50 to 65; all six queries: 220 / 6 to 310 / 6.
    expected = {"a": (30, 45), "b": (50, 65), "overall": (220 / 6, 310 / 6), "macro": (40, 55)}
    for attribute, (left, right) in expected.items():
        row = table.loc[attribute]
        assert (row["default"], row["best"]) == pytest.approx((left, right))
        assert row["difference"] == pytest.approx(right - left) and row["seeds"] == 2
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]


def test_no_gain_is_called_no_gain(tmp_path: Path) -> None:
    run = finished(tmp_path, 1, {"a": [0.2, 0.4]})
    table = compare_on_test([run], [run])
    assert (table["difference"] == 0).all()
    assert "do not differ significantly: the search has shown no gain" in verdict(table)
    worse = finished(tmp_path, 1, {"a": [0.1, 0.3]})
    assert verdict(compare_on_test([run], [worse])).endswith(
        "differ significantly: the search has lost."
    )
    assert verdict(compare_on_test([worse], [run])).endswith(
        "differ significantly: the search has gained."
    )


def test_of_one_seed_and_one_query_no_gain_is_shown(tmp_path: Path) -> None:
    worse, better = (finished(tmp_path, 1, {"a": [value]}) for value in (0.1, 0.9))
    table = compare_on_test([worse], [better])
    assert table["ci_low"].isna().all() and table["difference"].gt(79.9).all()
    assert verdict(table).endswith("do not differ significantly: the search has shown no gain.")


def test_other_seeds_on_one_side_are_an_error(tmp_path: Path) -> None:
    runs = [finished(tmp_path, seed, {"a": [0.2]}) for seed in (1, 2)]
    with pytest.raises(ValueError, match=r"same seeds; got \[1\] and \[2\]"):
        compare_on_test(runs[:1], runs[1:])
