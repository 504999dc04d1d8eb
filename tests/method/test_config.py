"""The configuration: its rules, its copies and its hash."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import typing

import pytest

from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.presets import PRESETS, paper, preset, quick, smoke

NAMES = [field.name for field in dataclasses.fields(ExperimentConfig)]
WRONG_TYPES = {str: 1, int: True, float: "0.5", bool: 1}


def another(name: str) -> object:
    """Return a lawful value of a setting that is not its default."""
    choices = {
        "method": "csn",
        "loss": "npairs",
        "csn_masks": "disjoint",
        "preprocessing": "release",
        "initial_values": "keras",
        "local_start": "global",
        "feature_map": "linear",
        "attribute_tables": "separate",
        "region": "centre",
        "region_rule": "mass",
        "least_region": 0.5,
        "region_jitter": 0.2,
        "map_reading": "cells",
        "fit": "whole_edge",
        "stages": 1,
        "alignment": "e_info_nce",
        "stage2_start": "best",
        "missing_images": "skip",
        "starting_weights": "random",
        "sampling": "batch_all",
        "mixed_precision": "mixed_float16",
        "strategy": "mirrored",
        "global_backbone": "compact",
        "local_backbone": "keras:MobileNetV2",
        "pretrain_backbone": "resnet34",
    }
    value = getattr(ExperimentConfig(), name)
    if name in choices:
        return choices[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "2"
    return value + 1 if isinstance(value, int) else value / 2


def test_settings_have_plain_types_since_papermill_and_keras_tuner_pass_no_other() -> None:
    assert set(typing.get_type_hints(ExperimentConfig).values()) == {str, int, float, bool}


# === Rules ===


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_refuses_another_type(name: str) -> None:
    kind = type(getattr(ExperimentConfig(), name))
    with pytest.raises(ConfigError, match=rf"{name} must be of type {kind.__name__}; got"):
        ExperimentConfig().override(**{name: WRONG_TYPES[kind]})
    for value in (None, [1]):
        with pytest.raises(ConfigError, match=rf"{name} must be of type {kind.__name__}; got"):
            ExperimentConfig().override(**{name: value})


def test_an_int_is_not_made_of_a_float() -> None:
    with pytest.raises(ConfigError, match="seed must be of type int; got 1.0 of type float"):
        ExperimentConfig(seed=1.0)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "method",
            "loss",
            "csn_masks",
            "feature_map",
            "attribute_tables",
            "region",
            "region_rule",
            "map_reading",
            "missing_images",
        ),
        *("starting_weights", "sampling", "mixed_precision", "strategy"),
    ],
)
def test_a_choice_refuses_what_is_not_on_the_list_and_shows_the_list(name: str) -> None:
    default = getattr(ExperimentConfig(), name)
    with pytest.raises(ConfigError, match=rf"{name} must be one of .*{default}.*; got 'no such'"):
        ExperimentConfig(**{name: "no such"})


@pytest.mark.parametrize(
    ("name", "lawful", "unlawful"),
    [
        ("roi_threshold", [0.0, 0.99], [-0.01, 1.0]),
        ("region_share", [0.01, 1.0], [0.0, 1.01]),
        ("least_region", [0.0, 1.0], [-0.01, 1.01]),
        ("region_jitter", [0.0, 0.9], [-0.01, 0.91]),
        ("fusion_weight", [0.0, 1.0], [-0.01, 1.01]),
        ("margin", [0.0, 2.0], [-0.01, 2.01, float("nan"), float("inf")]),
        ("values_per_attribute", [2, 1000], [1, 0, 1001]),
        ("images_per_value", [2, 1000], [1, -2, 1001]),
        ("seed", [0, 2**31 - 1], [-1, 2**31]),
        ("global_size", [8, 8192], [0, 7]),
        ("steps_per_epoch", [1], [0, -1]),
        ("pretrain_epochs", [0], [-1]),
        ("bootstrap_resamples", [1], [0]),
        ("stage1_learning_rate", [0.0, 10.0], [-1e-4, float("nan")]),
        ("stage2_decay", [0.0, 1.0], [1.01, float("nan")]),
    ],
)
def test_a_range_includes_its_ends_and_nothing_beyond(
    name: str, lawful: list[float], unlawful: list[float]
) -> None:
    large = {"source_size": 8192}  # px, at least the largest global input
    for value in lawful:
        assert getattr(ExperimentConfig(**{**large, name: value}), name) == value
    for value in unlawful:
        with pytest.raises(ConfigError, match=rf"{name} must lie in \["):
            ExperimentConfig(**{**large, name: value})


@pytest.mark.parametrize("name", ["global_backbone", "local_backbone", "pretrain_backbone"])
def test_a_backbone_is_one_of_ours_or_of_keras(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} must be one of .*compact.*keras:.*'resnet18'"):
        ExperimentConfig(**{name: "resnet18"})


def test_where_the_cells_of_other_networks_see_is_not_known() -> None:
    with pytest.raises(ConfigError, match="'keras:VGG16'; take map_reading='released'"):
        ExperimentConfig(map_reading="cells", global_backbone="keras:VGG16")
    assert ExperimentConfig(map_reading="released", global_backbone="keras:VGG16")


def test_a_source_is_at_least_as_large_as_the_global_input() -> None:
    with pytest.raises(ConfigError, match="got source_size=223 and global_size=224; raise the one"):
        ExperimentConfig(source_size=223)
    assert ExperimentConfig(source_size=224).global_size == 224
    assert all(preset(name).source_size >= preset(name).global_size for name in PRESETS)


@pytest.mark.parametrize("part", ["global", "local"])
def test_an_input_holds_a_patch_of_the_vit(part: str) -> None:
    vit = {f"{part}_backbone": "vit_b16"}
    with pytest.raises(ConfigError, match=f"{part}_size must be at least 16 with {part}_backbone"):
        ExperimentConfig(**vit, **{f"{part}_size": 15})
    assert ExperimentConfig(**vit, **{f"{part}_size": 16})
    assert ExperimentConfig(**{f"{part}_size": 15})  # of another backbone
    if part == "local":
        assert ExperimentConfig(**vit, local_size=15, method="asen_v2")  # which has no local branch
        with pytest.raises(ConfigError, match="local_size must be at least 16"):
            ExperimentConfig(**vit, local_size=15, method="rpf")


def test_a_vit_is_not_pretrained_below_a_patch_either() -> None:
    small = {"pretrain_backbone": "vit_b16", "global_size": 15}
    with pytest.raises(ConfigError, match="global_size must be at least 16 with pretrain_backbone"):
        ExperimentConfig(**small, pretrain_epochs=1)
    assert ExperimentConfig(**small)  # without an epoch it is not trained


def test_an_int_becomes_the_float_that_a_setting_wants() -> None:
    config = ExperimentConfig().override(margin=1)
    assert type(config.margin) is float and config.margin == 1.0
    assert config.hash == ExperimentConfig(margin=1.0).hash


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("marign", "margin"),
        ("sead", "seed"),
        ("stage1_learning_rat", "stage1_learning_rate"),
        ("roi_treshold", "roi_threshold"),
    ],
)
def test_an_unknown_name_suggests_the_near_one(wrong: str, near: str) -> None:
    for build in (ExperimentConfig().override, lambda **values: ExperimentConfig.from_dict(values)):
        with pytest.raises(ConfigError, match=f"'{wrong}' is not a setting.*did you mean '{near}'"):
            build(**{wrong: 1})


def test_a_name_that_is_near_nothing_lists_them_all() -> None:
    listed = f"there are {', '.join(NAMES)}"
    with pytest.raises(ConfigError, match=f"'tuner/bracket' is not a setting.*{listed}"):
        ExperimentConfig.from_dict({"tuner/bracket": 2})


# === Copies, dictionaries and hashes ===


def test_override_changes_a_copy() -> None:
    config = ExperimentConfig()
    changed = config.override(margin=0.3, seed=7)
    assert (config.margin, config.seed) == (0.2, 0)
    assert changed.to_dict() == {**config.to_dict(), "margin": 0.3, "seed": 7}
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.margin = 0.3


@pytest.mark.parametrize("config", [paper(), quick(), smoke()], ids=["paper", "quick", "smoke"])
def test_a_config_survives_a_dictionary_and_json(config: ExperimentConfig) -> None:
    values = config.to_dict()
    assert list(values) == NAMES
    back = ExperimentConfig.from_dict(json.loads(json.dumps(values)))
    assert back == config and back.hash == config.hash


def test_missing_names_of_a_dictionary_have_their_defaults() -> None:
    assert ExperimentConfig.from_dict({}) == ExperimentConfig()
    assert ExperimentConfig.from_dict({"seed": 3}) == ExperimentConfig(seed=3)


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_depends_on_every_setting(name: str) -> None:
    needed = {"loss": {"sampling": "batch_all"}, "networks": {"method": "asen_v2"}}
    needed["local_start"] = {"local_backbone": "resnet50"}
    base = ExperimentConfig(**needed.get(name, {}))
    assert base.override(**{name: another(name)}).hash != base.hash


def test_losses_over_groups_need_groups() -> None:
    with pytest.raises(ConfigError, match="needs sampling='batch_all'; got sampling='random_tri"):
        ExperimentConfig(loss="npairs")


def test_a_local_start_needs_a_stage_of_the_global_branch_and_the_same_backbone() -> None:
    with pytest.raises(ConfigError, match="equal backbones.*'resnet50' and 'resnet34'"):
        ExperimentConfig(local_start="global")
    for changes in ({"stages": 1}, {"method": "asen_v2"}):
        with pytest.raises(ConfigError, match="stages=2"):
            ExperimentConfig(local_start="global", local_backbone="resnet50", **changes)
    with pytest.raises(ConfigError, match="local_start='zooms' .*equal backbones"):
        ExperimentConfig(local_start="zooms")


def test_gates_are_opened_where_there_are_some() -> None:
    with pytest.raises(ConfigError, match="compact backbone; got 'asen_pp' with .*='resnet34'"):
        ExperimentConfig(local_start="placeless")
    with pytest.raises(ConfigError, match="got 'asen_v2' with"):
        ExperimentConfig(local_start="placeless", local_backbone="compact", method="asen_v2")


def test_two_networks_are_of_asen_v2() -> None:
    with pytest.raises(ConfigError, match="needs method='asen_v2'; got method='asen_pp'"):
        ExperimentConfig(networks=2)


def test_listed_triplets_have_no_labels_to_choose_from() -> None:
    with pytest.raises(ConfigError, match="listed triplets have no labels; got train_images=50"):
        ExperimentConfig(train_images=50, sampling="listed_triplets")


def test_a_pretrained_start_needs_an_epoch() -> None:
    with pytest.raises(ConfigError, match="at least one epoch; got pretrain_epochs=0"):
        ExperimentConfig(starting_weights="pretrain")
    assert ExperimentConfig(starting_weights="pretrain", pretrain_epochs=1).pretrain_epochs == 1


def test_random_is_no_method_to_be_run() -> None:
    with pytest.raises(ConfigError, match="random is exact and needs no run"):
        ExperimentConfig(method="random")


def test_the_hash_is_the_same_in_another_process_and_for_another_order() -> None:
    config = smoke()
    backwards = dict(reversed(config.to_dict().items()))
    assert ExperimentConfig.from_dict(backwards).hash == config.hash
    assert len(config.hash) == 16 and int(config.hash, 16) >= 0
    command = [sys.executable, "-c", "from asen_tf.presets import smoke; print(smoke().hash)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == config.hash
