"""Every figure says in a title what it shows, in letters that are not too small."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from asen_apps.evidence import pictures
from asen_study import figures, tuning
from asen_study.figures.gallery import AttentionExample, RetrievalExample
from asen_study.figures.method import RegionSteps, SampledImage
from asen_study.figures.style import METHODS, WIDTH
from asen_study.tables import summarise
from asen_tf.data import AttributeTable, Split
from asen_tf.evaluation.retrieval import PairEmbeddings
from benchmarks import time_to_map


def frame(columns: str, *rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


IMAGE, MAP = np.full((16, 16, 3), 200, np.uint8), np.eye(3, dtype=np.float32)
WHOLE = (0.0, 0.0, 1.0, 1.0)
SEEN = {"asen_pp": {"neck_design": AttentionExample(IMAGE, "V", MAP, WHOLE, WHOLE)}}
STEPS = RegionSteps(MAP, MAP, MAP > 0, (0, 0, 3, 3), IMAGE)
ROWS = np.array([(image, 0, image % 2) for image in range(4)])
SPLIT = Split(
    Path(), "Tiny", "test", AttributeTable(("neck",), (2,)), (), ROWS, ROWS[:2], ROWS[2:], ()
)
PAIRS = PairEmbeddings(ROWS[:, :2], {"global": np.eye(4, dtype=np.float32)})
SCORES = [("asen_pp", "fused", 0, name, 40.0, 35.0, 50.0) for name in ("overall", "macro")]
SUMMARY = summarise(frame("method embedding seed attribute map ci_low ci_high", *SCORES))
PLACES = "method seed attribute pointing iou centre_pointing centre_iou"
EPOCHS = "stage epoch best global val_map val_map_global val_region_side val_entropy"
HISTORY = frame(EPOCHS, ("stage1", 1, True, 0.2, 50.0, 50.0, 0.5, 0.5))
COUNTS = {"labels": {"neck": [3, 4]}}
NAMING = frame("epoch loss val_accuracy", (1, 2.0, 0.5), (2, 1.0, 0.6)).assign(
    **{f"val_accuracy_a{place}": 0.4 for place in range(8)}
)
TRIALS = frame("status epochs val_map margin", *[("COMPLETED", 2, 40.0 + k, k) for k in range(5)])
FOUND = SimpleNamespace(similarities={"neck": SimpleNamespace(value=0.9)})
VIEW = SimpleNamespace(
    name="neck", random=np.linspace(0, 0.5, 9), nearest=np.linspace(0.4, 0.8, 9), found=(FOUND,)
)
TRIPLET = np.stack([IMAGE] * 3)

DRAWN: dict[Callable[..., Figure], Callable[[], Figure]] = {
    figures.all_spaces: lambda: figures.all_spaces(PAIRS, SPLIT, embedding="global"),
    figures.attention_by_attribute: lambda: figures.attention_by_attribute(IMAGE, {"neck": MAP}),
    figures.attention_curves: lambda: figures.attention_curves(HISTORY),
    figures.attention_maps: lambda: figures.attention_maps({"neck": [*SEEN["asen_pp"].values()]}),
    figures.attention_side_by_side: lambda: figures.attention_side_by_side(SEEN),
    figures.attribute_spaces: lambda: figures.attribute_spaces(
        PAIRS, SPLIT, None, embedding="global"
    ),
    figures.batch_pictures: lambda: figures.batch_pictures(
        [[SampledImage(IMAGE, "neck", "V", role) for role in ("anchor", "positive", "negative")]]
    ),
    figures.confusions: lambda: figures.confusions(
        ("neck", "global"), embedded=PAIRS, split=SPLIT, names=None
    ),
    figures.forest: lambda: figures.forest(
        frame(
            "method_a method_b attribute difference ci_low ci_high",
            ("csn", "triplet", "overall", 5.0, 1.0, 9.0),
        )
    ),
    figures.fusion_sweep: lambda: figures.fusion_sweep(
        frame("method seed weight map", ("asen_pp", 0, 0.5, 40.0))
    ),
    figures.label_curves: lambda: figures.label_curves(
        frame("method seed train_images attribute map", ("asen_v2", 0, 50, "macro", 40.0))
    ),
    figures.learning_curves: lambda: figures.learning_curves(HISTORY),
    figures.local_views: lambda: figures.local_views(SEEN),
    figures.localisation_scores: lambda: figures.localisation_scores(
        frame(PLACES, ("asen_pp", 0, "neck", 70.0, 20.0, 40.0, 19.0))
    ),
    figures.map_scores: lambda: figures.map_scores(SUMMARY),
    figures.method_scores: lambda: figures.method_scores(SUMMARY),
    figures.overview: lambda: figures.overview(
        IMAGE, {"neck": (MAP, (0.0, 0.0, 16.0, 16.0))}, {"neck": IMAGE[None]}
    ),
    figures.pretraining_curves: lambda: figures.pretraining_curves(NAMING),
    figures.region_pictures: lambda: figures.region_pictures(STEPS, IMAGE),
    figures.retrieval_strips: lambda: figures.retrieval_strips(
        [RetrievalExample(np.stack([IMAGE] * 2), ("V", "V"), 1.0)], "neck"
    ),
    figures.setting_sweep: lambda: figures.setting_sweep(
        frame("value embedding seed map", (0.1, "fused", 0, 50.0)), setting="threshold", chosen=0.1
    ),
    figures.training_bands: lambda: figures.training_bands(
        frame("method seed images val_map", ("asen_pp", 0, 9, 1.0))
    ),
    figures.triplet_step: lambda: figures.triplet_step(
        TRIPLET, ["V", "V", "Round"], {"before": (0.5, 0.4)}
    ),
    figures.value_counts: lambda: figures.value_counts(
        {"splits": {"train": {"values": COUNTS}}, "value_names": {"neck": ["V", "Round"]}}
    ),
    tuning.parallel_coordinates: lambda: tuning.parallel_coordinates(TRIALS, ["margin"]),
    tuning.setting_importance: lambda: tuning.setting_importance(
        frame("setting importance deviation explained", ("margin", 1.0, 0.1, 0.5)), trials=5
    ),
    pictures.draw: lambda: pictures.draw([VIEW]),
    time_to_map.draw: lambda: time_to_map.draw(
        frame("protocol seconds val_map", ("batch-all", 0, 20.0), ("batch-all", 9, 40.0)), 35.0
    ),
}


def test_all_public_figures_are_looked_at() -> None:
    public = {getattr(figures, name) for name in figures.__all__}
    drawing = {
        one
        for one in public
        if inspect.isfunction(one) and inspect.signature(one).return_annotation == "Figure"
    }
    assert len(drawing) > 20 and drawing <= set(DRAWN)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: f"{draw.__module__}.{draw.__name__}")
def test_it_has_a_title_that_is_a_sentence_and_no_name_of_a_panel(draw: Callable) -> None:
    figure = DRAWN[draw]()
    titles = [figure.get_suptitle(), *(axes.get_title("left") for axes in figure.axes)]
    assert max(len(title.split()) for title in titles) > 1, titles


def test_counts_are_readable_at_half_size() -> None:
    axes = DRAWN[figures.value_counts]().axes[0]
    assert [text.get_text() for text in axes.texts] == ["V\n3", "Round\n4"]
    assert axes.figure.get_figwidth() == WIDTH and min(t.get_fontsize() for t in axes.texts) >= 8


def test_pretraining_has_the_projects_colours_and_a_style_per_attribute() -> None:
    *lines, every = DRAWN[figures.pretraining_curves]().axes[1].lines
    assert [to_hex(line.get_color()).upper() for line in lines] == [*METHODS.values()]
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 8
    assert every.get_label() == "all"


def test_epochs_are_counted_over_both_stages_only_where_there_are_two() -> None:
    labels = [axes.get_xlabel() for axes in DRAWN[figures.learning_curves]().axes]
    assert labels == ["epoch", "epoch"]
    two = pd.concat([HISTORY, HISTORY.assign(stage="stage2")])
    assert figures.learning_curves(two).axes[0].get_xlabel() == "epoch, counted over both stages"
    assert figures.learning_curves(two).axes[0].get_title("left") == "Training losses"


def test_the_axes_of_trials_do_not_strike_out_their_ends() -> None:
    axes = DRAWN[tuning.parallel_coordinates]().axes[0]
    ends = [part[:, 1].tolist() for group in axes.collections for part in group.get_segments()]
    assert ends == [[0.0, 1.0]] * 2
