"""Figures show what their tables contain, including degenerate tables."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from skimage.color import rgb2lab

from asen_study import figures
from asen_study.figures.gallery import AttentionExample
from asen_study.figures.style import METHODS, colours_of
from asen_study.matrix import ROWS
from asen_study.tables import summarise
from asen_tf.data import AttributeTable, Split
from asen_tf.evaluation.retrieval import PairEmbeddings

MAP = pd.DataFrame(
    [
        ("random", "-", 0, "neck_design", 20.0, 20.0, 20.0, 5),
        ("asen_pp", "global", 0, "neck_design", 50.0, 40.0, 61.0, 5),
        ("asen_pp", "fused", 0, "neck_design", 55.0, 45.0, 64.0, 5),
        ("random", "-", 0, "overall", 21.0, 21.0, 21.0, 5),
        ("asen_pp", "global", 0, "overall", 51.0, 41.0, 62.0, 5),
        ("asen_pp", "fused", 0, "overall", 56.0, 46.0, 65.0, 5),
    ],
    columns="method embedding seed attribute map ci_low ci_high queries".split(),
)
PLACES = pd.DataFrame(
    [("asen_pp", 0, "neck_design", 70.0, 20.0, 40.0, 19.0)],
    columns="method seed attribute pointing iou centre_pointing centre_iou".split(),
)


def heights(axes) -> list[float]:
    bars = [group for group in axes.containers if isinstance(group, BarContainer)]
    return sorted(round(bar.get_height(), 6) for group in bars for bar in group.patches)


def test_a_bar_per_embedding_and_attribute_and_chance_as_a_line() -> None:
    (axes,) = figures.map_scores(summarise(MAP)).axes
    assert heights(axes) == [50.0, 51.0, 55.0, 56.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["neck design", "overall"]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["ASEN++ global", "ASEN++ fused", "random (exact)"]
    assert axes.get_ylim() == (0, 100)


def test_localisation_has_a_panel_for_pointing_and_one_for_overlap() -> None:
    pointing, overlap = figures.localisation_scores(PLACES).axes
    assert (heights(pointing), heights(overlap)) == ([70.0], [20.0])
    legend = [text.get_text() for text in overlap.get_legend().get_texts()]
    assert legend == ["ASEN++", "frame's centre"]


@pytest.mark.parametrize("epochs", [1, 3])
def test_curves_of_pretraining_run_through_every_epoch(epochs: int) -> None:
    history = pd.DataFrame(
        {
            "epoch": range(1, epochs + 1),
            "loss": [1.9 - 0.1 * k for k in range(epochs)],
            "accuracy": [0.2] * epochs,
            "val_accuracy": [0.2 + 0.1 * k for k in range(epochs)],
            "val_accuracy_neck_design": [0.3] * epochs,
            "best": [k == epochs - 1 for k in range(epochs)],
        }
    )
    loss, accuracy = figures.pretraining_curves(history).axes
    assert list(loss.lines[0].get_ydata()) == pytest.approx(history["loss"])
    drawn = [list(line.get_ydata()) for line in accuracy.lines]
    assert pytest.approx([30.0] * epochs) in drawn
    assert pytest.approx([20.0 + 10 * k for k in range(epochs)]) in drawn


def test_a_kept_figure_is_a_file_and_a_picture_with_a_description(tmp_path: Path) -> None:
    figure = figures.map_scores(summarise(MAP))
    shown = figures.keep(figure, tmp_path / "new", "map", "MAP per attribute")
    with Image.open(tmp_path / "new" / "map.png") as picture:
        assert picture.info["Description"] == "MAP per attribute"
        assert min(picture.size) > 300
    assert shown.alt == "MAP per attribute"
    first = (tmp_path / "new" / "map.png").read_bytes()
    figures.keep(figures.map_scores(summarise(MAP)), tmp_path / "new", "map", "MAP per attribute")
    assert (tmp_path / "new" / "map.png").read_bytes() == first  # no time stamp, no chance


def test_a_large_picture_is_kept_in_few_colours_that_look_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(rough.resize((1200, 900), Image.Resampling.BICUBIC), float)
    figure = Figure(figsize=(9, 7))
    figure.subplots().imshow(np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255) / 255)
    full = io.BytesIO()
    figure.savefig(full, dpi=144)
    figures.keep(figure, tmp_path, "large", "colours")
    assert (tmp_path / "large.png").stat().st_size < 0.6 * len(full.getvalue())
    with Image.open(tmp_path / "large.png") as kept, Image.open(full) as original:
        assert kept.mode == "P" and kept.info["Description"] == "colours"
        assert kept.size == original.size
        seen = [np.asarray(x.convert("RGB").reduce(8), float) for x in (kept, original)]
    assert len(full.getvalue()) > 2**20 and np.abs(seen[0] - seen[1]).mean() < 3


def test_confusions_count_the_values_of_the_first_candidates() -> None:
    """The query of value 0 finds values 0 and 1 of three candidates, that of value 1 only 1."""
    queries = np.array([(0, 0, 0), (1, 0, 1)])
    candidates = np.array([(2, 0, 0), (3, 0, 1), (4, 0, 1), (5, 1, 0)])
    rows = np.concatenate([queries, candidates])
    table = AttributeTable(("sleeve", "neck"), (3, 2))
    names = tuple(f"{image}.png" for image in range(6))
    split = Split(Path(), "Tiny", "test", table, names, rows, queries, candidates, ())
    angles = np.radians([0, 90, 10, 50, 80, 0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    embedded = PairEmbeddings(rows[:, :2], {"fused": vectors * [[3.0]]})
    words = {"sleeve": ("None", "Short", "Long")}
    shown = {"embedded": embedded, "split": split, "names": words}
    axes = figures.confusions(("sleeve", "fused"), **shown, first=2).axes[0]
    shares = axes.collections[0].get_array().reshape(3, 3)
    np.testing.assert_allclose(shares, [[50, 50, 0], [0, 100, 0], [0, 0, 0]])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["None", "Short", "Long"]


# === One colour per method ===

# Machado, Oliveira and Fernandes 2009, severity 1: what a reader without one kind of cone sees.
VISION = {
    "all": np.eye(3),
    "no red": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "no green": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "no blue": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


@pytest.mark.parametrize("vision", VISION)
def test_methods_have_colours_that_every_reader_can_tell_apart(vision: str) -> None:
    rgb = np.array([to_rgb(colour) for colour in METHODS.values()])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    places = rgb2lab(seen)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert apart[np.triu_indices(len(places), 1)].min() > 8  # 2.3 is just noticeable
    assert {row.split("/")[0] for row in ROWS} <= set(METHODS)


def test_a_method_has_the_same_colour_in_every_figure_and_variations_have_shades_of_it() -> None:
    rows = ("asen_pp", "asen_v2")
    colours = [to_hex(METHODS[row]) for row in rows]
    curve = pd.DataFrame(
        [(row, 0, images, 50.0) for row in rows for images in (1, 2)],
        columns=["method", "seed", "images", "val_map"],
    )
    lines = figures.training_bands(curve).axes[0].lines
    assert [to_hex(line.get_color()) for line in lines] == colours
    needed = curve.rename(columns={"images": "train_images", "val_map": "map"})
    lines = figures.label_curves(needed.assign(attribute="macro")).axes[0].lines
    assert [to_hex(line.get_color()) for line in lines] == colours
    scores = pd.concat([MAP, MAP[MAP["method"] != "random"].assign(method="csn")])
    scores = scores[scores["embedding"] != "global"]
    (axes,) = figures.map_scores(summarise(scores)).axes
    drawn = [to_hex(bars[0].get_facecolor()) for bars in axes.containers[:2]]
    assert drawn == [to_hex(METHODS["asen_pp"]), to_hex(METHODS["csn"])]
    shades = colours_of(["csn/disjoint", "csn", "asen_pp:fused", "asen_pp:local", "unknown"])
    assert shades["csn/disjoint"] == METHODS["csn"].lower() != shades["csn"]
    assert shades["asen_pp:fused"] == METHODS["asen_pp"].lower() and shades["unknown"] == "#000000"
    assert len(set(shades.values())) == 5


def test_no_loss_has_the_colour_of_a_method_that_it_is_not_of() -> None:
    epochs = {"stage": ["stage2"] * 2, "epoch": [1, 2], "best": [False, True]}
    losses = {name: [0.2, 0.1] for name in ("global", "local", "fused", "alignment")}
    scores = {f"val_map_{name}": [50.0, 51.0] for name in ("global", "local", "fused")}
    scores["val_map"] = scores["val_map_fused"]
    history = pd.DataFrame({**epochs, **losses, **scores})
    lines = figures.learning_curves(history).axes[0].lines
    assert [line.get_label() for line in lines[:4]] == list(losses)
    drawn = [to_hex(line.get_color()) for line in lines[:4]]
    own = [to_hex(METHODS[name]) for name in ("asen_v2", "features", "asen_pp")]
    assert drawn[:3] == own and drawn[3] not in {to_hex(colour) for colour in METHODS.values()}


@pytest.mark.parametrize("known", [True, False])
def test_a_legend_names_true_boxes_where_there_are_some(known: bool) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    truth = (0.1, 0.1, 0.4, 0.4) if known else None
    one = AttentionExample(image, "V", np.eye(4), (0.2, 0.2, 0.8, 0.8), truth)
    for figure in (
        figures.attention_maps({"neck": [one]}),
        figures.attention_side_by_side({"asen_v2": {"neck": one}}),
    ):
        said = [text.get_text() for text in figure.findobj(Text)]
        assert ("true box of the part" in said) is known


def test_what_is_empty_is_not_drawn_and_the_reason_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = pd.DataFrame()
    why = {"otherwise": "no true boxes"}
    figures.show(figures.localisation_scores, nothing, tmp_path, "places", "alt", **why)
    figures.show(figures.attention_curves, MAP, tmp_path, "curves", "alt", needs="val_entropy")
    assert capsys.readouterr().out == "no true boxes\n" and not list(tmp_path.iterdir())
    figures.show(figures.localisation_scores, PLACES, tmp_path, "places", "alt", **why)
    assert (tmp_path / "places.png").exists()
