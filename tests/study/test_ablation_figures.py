"""Figures of the ablations show what their tables contain, including degenerate tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from asen_study.figures.attention import attention_side_by_side, local_views
from asen_study.figures.comparisons import forest, method_scores
from asen_study.figures.curves import fusion_sweep, setting_sweep, training_bands
from asen_study.figures.gallery import AttentionExample
from asen_study.figures.scores import map_scores
from asen_study.figures.spaces import all_spaces, attribute_spaces, project
from asen_study.figures.style import METHODS, colours_of
from asen_study.tables import main_rows, summarise, sweep, weakest
from asen_tf.data import AttributeTable, Split
from asen_tf.evaluation.retrieval import PairEmbeddings
from asen_tf.presets import smoke


def frame(columns: str, *rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def test_a_sweep_of_one_point_is_none() -> None:
    rows = [("asen_pp", "fused", 0, "overall", 50.0), ("asen_v2", "global", 0, "overall", 40.0)]
    columns = "method embedding seed attribute map"
    found = SimpleNamespace(map=frame(columns, *rows), config=smoke())
    assert sweep(found, "local_size").empty
    found.map = frame(columns, *rows, ("asen_pp/local_size_32", "fused", 0, "overall", 45.0))
    assert sorted(sweep(found, "local_size")["map"]) == [45.0, 50.0]


def test_curves_are_of_few_rows_and_of_single_networks() -> None:
    six = ["features", "triplet", "csn", "asen_v2", "asen_pp", "rpf"]
    table = frame("method images", *[(row, 1) for row in ["asen_v2/two_seeds", *six]])
    assert list(main_rows(table)["method"]) == six
    more = pd.concat([table, frame("method images", ("asen", 1))])
    assert list(main_rows(more)["method"]) == ["triplet", "csn", "asen_v2", "asen_pp"]
    assert main_rows(table[:0]).empty


def test_the_weakest_attribute_is_that_of_the_last_embedding() -> None:
    rows = [("global", "neck", 1.0), ("fused", "neck", 9.0), ("fused", "collar", 8.0)]
    rows += [("fused", "overall", 2.0)]
    table = frame("embedding attribute map", *rows).assign(series=lambda one: one["embedding"])
    assert weakest(table) == ("collar", "fused") and weakest(table[:0]) == ()


def test_many_methods_are_drawn_as_dots_and_stages_without_names() -> None:
    names = ["triplet", "csn", "asen", "asen_v2", "asen_pp", "asen_pp/adapted", "rpf"]
    rows = [(n, "fused", 0, a, 40.0, 35.0, 50.0) for n in names for a in ("overall", "macro")]
    table = frame("method embedding seed attribute map ci_low ci_high", *rows)
    assert map_scores(summarise(table)).get_suptitle() == "How well each row retrieves"
    assert len(map_scores(summarise(table[2:])).axes) == 1
    stages = [(n, 0, 1000 * e, 9.0, f"stage{e}") for n in names[4:] for e in (1, 2)]
    curve = frame("method seed images val_map stage", *stages)
    assert [text.get_text() for text in training_bands(curve).axes[0].texts] == ["stage 2 begins"]


def legend(holder) -> list[str]:
    (found,) = holder.legends if hasattr(holder, "legends") else [holder.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def points(line) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


_SWEPT = [(0, 0.0, 40.0), (0, 1.0, 50.0), (1, 0.0, 44.0), (1, 1.0, 50.0)]
FUSION = frame("method seed weight map", *[("asen_pp", *row) for row in _SWEPT])


def test_the_fusion_curve_is_the_mean_in_a_band_of_the_deviation() -> None:
    (axes,) = fusion_sweep(FUSION, chosen=0.6).axes
    assert points(axes.lines[0]) == [(0.0, 42.0), (1.0, 50.0)]
    (band,) = axes.collections
    edge = np.sqrt(8.0)  # of 40 and 44, over n - 1 = 1
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((42.0 - edge, 50.0))
    assert list(axes.lines[1].get_xdata()) == [0.6, 0.6]


def test_one_seed_has_no_band_and_no_bars() -> None:
    assert not fusion_sweep(FUSION[FUSION["seed"] == 0]).axes[0].collections
    table = frame("value embedding seed map", (0.1, "fused", 0, 50.0), (0.2, "fused", 0, 51.0))
    (bars,) = setting_sweep(table, setting="threshold", chosen=0.1).axes[0].collections
    assert not any(len(bar) for bar in bars.get_segments())


def test_training_is_over_thousands_of_images_and_methods_differ_twice() -> None:
    names = [f"method {k}" for k in range(8)]
    rows = [(n, s, 2000 * e, 10.0 * e + s) for n in names for s in (0, 2) for e in (1, 2)]
    (axes,) = training_bands(frame("label seed images val_map", *rows)).axes
    assert points(axes.lines[0]) == [(2.0, 11.0), (4.0, 21.0)]
    assert legend(axes) == names
    assert len({line.get_color() for line in axes.lines}) == 8
    assert len({str(line._unscaled_dash_pattern) for line in axes.lines}) == 8
    assert len(axes.collections) == 8
    (axes,) = training_bands(frame("method seed images val_map", ("asen_pp", 0, 9, 1.0))).axes
    assert legend(axes) == ["ASEN++"] and not axes.collections


def test_a_forest_tells_intervals_with_zero_from_those_without() -> None:
    table = frame(
        "method_a method_b attribute difference ci_low ci_high",
        *[("csn", "triplet", "overall", 5.0, 1.0, 9.0), ("csn", "triplet", "neck", 7.0, 6.0, 8.0)],
        *[("asen_pp", "asen_pp:local", "overall", -1.0, -3.0, 0.0)],
        *[("asen", "csn", "overall", -2.0, -3.0, -1.0)],
    )
    (axes,) = forest(table).axes
    words = [tick.get_text() for tick in axes.get_yticklabels()]
    assert words == ["CSN minus Triplet network", "ASEN++ minus ASEN++ local", "ASEN minus CSN"]
    clear, unsure, zero = axes.lines
    assert points(clear) == [(5.0, 0.0), (-2.0, 2.0)]
    assert points(unsure) == [(-1.0, 1.0)]  # an interval that ends at zero holds it
    assert not same_color(clear.get_color(), unsure.get_color())
    assert list(zero.get_xdata()) == [0.0, 0.0]
    lines = axes.collections[::3]  # each is followed by its caps
    ends = [segment[:, 0].tolist() for bars in lines for segment in bars.get_segments()]
    assert ends == [[1.0, 9.0], [-3.0, -1.0], [-3.0, 0.0]]
    assert axes.yaxis_inverted()
    assert forest(table[:0]).axes[0].texts[0].get_text() == "no pairs to compare"


@pytest.mark.parametrize("methods", [["asen_pp"], ["triplet", "csn", "asen_pp"]])
def test_methods_are_dots_in_the_tables_order_with_intervals(methods: list[str]) -> None:
    rows = [("random", "-", 0, name, 20.0, 20.0, 20.0) for name in ("overall", "macro")]
    for place, method in enumerate(methods):
        rows.append((method, "global", 0, "overall", 40.0 - place, 35.0, 50.0))
        rows.append((method, "global", 0, "macro", 60.0 - place, 55.0, 70.0))
    table = frame("method embedding seed attribute map ci_low ci_high", *rows)
    figure = method_scores(summarise(table))
    for axes, best in zip(figure.axes, (40.0, 60.0), strict=True):
        drawn = [points(dots) for dots, _, _ in axes.containers]
        assert drawn == [[(best - k, float(k))] for k in range(len(methods))]
        _, _, (bars,) = axes.containers[0]
        assert bars.get_segments()[0][:, 0].tolist() == pytest.approx([best - 5.0, best + 10.0])
        colours = [dots.get_color() for dots, _, _ in axes.containers]
        assert colours == [METHODS[method] for method in methods]
        (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert list(dashed.get_xdata()) == [20.0, 20.0]
        assert axes.yaxis_inverted()
    assert legend(figure) == ["global", "random"]


ADAPTED = "asen_pp/adapted"


def example(truth=None, *, peak: tuple[int, int] | None = (1, 3)) -> AttentionExample:
    attention = np.full((4, 4), 0.1, np.float32)
    if peak:
        attention[peak] = 0.9
    image = np.full((40, 40, 3), 200, np.uint8)
    return AttentionExample(image, "V", attention, (0.0, 0.0, 1.0, 1.0), truth)


def test_each_method_has_its_map_with_a_cross_and_the_true_box() -> None:
    boxed = {"neck_design": example((0.25, 0.5, 0.75, 1.0))}
    figure = attention_side_by_side({"asen": boxed, "asen_pp": boxed})
    *panels, scale = figure.axes
    assert [axes.get_title() for axes in panels] == ["image", "ASEN", "ASEN++"]
    assert scale.get_xlabel() == "attention, within each map"
    assert [tick.get_text() for tick in scale.get_xticklabels()] == ["lowest", "highest"]
    for axes in panels[1:]:
        assert points(axes.lines[0]) == [(35.0, 15.0)]  # column 3 and row 1 of cells of 10 px
        assert axes.patches[0].get_bbox().extents.tolist() == [10.0, 20.0, 30.0, 40.0]
    assert len(legend(figure)) == 2


def test_without_true_boxes_none_are_drawn_and_a_flat_map_has_no_cross() -> None:
    figure = attention_side_by_side({"asen": {"neck": example(peak=None)}})
    assert not any(axes.patches or axes.lines for axes in figure.axes[:-1])  # the last is a scale
    assert legend(figure) == ["maximum of the attention"]


def test_what_local_branches_see_stands_beside_the_true_part() -> None:
    whole = replace(example((0.25, 0.5, 0.75, 1.0)), local_size=16)
    halved = replace(whole, region=(0.0, 0.0, 0.5, 0.5), local_size=24)
    whole.image[:20, :20] = 90  # all that the smaller region holds
    seen = {"asen_pp": {"neck_design": whole}, ADAPTED: {"neck_design": halved}}
    figure = local_views(seen)
    whole, part, first, second = figure.axes
    words = ["image", "true part", "ASEN++", "ASEN++, adapted"]
    assert [axes.get_title().replace("\n", " ") for axes in figure.axes] == words
    assert figure.get_suptitle() == "What each local branch sees, 16 and 24 px wide"
    boxes = [box.get_bbox().extents.tolist() for box in whole.patches]
    assert boxes == [[10, 20, 30, 40], [0, 0, 40, 40], [0, 0, 20, 20]]  # px: true, then regions
    colours = colours_of(seen).values()
    assert all(map(same_color, [box.get_edgecolor() for box in whole.patches[1:]], colours))
    drawn = [axes.images[0].get_array() for axes in (part, first, second)]
    assert [view.shape for view in drawn] == [(24, 24, 3), (16, 16, 3), (24, 24, 3)]
    assert (drawn[2] == 90).all() and (drawn[0] == 200).mean() > 0.9 > (drawn[1] == 200).mean()
    assert legend(figure) == ["true box of the part", "ASEN++", "ASEN++, adapted"]


def test_different_images_beside_each_other_are_refused() -> None:
    seen = {name: {"neck": example()} for name in ("asen", "asen_pp")}
    seen["asen_pp"]["neck"].image[:] = 0
    with pytest.raises(ValueError, match="same image; got different ones for 'neck'"):
        attention_side_by_side(seen)


def space(sizes: tuple[int, ...], values: int = 3) -> tuple[PairEmbeddings, Split]:
    """Return random embeddings of as many images per attribute, and their labels."""
    labels = [(k, at, k % values) for at, size in enumerate(sizes) for k in range(size)]
    rows = np.array(sorted(labels), np.int64)
    table = AttributeTable(("neck", "coat_length")[: len(sizes)], (values,) * len(sizes))
    vectors = np.random.default_rng(0).normal(size=(len(rows), 8)).astype(np.float32)
    split = Split(Path("."), "d", "test", table, (), rows, rows[:0], rows, ())
    return PairEmbeddings(rows[:, :2], {"global": vectors}), split


def test_a_panel_per_attribute_with_every_image_and_the_names_of_its_values() -> None:
    embedded, split = space((12, 4))
    names = {"neck": ["Round", "V", "Deep V"]}
    neck, coat, empty = attribute_spaces(embedded, split, names, embedding="global").axes
    assert (neck.get_title("left"), coat.get_title("left")) == ("neck", "coat length")
    assert legend(neck) == ["Round", "V", "Deep V"]
    layout = project(embedded.arrays["global"][split.labels[:, 1] == 0])
    for value in range(3):
        np.testing.assert_array_equal(neck.collections[value].get_offsets(), layout[value::3])
    assert not coat.collections and coat.texts[0].get_text() == "too few images"


def test_many_values_are_coloured_along_a_scale() -> None:
    neck = attribute_spaces(*space((30,), 15), None, embedding="global").axes[0]
    colours = neck.collections[0].get_array().tolist()
    assert colours == [k % 15 for k in range(30)] and neck.get_legend() is None


def test_the_same_seed_gives_the_same_points_and_no_more_than_the_limit(monkeypatch) -> None:
    def drawn() -> np.ndarray:
        (axes,) = all_spaces(*space((20, 20)), embedding="global").axes
        return np.concatenate([group.get_offsets() for group in axes.collections])

    first, again = drawn(), drawn()
    np.testing.assert_array_equal(first, again)
    assert len(first) == 40
    monkeypatch.setattr("asen_study.figures.spaces._MOST", 15)
    assert len(drawn()) == 15


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6])
def test_few_or_equal_vectors_have_a_layout(count: int) -> None:
    for vectors in (np.ones((count, 8)), np.eye(8)[:count], np.zeros((count, 8))):
        layout = project(vectors)
        assert layout.shape == (count, 2) and np.isfinite(layout).all()
        assert layout.any() == (count >= 5)  # none of too few
        np.testing.assert_array_equal(layout, project(vectors))
