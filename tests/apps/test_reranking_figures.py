"""Re-ranking figures show what their tables contain, and strips what runs and files contain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_hex
from PIL import Image

from asen_apps import rerank
from asen_apps.rerank import Reranking, check, result_table, write
from asen_study.figures.style import COLOURS, METHODS
from asen_study.matrix import settings
from asen_study.runs import Places, Run
from asen_tf.config import ConfigError
from asen_tf.data import fingerprint
from asen_tf.presets import smoke

SEEN = {  # angle of each image's embedding in degrees: of the general run, then of the specific one
    0: (0, 0),  # the query, round
    1: (10, 50),  # V
    2: (20, 60),  # round and V
    3: (30, 10),  # V
    4: (40, 5),  # round
    5: (50, 0),  # round, behind the top
}
VALUES = [(0, 0), (1, 1), (2, 0), (2, 1), (3, 1), (4, 0), (5, 0)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dataset of six small images, as its files would be, and two finished runs on it."""
    data = tmp_path_factory.mktemp("place") / "data"
    folder = data / "Garments"
    folder.mkdir(parents=True)
    table = {"ATTRIBUTES": ["neck"], "ATTRIBUTES_NUM": {"neck": 2}}
    (data / "meta.json").write_text(json.dumps({"Garments": table}))
    (folder / "values.json").write_text(json.dumps({"neck": ["Round", "V"]}))
    for image in SEEN:
        Image.new("RGB", (40, 40), (40 * image, 0, 0)).save(folder / f"{image}.png")
    names = "".join(f"{image}.png\n" for image in SEEN)
    rows = [f"{image} 0 {value}\n" for image, value in VALUES]
    for split in ("train", "valid", "test"):
        (folder / f"filenames_{split}.txt").write_text(names)
        (folder / f"query_{split}.txt").write_text(rows[0])
        (folder / f"candidate_{split}.txt").write_text("".join(rows))
    (folder / "label_train.txt").write_text("".join(rows))
    for at, name in enumerate(("triplet", "asen_v2", "csn")):
        run = data.parent / name
        run.mkdir()
        config = settings(name, smoke()).to_dict()
        (run / "config.json").write_text(json.dumps(config))
        made_from = fingerprint(data, "Garments") if name != "csn" else "0" * 64
        manifest = {"data_fingerprint": made_from, "seed": 0}
        (run / "manifest.json").write_text(json.dumps(manifest))
        angles = np.radians([seen[min(at, 1)] for seen in SEEN.values()])
        vectors = 3.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        pairs = np.stack([np.arange(6), np.zeros(6, int)], axis=1)
        np.savez(run / "test_pairs.npz", pairs=pairs, **{"global": vectors.astype(np.float32)})
    return data.parent


def reranking(place: Path, *, specific: str = "asen_v2") -> Reranking:
    return Reranking.from_runs(
        Run(place / "triplet"), Run(place / specific), Places(place / "data"), depth=20
    )


def test_files_and_runs_become_lists(place: Path) -> None:
    lists = reranking(place).lists["neck"]
    # Each image once, though image 2 is listed twice; the query is no candidate of itself.
    assert lists.places.tolist() == [[1, 2, 3, 4, 5, 0]]
    assert lists.listed.tolist() == [[True] * 5 + [False]]
    assert lists.relevant.tolist() == [[False, True, False, True, True, False]]
    assert lists.general[0, :5] == pytest.approx(np.cos(np.radians([10, 20, 30, 40, 50])))
    table = result_table({"neck": lists}, settings=[(4, 1.0)], ks=(2,)).iloc[0]
    assert (table["precision_before"], table["precision_after"]) == (50.0, 50.0)
    expected = (np.cos(np.radians([10, 20])) - np.cos(np.radians([30, 40]))).mean()
    assert table["loss"] == pytest.approx(expected, abs=1e-6)


def test_a_run_re_sorted_by_itself_stays_as_it_is(place: Path) -> None:
    table = result_table(reranking(place, specific="triplet").lists, settings=[(6, 1.0)])
    assert not table[["gain", "loss"]].to_numpy().any() and (table["kept"] == 100).all()


def test_what_cannot_be_measured_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="takes no attribute.*got 'csn'"):
        check(settings("csn", smoke()), place / "data")
    with pytest.raises(ConfigError, match="takes no attribute.*got 'features' with linear maps"):
        check(settings("features/linear", smoke()), place / "data")
    for row in ("features", "features/whitened", "triplet/npairs"):
        check(settings(row, smoke()), place / "data")
    with pytest.raises(ConfigError, match=r"got \w{16} \(triplet\) and 0{16} \(csn\)"):
        reranking(place, specific="csn")


def test_the_table_is_written_with_its_origin_and_again_the_same(place: Path) -> None:
    found = reranking(place)
    table = result_table(found.lists, settings=[(4, 0.5), (4, 1.0)])
    first, second = write(table, found, place / "study")
    text = first.read_bytes()
    read = pd.read_csv(first)
    assert list(read.columns) == list(table.columns)
    np.testing.assert_allclose(read["loss"], table["loss"], atol=1e-6)
    origin = json.loads(second.read_text())
    assert [(run["role"], run["embedding"]) for run in origin["runs"]] == [
        ("general", "global"),
        ("specific", "global"),
    ]
    assert origin["runs"][1]["settings"]["method"] == "asen_v2"
    write(table, found, place / "study")
    assert first.read_bytes() == text
    assert sorted(path.name for path in first.parent.iterdir()) == [first.name, second.name]


def test_strips_show_both_lists_with_right_and_wrong_frames(place: Path) -> None:
    (example,) = rerank.examples(reranking(place), "neck", top=4, weight=1.0, shown=4)
    assert (example.value, example.before.values) == ("Round", ("V", "Round, V", "V", "Round"))
    assert example.after.places == (4, 3, 1, 2)
    assert example.after.right == (True, False, False, True)
    # The images themselves tell by their red which they are.
    assert (example.after.images[:, 0, 0, 0] // 40).tolist() == [4, 3, 1, 2]
    cells = np.array(rerank.strips([example], "neck").axes).reshape(2, 5)
    assert cells[0, 0].get_title("center") == "query\nRound"
    assert "2 before, 2 after" in cells[1, 0].texts[0].get_text()
    titles = [axes.get_title("center").replace("\n", " ") for axes in cells[1, 1:]]
    assert titles == ["1 ✓, was 4 Round", "2 ✗, was 3 V", "3 ✗, was 1 V", "4 ✓, was 2 Round, V"]
    for axes, verdict in zip(cells[1, 1:], ("right", "wrong", "wrong", "right"), strict=True):
        assert same_color(axes.spines["left"].get_edgecolor(), COLOURS[verdict])
    assert [cells[row, 1].get_ylabel() for row in (0, 1)] == ["before", "after"]


def test_more_columns_than_candidates_stay_empty(place: Path) -> None:
    (example,) = rerank.examples(reranking(place), "neck", top=4, weight=1.0, shown=9)
    assert len(example.before.values) == len(example.after.values) == 5
    assert len(rerank.strips([example], "neck").axes) == 12


def points(line) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def test_plots_hold_the_numbers_of_the_table(place: Path) -> None:
    weights = [(4, weight) for weight in (0.0, 0.5, 1.0)]
    table = result_table(reranking(place).lists, settings=[*weights, (2, 1.0)], ks=(1, 3))
    panels = rerank.precision(table, top=4, weight=1.0).axes
    assert [axes.get_title("left") for axes in panels] == ["precision@1", "precision@3"]
    random, oracle, after, before = panels[0].lines
    drawn = [points(line)[0] for line in (before, after, random, oracle)]
    assert drawn == [(0.0, 0.0), (100.0, 0.0), (50.0, 0.0), (100.0, 0.0)]
    gain, loss = rerank.changes(table, top=4, weight=1.0, k=1).axes
    assert points(gain.lines[1])[0] == (100.0, 0.0)  # one query: an open dot without an interval
    assert not points(gain.lines[0])
    expected = np.cos(np.radians(10)) - np.cos(np.radians(40))
    assert points(loss.lines[1])[0][0] == pytest.approx(expected, abs=1e-6)
    blend = rerank.blend(table, top=4).axes[0]
    assert [x for x, _ in points(blend.lines[0])] == [0.0, 0.5, 1.0]
    depth = rerank.depth(table, weight=1.0).axes[0]
    assert points(depth.lines[0]) == [(2.0, 0.0), (4.0, 100.0)]


def test_what_is_before_after_and_sure_has_the_colours_of_all_figures(place: Path) -> None:
    table = result_table(reranking(place).lists, settings=[(4, 0.0), (4, 1.0)], ks=(1, 3))
    random, _, after, before = rerank.precision(table, top=4, weight=1.0).axes[0].lines
    drawn = [line.get_color() for line in (random, before, after)]
    assert drawn == [METHODS["random"], METHODS["triplet"], METHODS["asen_pp"]]
    sure, open_ = rerank.changes(table, top=4, weight=1.0, k=1).axes[0].lines[:2]
    assert (sure.get_color(), open_.get_color()) == ("black", "#767676")
    first, second = rerank.blend(table, top=4).axes[0].lines[:2]  # of one method, so its shades
    assert same_color(first.get_color(), METHODS["asen_pp"])
    assert not {to_hex(second.get_color()), to_hex(first.get_color())} & {
        colour.lower() for name, colour in METHODS.items() if name != "asen_pp"
    }
