"""Every method and kind of loss trains on the smoke preset, the way studies train it."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from asen_study import experiment, production
from asen_study.matrix import settings
from asen_study.runs import Places, Run
from asen_tf.config import ExperimentConfig
from asen_tf.data.dataset import Dataset
from asen_tf.layers import PositionGate
from asen_tf.models import SimilarityModel
from asen_tf.presets import smoke
from asen_tf.training import StageResult

pytestmark = pytest.mark.studies

# Their losses and masks have tests of their own.
SLOW = (
    *("triplet/semi_hard", "triplet/hard", "triplet/npairs", "triplet/lifted_struct"),
    "csn/disjoint",
)
ROWS = (
    *("triplet", "triplet/contrastive", "csn", "asen", "asen_v2", "asen_pp"),
    *("asen_pp/no_attention", "asen_pp/one_stage", "asen_pp/separate_tables"),
    *("asen_pp/true_region", "asen_pp/random_triplets"),
    *("asen_pp/whole_frame", "asen_v2/same_rates", "asen_v2/two_seeds", "rpf"),
)
TWO_BRANCHES = ("asen_pp", "rpf")  # what the names of such rows begin with
every_row = pytest.mark.parametrize(
    "row", [*ROWS, *(pytest.param(row, marks=pytest.mark.slow) for row in SLOW)]
)


class Trained(dict):
    """Runs by row; a row that is asked for is trained, all in one process."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def __missing__(self, row: str) -> Run:
        self[row] = experiment.run(settings(row, smoke()), self.places)
        return self[row]


@pytest.fixture(scope="module")
def data(smoke_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the runs that the study has made, and what they started from."""
    path = tmp_path_factory.mktemp("methods")
    (path / "data").symlink_to(smoke_study / "data")
    for manifest in (smoke_study / "results" / "smoke").glob("*/manifest.json"):
        shutil.copytree(manifest.parent, path / "results" / "smoke" / manifest.parent.name)
    return path


@pytest.fixture(scope="module")
def runs(data: Path) -> dict[str, Run]:
    """All rows, one after the other in a process that has trained others before."""
    trained = Trained(Places(data / "data", data / "results", "smoke"))
    assert all(trained[row] for row in ROWS)
    return trained


@every_row
def test_losses_and_scores_are_finite(runs: dict[str, Run], row: str) -> None:
    history, scores = runs[row].table("history"), runs[row].table("map")
    assert len(history) == 4 * runs[row].config.networks  # epochs, of one stage or of two
    branches = ("global", "local", "alignment") if row.startswith(TWO_BRANCHES) else ("global",)
    for name in ("loss", *branches):
        # The first of two stages trains the global branch alone and knows no other loss.
        alone = (history["stage"] == "stage1") & (name in ("local", "alignment"))
        losses = history.loc[~alone, name]
        assert len(losses) >= 2 and np.isfinite(losses).all() and (losses > 0).all(), name
    assert history["val_map"].between(0, 100).all()
    assert scores["map"].between(0, 100).all() and scores["map"].nunique() > 3
    embeddings = {"global", "local", "fused"} if row.startswith(TWO_BRANCHES) else {"global"}
    assert set(scores["embedding"]) == {"-", *embeddings}
    answers = runs[row].table("triplets")
    assert set(answers["embedding"]) == embeddings and answers["accuracy"].between(0, 100).all()


@every_row
def test_weights_moved_and_stayed_finite(runs: dict[str, Run], row: str) -> None:
    model = runs[row].load_model()
    for weight in model.weights:
        assert np.isfinite(weight.numpy()).all(), weight.name


def test_backbone_and_first_stage_are_made_once(runs: dict[str, Run], data: Path) -> None:
    study = data / "results" / "smoke"
    assert len(list(study.glob("backbone-seed0-*"))) == 1
    # One for ASEN++ and what differs in the second stage alone; one without attention; one for
    # other triplets; one for ASEN_v2 at its rates; one for RPF. One stage from the start has none.
    assert len(list(study.glob("stage1-*"))) == 5
    first = [runs[row].table("history").iloc[:2] for row in ("asen_pp", "asen_pp/true_region")]
    pd.testing.assert_frame_equal(*first)


def test_true_regions_are_what_the_local_branch_saw(runs: dict[str, Run], data: Path) -> None:
    config = runs["asen_pp/true_region"].config
    dataset = Dataset(data / "data", config)
    squares = dataset.split("test").squares
    seen = runs["asen_pp/true_region"].test_pairs()
    assert config.region == "true"
    np.testing.assert_array_equal(seen.arrays["boxes"], squares[tuple(seen.pairs.T)])
    model = runs["asen_pp/true_region"].load_model()
    with pytest.raises(ValueError, match="only together with the boxes of its parts; got none"):
        model.embed(dataset.split("test").sources[:1], [0])


def test_the_whole_frame_is_what_its_control_saw(runs: dict[str, Run]) -> None:
    boxes = runs["asen_pp/whole_frame"].test_pairs().arrays["boxes"]
    np.testing.assert_array_equal(boxes, np.tile([0, 0, 32, 32], (len(boxes), 1)))


def precisions(run: Run, vectors: np.ndarray, dataset: Dataset) -> dict[str, list[float]]:
    """Rank every query's candidates by dot products, one after the other."""
    split = dataset.split("test").split
    place = {tuple(pair): at for at, pair in enumerate(run.test_pairs().pairs.tolist())}
    found: dict[str, list[float]] = {}
    for image, attribute, value in split.queries[:, :3].tolist():
        others = [c for c in split.candidates[:, :3].tolist() if c[1] == attribute]
        scores = [
            vectors[place[c[0], attribute]] @ vectors[place[image, attribute]] for c in others
        ]
        order = np.argsort(-np.array(scores), kind="stable")
        right = np.array([others[at][2] == value for at in order])
        shares = np.cumsum(right) / np.arange(1, len(right) + 1)
        found.setdefault(split.attributes.names[attribute], []).append(shares[right].mean())
    return found


def test_two_seeds_rank_as_the_fusion_of_two_ordinary_runs(
    runs: dict[str, Run], data: Path
) -> None:
    run, places = runs["asen_v2/two_seeds"], Places(data / "data", data / "results", "smoke")
    count = len(list(places.study_dir.glob("asen_v2-*")))
    other = experiment.run(runs["asen_v2"].config.override(seed=1), places)
    assert len(list(places.study_dir.glob("asen_v2-*"))) == count  # the partner was there
    parts = [part.test_pairs().arrays["global"] for part in (runs["asen_v2"], other)]
    by_hand = np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts])
    by_hand = by_hand.astype(np.float64) / np.sqrt(2.0)
    dataset = Dataset(data / "data", run.config)
    expected = precisions(run, by_hand, dataset)
    assert run.precisions()["global"].keys() == expected.keys()
    for name, values in run.precisions()["global"].items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    model, pairs = run.load_model(), run.test_pairs().pairs[:5]
    images = dataset.split("test").sources[pairs[:, 0]]
    np.testing.assert_allclose(model.embed(images, pairs[:, 1]), by_hand[:5], atol=1e-5)
    assert len({r.path for r in (run, runs["asen_v2"], other)}) == 3
    assert run.settings["networks"] == 2 and run.manifest["seed"] == 0
    assert list(run.table("history")["stage"].unique()) == ["seed 0", "seed 1"]


def test_the_second_stage_can_start_from_the_best_epoch_of_the_first(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falling(split: object, batch: int):
        epochs = itertools.count()
        return lambda network: {"val_map": -float(next(epochs))}  # the first epoch is the best

    monkeypatch.setattr(experiment, "validate", falling)
    places = Places(data / "data", tmp_path, "best")
    dataset = production.open_dataset(smoke(), places)
    config = settings("rpf", smoke()).override(starting_weights="random", stage1_flips=True)
    start = {}
    for name, changes in {
        "best": {"stage2_start": "best"},
        "last": {},
        "first": {"stage1_epochs": 1},
    }.items():
        stage = experiment._first_stage(config.override(**changes), dataset, places)
        with np.load(stage.path / "global.npz") as stored:
            start[name] = [stored[key] for key in stored.files]
    same = {name: all(map(np.array_equal, start["best"], arrays)) for name, arrays in start.items()}
    assert same == {"best": True, "last": False, "first": True}


def test_a_local_branch_can_start_from_random_squares_or_without_places(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Begins(Exception):
        """The second stage is about to be trained."""

    train = experiment.train

    def until_joint(model: SimilarityModel, *arguments, **options) -> StageResult:
        phase = arguments[2]
        if phase.joint:
            raise Begins(*(backbone for _, backbone in model.backbones))
        assert phase.moves in ((), ("zooms",))
        return train(model, *arguments, **options)

    monkeypatch.setattr(experiment, "train", until_joint)
    places = Places(data / "data", data / "results", "starts")

    def begun(config: ExperimentConfig) -> list[keras.Model]:
        with pytest.raises(Begins) as raised:
            experiment.run(config, places)
        return list(raised.value.args)

    config = settings("asen_pp/zoomed_start", smoke())
    found = [backbone.get_weights() for backbone in begun(config)]
    dataset = production.open_dataset(config, places)
    plain = config.override(starting_weights="random")
    own = experiment.starting_model(plain, dataset.attributes.names)
    for weights, zooms in zip(found, (False, True), strict=True):
        stage = experiment._first_stage(config.override(stage1_zooms=zooms), dataset, places)
        experiment._load_first_stage(own, stage)
        assert all(map(np.array_equal, weights, own.backbones[0][1].get_weights()))
    assert not all(map(np.array_equal, *found))

    features = tf.random.stateless_normal((2, 5, 5, 256), seed=(0, 1))
    closed, opened = (
        next(layer for layer in backbone.layers if isinstance(layer, PositionGate))(features)
        for backbone in begun(config.override(local_start="placeless"))
    )
    np.testing.assert_array_equal(opened, features)
    assert np.abs(closed - features).max() > 0.1


def test_learned_masks_move_and_fixed_ones_stay(runs: dict[str, Run]) -> None:
    fixed = runs["csn/disjoint"].load_model().branch.get_layer("global_mask").weight.numpy()
    assert set(np.unique(fixed)) == {0.0, 1.0} and (fixed.sum(axis=0) == 1).all()
    learned = runs["csn"].load_model().branch.get_layer("global_mask").weight.numpy()
    assert len(np.unique(learned)) == learned.size  # where N(0.9, 0.7) and the training put them


def test_a_second_table_learns_something_else(runs: dict[str, Run]) -> None:
    model = runs["asen_pp/separate_tables"].load_model()
    tables = [table.embeddings.numpy() for table in (model.attribute_table, model.local_table)]
    assert np.abs(tables[0] - tables[1]).max() > 1e-3
    shared = runs["asen_pp"].load_model()
    assert shared.local_table is shared.attribute_table
