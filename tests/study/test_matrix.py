"""The matrix of methods and ablations: every row changes what its name says, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from asen_study.matrix import (
    ABLATIONS,
    CHANGES,
    CONTROLLED,
    CONTROLS,
    FEATURES,
    LABELS,
    LABELS_NEEDED,
    MAIN,
    NEIGHBOURS,
    PHOTOS,
    ROWS,
    images_seen,
    in_fold,
    name_of,
    row_of,
    settings,
)
from asen_study.profiles import PROFILES
from asen_study.runs import select
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.embedder import EmbedderError, model_file
from asen_tf.models import build_model
from asen_tf.presets import compact, paper, preset, quick, smoke

EIGHT = [f"attribute {i}" for i in range(8)]
STUDY = quick().override(local_size=80)  # px; so that every row of another size differs

# The settings that each row may change, written down a second time.
ADAPTED = {
    *("local_start", "alignment_loss_weight", "local_size", "fusion_weight"),
    *("stage1_decay", "stage2_global_learning_rate", "stage2_decay"),
}
COMPACT = {
    *("global_backbone", "global_size", "local_backbone", "local_size", "starting_weights"),
    *("pretrain_epochs", "pretrain_batch", "pretrain_learning_rate"),
    *("frozen_stages", "backbone_rate_share", "train_batch_norms"),
}
VARIED = {
    "features": {"method"},
    "features/whitened": {"method", "feature_map"},
    "features/linear": {"method", "feature_map"},
    "triplet": {"method"},
    "triplet/semi_hard": {"method", "loss"},
    "triplet/hard": {"method", "loss"},
    "triplet/npairs": {"method", "loss"},
    "triplet/lifted_struct": {"method", "loss"},
    "triplet/contrastive": {"method", "loss"},
    "csn": {"method"},
    "csn/disjoint": {"method", "csn_masks"},
    "asen": {"method"},
    "asen_v2": {"method"},
    "asen_v2/two_seeds": {"method", "networks"},
    "asen_v2/same_rates": {"method", "single_branch_stages"},
    "asen_v2/compact": {
        *("method", "global_backbone", "global_size", "starting_weights"),
        *("pretrain_epochs", "pretrain_batch", "pretrain_learning_rate"),
        *("frozen_stages", "backbone_rate_share", "train_batch_norms"),
    },
    "asen_v2/random_start": {
        *("method", "starting_weights"),
        *("frozen_stages", "backbone_rate_share", "train_batch_norms"),
    },
    "asen_pp": set(),
    "asen_pp/adapted": ADAPTED,
    "asen_pp/whole_frame": {"region"},
    "asen_pp/adapted_whole_frame": {*ADAPTED, "region"},
    "rpf": {"method", "fusion_weight", "alignment", "alignment_loss_weight"},
    "asen_pp/e_info_nce": {"alignment", "alignment_loss_weight"},
    "asen_pp/no_asa": {"spatial_attention"},
    "asen_pp/no_aca": {"channel_attention"},
    "asen_pp/no_attention": {"spatial_attention", "channel_attention"},
    "asen_pp/no_alignment": {"alignment_loss_weight"},
    "asen_pp/one_stage": {"stages"},
    "asen_pp/separate_tables": {"attribute_tables"},
    "asen_pp/random_triplets": {"sampling", "triplets_per_step"},
    "asen_pp/three_attributes": {"attributes_per_step", "steps_per_epoch"},
    "asen_pp/true_region": {"region"},
    "asen_pp/centre_crop": {"region"},
    **{f"asen_pp/threshold_{value}": {"roi_threshold"} for value in (0.05, 0.2, 0.3, 0.4, 0.6)},
    **{f"asen_pp/local_size_{side}": {"local_size"} for side in (32, 64, 96, 128, 160)},
    "asen_pp/constant_rates": {"stage1_decay", "stage2_decay"},
    "asen_pp/one_fall": {"stage1_decay", "stage2_global_learning_rate", "stage2_decay"},
    "asen_pp/local_start": {"local_start"},
    "asen_pp/zoomed_start": {"local_start"},
    "asen_pp/compact": COMPACT,
    "asen_pp/compact_placeless": {*COMPACT, "local_start"},
    **{f"asen_pp/alignment_{weight}": {"alignment_loss_weight"} for weight in (0.01, 0.02, 0.03)},
    "asen_pp/keras_values": {"initial_values"},
    "asen_pp/longer_stage1": {"stage1_epochs", "stage1_decay"},
    "asen_pp/cells": {"map_reading"},
    "asen_pp/mass": {"region_rule"},
    "asen_pp/peak": {"region_rule", "least_region"},
    "asen_pp/jitter": {"region_jitter"},
    "asen_pp/all_attributes": {"attributes_per_step", "steps_per_epoch"},
    "asen_pp/global_192": {"global_size"},
    "asen_pp/tight_160": {"roi_threshold", "local_size"},
    "asen_pp/adapted_constant": ADAPTED - {"stage2_global_learning_rate"},
    "asen_pp/adapted_no_alignment": ADAPTED,
    "asen_pp/adapted_192": {*ADAPTED, "global_size"},
}


def test_every_row_is_here() -> None:
    assert set(VARIED) == set(ROWS) and set(MAIN) <= set(ROWS)
    assert set(LABELS) == {"random", *ROWS}
    assert len(set(LABELS.values())) == len(LABELS)


def test_a_row_is_named_with_its_embedding_and_an_unknown_one_as_it_is() -> None:
    names = {name: name_of(name) for name in ("asen_pp/no_asa", "asen_pp:local", "mine", "random")}
    assert [*names.values()] == ["ASEN++ without ASA", "ASEN++ local", "mine", "Random"]


@pytest.mark.parametrize("row", VARIED)
def test_a_row_differs_from_the_study_in_what_it_names_alone(row: str) -> None:
    study, found = STUDY.to_dict(), settings(row, STUDY).to_dict()
    assert {name for name in study if study[name] != found[name]} == VARIED[row]


@pytest.mark.parametrize("row", VARIED)
def test_every_row_that_is_trained_sees_as_many_images(row: str) -> None:
    # 80 steps of 3 attributes, 4 values and 6 images, for 6 + 4 epochs, for each network.
    networks = {"features": 0, "features/whitened": 0, "asen_v2/two_seeds": 2}.get(row, 1)
    # Two first stages, or one that is twice as long.
    longer = ("asen_pp/zoomed_start", "asen_pp/longer_stage1")
    epochs = 6 + 6 + 4 if row in longer else 10
    assert images_seen(settings(row, compact()).to_dict()) == networks * 80 * 72 * epochs


def test_a_first_stage_that_is_longer_ends_at_the_same_rate() -> None:
    study, row = quick(), settings("asen_pp/longer_stage1", quick())
    ends = [c.stage1_decay ** (c.stage1_epochs - 1) for c in (study, row)]
    assert row.stage1_epochs == 2 * study.stage1_epochs and ends[1] == pytest.approx(ends[0], 0.01)


@pytest.mark.parametrize("row", VARIED)
def test_a_run_is_found_again_as_its_row_whatever_its_seed(row: str) -> None:
    assert row_of(settings(row, STUDY).override(seed=7).to_dict(), STUDY) == row


def test_a_seed_is_a_fold_where_the_datasets_name_says_so() -> None:
    study = compact().override(dataset="Photographs-{seed}")
    fold = in_fold(study, 3)
    assert (fold.dataset, fold.seed) == ("Photographs-3", 3)
    assert row_of(settings("csn", fold).to_dict(), study) == "csn"
    assert row_of(settings("csn", fold).override(seed=2).to_dict(), study) is None
    assert in_fold(compact(), 3) == compact().override(seed=3)


def test_the_studies_rows_are_of_the_matrix() -> None:
    assert set(PHOTOS) < set(ROWS) and set(FEATURES) | set(LABELS_NEEDED) < set(PHOTOS)
    left_out = {name for name in ROWS if name.startswith("asen_pp/threshold_")}
    left_out |= {*CHANGES} - {"asen_pp", "asen_pp/no_alignment"}
    left_out |= {"asen_pp/adapted", *(f"asen_pp/local_size_{side}" for side in (32, 64, 96)), "rpf"}
    left_out |= {"triplet/semi_hard", "triplet/npairs", "triplet/lifted_struct", "csn/disjoint"}
    left_out |= {"asen_pp/separate_tables"}
    assert set(ABLATIONS) == set(ROWS) - {*FEATURES, *CONTROLS, *left_out}
    controls = {"asen_v2", *CONTROLS}
    for row in ("asen_pp", "asen_pp/adapted"):
        assert {(row, other) for other in controls} < set(NEIGHBOURS)
    assert controls < set(PHOTOS) and controls < set(CONTROLLED)
    for row in ("csn", "asen", "asen_v2", "asen_pp"):  # what training buys
        assert {(row, features) for features in FEATURES} < set(NEIGHBOURS)


@pytest.mark.parametrize("name", PROFILES)
def test_no_two_rows_of_a_study_have_the_same_settings(name: str) -> None:
    profile = PROFILES[name]
    study = preset(profile.preset).override(**profile.changes)
    found = {settings(row, study).hash: row for row in profile.rows}
    assert len(found) == len(profile.rows)
    fold = in_fold(study, 0)
    assert [row_of(settings(row, fold).to_dict(), study) for row in profile.rows] == [*profile.rows]


def test_the_two_parts_of_the_ablations_together_keep_within_their_ten_hours() -> None:
    planned = [PROFILES[name].minutes for name in ("ablations", "parts")]
    assert all(minutes["train"] > 0 for minutes in planned)
    assert sum(sum(minutes.values()) for minutes in planned) <= 600
    page = Path(__file__).parents[2] / "docs" / "study.md"
    promised = r"make study PROFILE=ablations +# \d+ rows: ten hours on two cores"
    assert re.search(promised, page.read_text(encoding="utf-8"))


def test_a_run_from_before_a_setting_is_its_row() -> None:
    made = settings("csn", compact()).to_dict()
    del made["stage1_zooms"]
    assert row_of(made, compact()) == "csn"
    assert row_of({**made, "stage1_zooms": True}, compact()) is None
    assert row_of({**made, "forgotten": 1}, compact()) is None


def test_a_variation_that_is_no_row_is_none() -> None:
    assert row_of(compact().override(margin=0.3).to_dict(), compact()) is None
    both = settings("asen_pp/no_asa", compact()).override(stages=1)
    assert row_of(both.to_dict(), compact()) is None


def test_neighbours_are_rows_and_every_row_has_one() -> None:
    names = {name.split(":")[0] for pair in NEIGHBOURS for name in pair}
    assert names == {"random", *ROWS}
    assert all(first != second for first, second in NEIGHBOURS)
    assert len(set(NEIGHBOURS)) == len(NEIGHBOURS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("asen_pp/no_asaa", "did you mean 'asen_pp/no_asa'"),
        ("cnn", "did you mean 'csn'"),
        ("xyzzy", "there are features, "),
        ("random", "known exactly and needs no run"),
    ],
)
def test_unknown_rows_are_refused(row: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(row, compact())


# === Sizes at the paper's settings, worked by hand ===

BACKBONE = 8_543_296  # ResNet-50 up to its third stage, see test_backbones.py


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


PROJECTION = dense(1024, 1024)
GATES = dense(1024 + 512, 512) + dense(512, 1024)
SIZES = {
    "features": 0,
    "features/whitened": 0,
    "features/linear": 8 * PROJECTION,
    "triplet": BACKBONE + PROJECTION,
    "csn": BACKBONE + PROJECTION + 8 * 1024,  # a mask of 1,024 for each attribute
    "csn/disjoint": BACKBONE + PROJECTION,  # masks that are not trained
    # one-hot: 8 x 512 to the query, 8 x 1024 to r, both without bias; 2048 -> 512 -> 1024
    "asen": BACKBONE
    + dense(1024, 512)
    + 8 * 512
    + dense(512, 1)
    + 8 * 1024
    + dense(2048, 512)
    + dense(512, 1024)
    + PROJECTION,
    # table, key and its batch norm, query, r, gates; no projection
    "asen_v2": BACKBONE + 8 * 512 + dense(1024, 512) + 2 * 512 + 2 * dense(512, 512) + GATES,
    "asen_v2/two_seeds": 2
    * (BACKBONE + 8 * 512 + dense(1024, 512) + 2 * 512 + 2 * dense(512, 512) + GATES),
    "asen_pp": 20_984_064,
    "asen_pp/separate_tables": 20_984_064 + 8 * 512,
    # both branches without key and query
    "asen_pp/no_asa": 20_984_064
    - (dense(1024, 512) + dense(512, 512))
    - (dense(256, 256) + dense(512, 256)),
    # both branches without r and gates
    "asen_pp/no_aca": 20_984_064
    - (dense(512, 512) + GATES)
    - (dense(512, 512) + dense(256 + 512, 128) + dense(128, 256)),
}


@pytest.mark.parametrize("row", SIZES)
def test_trainable_parameters_at_the_papers_size(row: str) -> None:
    model = build_model(settings(row, paper()), EIGHT)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == SIZES[row]


@pytest.mark.parametrize("row", ["triplet", "csn", "asen_v2", "asen_pp", "asen_pp/no_asa"])
@pytest.mark.parametrize("name", ["paper", "zappos50k"])
def test_rows_are_known_in_studies_of_triplets_that_rule_some_rows_out(row: str, name: str) -> None:
    assert row_of(settings(row, preset(name)).override(seed=3).to_dict(), preset(name)) == row
    with pytest.raises(ConfigError, match="sampling='batch_all'"):
        settings("triplet/hard", preset(name))


def record(study: Path, made: list[tuple[str, int]]) -> None:
    """Leave what `select` looks at of runs, given by row and seed."""
    for row, seed in made:
        place = study / f"{row.replace('/', '-')}-{seed}"
        place.mkdir()
        config = settings(row, smoke()).override(seed=seed)
        origin = {"code_fingerprint": "c", "data_fingerprint": "d", "created": "2026"}
        for name, content in (("config", config.to_dict()), ("manifest", origin), ("metrics", {})):
            (place / f"{name}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_second_network_of_a_pair_alone_is_in_no_table(
    seeds: tuple[int, ...], tmp_path: Path
) -> None:
    made = [(row, seed) for row in ("asen_v2", "asen_pp", "asen_v2/two_seeds") for seed in seeds]
    record(tmp_path, [*made, ("asen_v2", seeds[-1] + 1)])
    found = select(tmp_path, smoke())
    counted = [run.settings["seed"] for run in found.runs]
    assert sorted(zip(found.rows, counted, strict=True)) == sorted(made)
    assert set(found.left_out) == {f"asen_v2-{seeds[-1] + 1}"}


def test_a_network_with_a_seed_of_its_own_is_no_second_one_of_a_pair(tmp_path: Path) -> None:
    made = [*(("asen_v2", seed) for seed in range(3)), ("asen_v2/two_seeds", 0)]
    record(tmp_path, made)
    assert not select(tmp_path, smoke()).left_out


def test_no_more_attributes_are_seen_than_there_are() -> None:
    study = preset("photos")
    seen = images_seen(study.to_dict())
    assert seen == images_seen(study.to_dict(), 10)
    assert images_seen(study.to_dict(), 2) == seen * 2 // study.attributes_per_step < seen


# === Which model a study's folder stands for ===


def finish(study: Path, name: str, config: ExperimentConfig, created: str = "2026-01-01") -> Path:
    """Leave what `model_file` looks at of a finished run; return its model."""
    file = study / name / "model.keras"
    file.parent.mkdir(parents=True)
    file.touch()
    file.with_name("config.json").write_text(json.dumps(config.to_dict()))
    file.with_name("manifest.json").write_text(json.dumps({"created": created}))
    return file


@pytest.mark.parametrize("name", ["quick", "photos", "smoke"])
def test_a_studys_folder_stands_for_plain_asen_pp_whatever_was_varied(
    tmp_path: Path, name: str
) -> None:
    varied = [
        row
        for row, changes in ROWS.items()
        if row.startswith("asen_pp/")
        and changes.get("global_size", 0) <= preset(name).source_size  # a study cannot have others
    ]
    for number, row in enumerate(varied):  # one at a time, beside one other method
        study = tmp_path / str(number)
        finish(study, "asen_pp-seed0-0", settings(row, preset(name)))
        finish(study, "asen_v2-seed0-1", settings("asen_v2", preset(name)))
        plain = finish(study, "asen_pp-seed0-f", settings("asen_pp", preset(name)))
        assert model_file(study) == plain or settings(row, preset(name)) == preset(name), row
    for number, row in enumerate(varied):  # all at once, without another method
        finish(tmp_path / "all", f"asen_pp-seed0-{number:02d}", settings(row, preset(name)))
    finish(tmp_path / "all", "asen_pp-seed0-f", preset(name))
    chosen = model_file(tmp_path / "all").with_name("config.json")
    assert json.loads(chosen.read_text()) == preset(name).to_dict()


def test_what_was_built_and_not_trained_and_what_is_stale_does_not_count(tmp_path: Path) -> None:
    study = smoke()
    begun = tmp_path / "asen_pp-seed0-0"
    begun.mkdir()
    (begun / "model.keras").touch()
    odd = finish(tmp_path, "asen_pp-seed0-5", study)
    odd.with_name("config.json").write_text("[]")
    finish(tmp_path, "asen_pp-seed0-1", study, "2026-01-01T00:00:00+00:00")
    newest = finish(tmp_path, "asen_pp-seed0-2", study, "2026-03-01T00:00:00+00:00")
    finish(tmp_path, "asen_pp-seed0-3", study, "2026-02-01T00:00:00+00:00")
    finish(tmp_path, "asen_pp-seed1-0", study.override(seed=1), "2026-04-01T00:00:00+00:00")
    assert model_file(tmp_path) == newest  # of the lowest seed
    varied = finish(tmp_path, "asen_pp-seed0-4", settings("asen_pp/no_asa", study))
    with pytest.raises(EmbedderError) as raised:  # nothing tells which of the two is the variation
        model_file(tmp_path)
    assert varied.parent.name in str(raised.value) and "asen_pp-seed0-2" in str(raised.value)
    assert begun.name not in str(raised.value) and "give its path" in str(raised.value)


def test_folds_are_one_study_and_two_methods_are_not_one_model(tmp_path: Path) -> None:
    study = preset("photos").override(dataset="ClothingAttributes-{seed}")
    for seed in (2, 0, 1):
        for row in ("asen_v2", "asen_pp", "asen_pp/whole_frame"):
            name = f"{row.replace('/', '-')}-{seed}"
            finish(tmp_path / "folds", name, settings(row, in_fold(study, seed)))
    assert model_file(tmp_path / "folds").parent.name == "asen_pp-0"
    for row in ("features", "asen_v2"):
        finish(tmp_path / "two", row, settings(row, study))
    with pytest.raises(EmbedderError, match="found: asen_v2, features; give its path"):
        model_file(tmp_path / "two")


def test_a_run_that_is_not_finished_does_not_count_as_a_model(tmp_path: Path) -> None:
    finish(tmp_path, ".tmp-0a1b2c3d-asen_pp-seed0", smoke())  # killed while it was measured
    with pytest.raises(EmbedderError, match="must hold one model.keras; found: none"):
        model_file(tmp_path)
    finished = finish(tmp_path, "asen_pp-seed1", smoke().override(seed=1))
    assert model_file(tmp_path) == finished
