"""From a trial's values to a run's settings."""

from __future__ import annotations

import keras_tuner
import pytest

from asen_study.matrix import images_seen
from asen_study.tuning import DEFAULT_FIELDS, FIELDS, RunSettings
from asen_tf.config import ConfigError
from asen_tf.presets import compact, paper, preset, smoke, zappos50k

ALL = ("all",)


def space(name: str, *fields: str) -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    RunSettings(preset(name), fields).build(hp)
    return hp


@pytest.mark.parametrize("name", ["paper", "quick", "tune", "smoke"])
def test_the_default_of_the_space_is_the_preset(name: str) -> None:
    settings = RunSettings(preset(name), ALL)
    assert settings.build(keras_tuner.HyperParameters()) == preset(name)


def test_the_space_has_the_settings_that_the_search_promises() -> None:
    kinds = {
        *("stage1_learning_rate", "stage2_local_learning_rate", "stage2_global_learning_rate"),
        *("margin", "local_loss_weight", "alignment_loss_weight", "roi_threshold"),
        *("fusion_weight", "embedding_dim", "attribute_dim", "global_attention_dim"),
        *("local_attention_dim", "channel_attribute_dim", "sampling"),
    }
    assert set(FIELDS) == kinds == {hp.name for hp in space("quick", "all").space}
    assert [hp.name for hp in space("quick", "margin", "sampling").space] == ["margin", "sampling"]


def test_unless_told_otherwise_the_few_that_tell_in_a_short_search_are_asked_about() -> None:
    few = ["stage1_learning_rate", "local_loss_weight", "alignment_loss_weight"]
    few += ["margin", "roi_threshold", "fusion_weight"]
    assert list(DEFAULT_FIELDS) == few == [hp.name for hp in space("quick").space]


def test_ranges_follow_the_preset() -> None:
    by_name = {hp.name: hp for hp in space("compact", "all").space}
    rate = by_name["stage1_learning_rate"]
    assert (rate.min_value, rate.max_value, rate.sampling) == (0.00025, 0.004, "log")
    assert list(by_name["embedding_dim"].values) == [128, 256, 512]


def test_random_triplets_are_as_many_images() -> None:
    config = RunSettings(compact()).settings({"sampling": "random_triplets"})
    assert (config.sampling, config.triplets_per_step) == ("random_triplets", 24)
    assert images_seen(config.to_dict()) == images_seen(compact().to_dict())


def test_numbers_have_three_digits_so_that_a_worker_makes_the_same_run() -> None:
    settings = RunSettings(compact())
    exact = settings.settings({"margin": 0.123449})
    rounded = settings.settings({"margin": 0.12344899773597717})  # the same in single precision
    assert exact == rounded == compact().override(margin=0.123)


def test_kerastuners_own_entries_are_dropped() -> None:
    values = {"margin": 0.3, "tuner/trial_id": "0003", "tuner/bracket": 1, "tuner/round": 1}
    assert RunSettings(compact()).settings(values) == compact().override(margin=0.3)


@pytest.mark.parametrize(
    ("budget", "stages"),  # of 6 + 4 epochs
    [(1, (1, 1)), (2, (1, 1)), (3, (2, 1)), (4, (2, 2)), (5, (3, 2)), (10, (6, 4))],
)
def test_hyperbands_epochs_are_shared_among_the_stages(
    budget: int, stages: tuple[int, int]
) -> None:
    config = RunSettings(compact()).settings({"tuner/epochs": budget, "tuner/initial_epoch": 0})
    assert (config.stage1_epochs, config.stage2_epochs) == stages


@pytest.mark.parametrize(
    ("config", "fields", "says"),
    [
        (smoke(), ("marign",), "'marign' is not a setting that can be searched; .* 'margin'"),
        (smoke(), ("seed",), "'seed' is not a setting that can be searched"),
        (smoke().override(local_loss_weight=0.0), (), "local_loss_weight.*above 0; got 0.0"),
        (zappos50k(), (), "a dataset of listed triplets does not have"),
    ],
)
def test_what_cannot_be_searched_is_an_error(config, fields, says) -> None:
    with pytest.raises(ConfigError, match=says):
        RunSettings(config, fields)


def test_the_paper_can_be_searched_without_reading_any_weights() -> None:
    assert RunSettings(paper(), ("margin",)).build(keras_tuner.HyperParameters()) == paper()
