"""Answers in numbers: what notebooks and the report say of tables worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asen_study import figures, tables
from asen_study.runs import Places
from asen_tf.data import read_meta, read_value_names
from asen_tf.models import build_model
from asen_tf.presets import smoke
from data_prep.check import check, in_words
from data_prep.synthetic import make_dataset


def scores(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["method", "embedding", "attribute", "map"])
    return tables.summarise(table.assign(seed=0, ci_low=table["map"] - 1, ci_high=table["map"] + 1))


def test_a_model_is_compared_with_chance_and_its_attributes_with_each_other() -> None:
    own = [("neck_design", 60.0), ("coat_length", 40.0), ("lapel", 50.0), ("overall", 52.0)]
    summary = scores(
        ("random", "-", "overall", 20.0),
        *(("asen_pp", "global", name, 99.0) for name, _ in own),
        *(("asen_pp", "fused", name, value) for name, value in own),
    )
    assert tables.scores_in_words(summary) == (
        "ASEN++ fused has a MAP of 52.0% over all test queries; a random ranking has 20.0%. "
        "ASEN++ fused is best in neck design (60.0%), and worst in coat length (40.0%)."
    )
    alone = scores(("csn", "global", "neck", 60.0), ("csn", "global", "overall", 60.0))
    assert tables.scores_in_words(alone) == "CSN has a MAP of 60.0% over all test queries."
    assert "lists triplets" in tables.scores_in_words(tables.summarise(pd.DataFrame()))


def test_of_a_training_the_kept_epoch_counts() -> None:
    history = pd.DataFrame({"val_map": [30.0, 50.0, 45.0], "best": [False, True, False]})
    assert tables.training_in_words(history) == (
        "On the validation split the MAP was 30.0% after the first of 3 epochs and 50.0% after "
        "epoch 2, whose weights were kept."
    )
    assert "not trained here" in tables.training_in_words(pd.DataFrame())


def test_variations_are_counted_by_their_intervals() -> None:
    columns = ["method_a", "method_b", "attribute", "difference", "ci_low", "ci_high"]
    rows = [
        ("asen_pp", "asen_pp/no_asa", "overall", 7.0, 5.0, 9.0),
        ("asen_pp", "asen_pp/no_aca", "overall", 0.5, -1.0, 2.0),
        ("asen_pp", "asen_pp/true_region", "overall", -8.0, -9.0, -7.0),
        ("asen_pp", "asen_pp/one_stage", "macro", -80.0, -90.0, -70.0),
        ("asen_pp", "asen_v2", "overall", 30.0, 20.0, 40.0),
    ]
    said = tables.variations_in_words(pd.DataFrame(rows, columns=columns))
    assert said == (
        "Of 3 variations of ASEN++, it is significantly better than 1 and worse than 1; for the "
        "other 1 this study cannot tell. The largest change is that of ASEN++, region at the "
        "true part: 8.0 points more."
    )
    assert "No variation" in tables.variations_in_words(pd.DataFrame(rows[4:], columns=columns))


def test_a_pair_differs_only_if_its_interval_excludes_zero() -> None:
    columns = ["method_a", "method_b", "attribute", "difference", "ci_low", "ci_high"]
    gaps = [(7.0, 5.0, 9.0), (-7.0, -9.0, -5.0), (7.0, -1.0, 9.0), (7.0, np.nan, np.nan)]
    rows = [("csn", "triplet", "overall", *numbers) for numbers in gaps]
    above, below, *others = tables.in_words(pd.DataFrame(rows, columns=columns))
    assert above == "CSN is above Triplet network (+7.00 points, +5.00 to +9.00)."
    assert below == "CSN is below Triplet network (-7.00 points, -9.00 to -5.00)."
    for said in others:  # of one seed and one query, no interval is known
        assert said.startswith("CSN and Triplet network are not significantly different (+7.00")


def test_places_and_starts_are_told() -> None:
    columns = ["method", "attribute", "pointing", "iou", "centre_pointing", "centre_iou"]
    places = pd.DataFrame([("asen_pp", "overall", 40.0, 22.5, 53.0, 23.0)], columns=columns)
    said = tables.localisation_in_words(places)
    assert "in 40.0% of the images" in said and "in 53.0%)" in said and "by 22.5%" in said
    assert "no true boxes" in tables.localisation_in_words(pd.DataFrame())
    two = [("asen_v2", "overall", 99.0, 9.0, 53.0, 23.0), *places.itertuples(index=False)]
    seeds = pd.DataFrame([*two, ("asen_pp", "overall", 50.0, 23.5, 53.0, 23.0)], columns=columns)
    said = tables.localisation_in_words(seeds)  # of the last method, over seeds
    assert "in 45.0% of the images" in said and "by 23.0% (" in said
    starts = pd.DataFrame({"label": ["a", "a", "b"], "val_map": [10.0, 20.0, 30.0]})
    first, second = tables.starts_in_words(starts)
    assert first == "b: validation MAP 30.0% at best" and second.startswith(
        "a: validation MAP 20.0%"
    )


def test_empty_tables_stay_empty_and_the_reason_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = pd.DataFrame()
    for laid_out in (tables.summarise, tables.cells, tables.triplet_table, tables.of_methods):
        assert laid_out(nothing).empty
    assert tables.localisation_table(nothing).empty
    tables.show(nothing, "A title", otherwise="There is none.")
    assert capsys.readouterr().out == "There is none.\n"
    lone = tables.cells(scores(("csn", "global", "neck", 60.0)).assign(low=np.nan, high=np.nan))
    assert lone.loc["CSN", "neck"] == "60.0"  # of a single query no interval is known
    path = Path(__file__).parents[2] / "reference" / "published_results.csv"
    assert tables.published_beside(path, "Shop").empty
    assert "ASEN++" in tables.published_beside(path, "Garments").index
    with pytest.raises(ValueError, match="dataset must be one of"):
        tables.published_beside(path, "Shop", "Fashion")


# === Before training ===


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("before")
    make_dataset(folder / "data", images=120, size=48)
    return Places(folder / "data", folder / "results", "smoke")


def test_the_data_are_told_with_what_chance_scores(places: Places) -> None:
    report = check(places.data_dir, "Garments")
    chance = report["splits"]["test"]["random_map"]["overall"]
    said = in_words(report)
    assert said.startswith("There are 96 images in train, 12 images in valid, 12 images in test,")
    assert said.endswith(f"A random ranking of the test images has a MAP of {chance:.1f}%.")
    assert in_words({"splits": {}}).startswith("There are no images")


@pytest.mark.parametrize("sampling", ["batch_all", "random_triplets"])
def test_a_batch_shows_an_anchor_images_of_its_value_and_of_others(
    places: Places, sampling: str
) -> None:
    config = smoke().override(sampling=sampling, source_size=48)
    groups = figures.sampled_batch(config, places)
    names = read_value_names(places.data_dir, "Garments")
    assert 1 < len(groups) <= 4
    for group in groups:
        roles = [one.role for one in group]
        assert roles[0] == "anchor" and {"positive", "negative"} == set(roles[1:])
        for one in group:
            assert one.value in names[one.attribute] and one.image.shape == (48, 48, 3)
            assert one.attribute == group[0].attribute
            assert (one.value == group[0].value) == (one.role != "negative")
    drawn = figures.batch_pictures(groups)
    shown = [axes.get_title() for axes in drawn.axes if axes.images]
    assert len(shown) == sum(map(len, groups)) and shown[0].startswith("anchor in")
    assert figures.sampled_batch(config.override(method="features"), places) == []


@pytest.mark.parametrize("method", ["asen_pp", "csn", "triplet"])
def test_the_parts_of_a_model_add_up_to_it(places: Places, method: str) -> None:
    config = smoke().override(method=method)
    parts = tables.model_parts(config, places)
    model = build_model(config, read_meta(places.data_dir, "Garments").names)
    assert parts.loc["together", "parameters"] == model.count_params()
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert parts.loc["together", "trained"] == trained < model.count_params()
    assert parts["parameters"].iloc[:-1].sum() == model.count_params()


def test_labels_in_words_say_from_how_many_on_training_pays() -> None:
    rows = [("features", seed, 0, 60.0) for seed in (0, 1)]
    rows += [("asen_v2", 0, 50, 58.0), ("asen_v2", 1, 50, 61.0), ("asen_v2", 0, 100, 63.0)]
    rows += [("asen_v2", 1, 100, 64.0), ("asen_v2", 0, 210, 70.0), ("asen_v2", 1, 190, 74.0)]
    rows += [("features/linear", seed, 50, 40.0) for seed in (0, 1)]
    needed = pd.DataFrame(rows, columns=["method", "seed", "train_images", "map"])
    needed = pd.concat([needed.assign(attribute="macro"), needed.assign(attribute="x", map=0.0)])
    columns = ["method", "seed", "attribute", "coverage", "accuracy", "majority"]
    filled = pd.DataFrame(
        [("asen_v2", "all", "overall", 87.6, 89.74, 66.7), ("asen_v2", 0, "overall", 1, 1, 1)],
        columns=columns,
    )
    first, second, third, fourth = tables.labels_in_words(needed, filled)
    assert first == "Features that need no labels have a macro MAP of 60.0."
    assert second == (
        "ASEN_v2: 59.5 with 50 labelled images, 72.0 with all (200); above these from 100 on."
    )
    assert "40.0 with 50 labelled images, 40.0 with all (50); never above these" in third
    assert "88% of the test images' cells are filled, 89.7% of these rightly" in fourth
