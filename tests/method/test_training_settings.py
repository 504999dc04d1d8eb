"""What a stage is trained with: rates, frozen layers, its epochs in the plan, moved images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from small_model import small_model

from asen_tf.config import ExperimentConfig
from asen_tf.models import AsenPlusPlus
from asen_tf.presets import smoke
from asen_tf.training import similarity
from asen_tf.training.optimizers import LearningRateGroup

SHARE, JITTER = 0.25, 0.1  # of a backbone's rate; of a region's side


class Begun:
    """Takes the place of the training: keeps what it was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.planned: list[int] = []
        monkeypatch.setattr(similarity, "grouped_optimizer", self.optimizer)
        monkeypatch.setattr(similarity, "run_stage", self.stage)
        monkeypatch.setattr(similarity, "epoch_planner", lambda *_: self.planned.append)

    def optimizer(self, groups: list[LearningRateGroup], **decay: float) -> tuple[Any, list]:
        self.groups, self.decay = groups, decay
        return keras.optimizers.Adam(), []

    def stage(self, trainer: keras.Model, steps: partial, state: Any, **options: Any) -> None:
        self.plan, self.shown, self.options = steps.args[0], steps.keywords, options

    @property
    def rates(self) -> dict[str, float]:
        """The rate of each variable that is trained, by name."""
        return {
            variable.name: group.learning_rate
            for group in self.groups
            for variable in group.variables
        }


def begin(
    config: ExperimentConfig, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Begun, AsenPlusPlus, similarity.Phase]:
    """Begin a stage of a small ASEN++; nothing is trained."""
    model, begun = small_model(), Begun(monkeypatch)
    (phase,) = (phase for phase in similarity.phases(config) if phase.name == name)
    arrays = dict.fromkeys(("views", "sources"), np.zeros((2, 8, 8, 3), np.uint8))
    images = SimpleNamespace(split=SimpleNamespace(triplets=None), squares=None, **arrays)
    dataset = SimpleNamespace(split={"train": images}.__getitem__)
    similarity.train(model, config, dataset, phase, directory=folder, validate=lambda _: {})
    return begun, model, phase


def norms(model: AsenPlusPlus) -> list[keras.layers.Layer]:
    """Return the batch normalisations of all backbones."""
    kind = keras.layers.BatchNormalization
    return [each for _, part in model.backbones for each in part.layers if isinstance(each, kind)]


def settings(**more: Any) -> ExperimentConfig:
    return smoke().override(
        stage1_epochs=3, stage2_epochs=2, steps_per_epoch=7, stage2_decay_epochs=5, **more
    )


def test_the_second_stage_is_trained_as_its_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(
        train_batch_norms=False, backbone_rate_share=SHARE, region_jitter=JITTER, stage2_decay=0.5
    )
    begun, model, phase = begin(config, "stage2", tmp_path, monkeypatch)
    # Backbones learn at a share of their branch's rate.
    rates = {"global": config.stage2_global_learning_rate}
    rates["local"] = config.stage2_local_learning_rate
    assert len({*rates.values(), *(SHARE * rate for rate in rates.values())}) == 4
    inside = {v.name for _, part in model.backbones for v in part.trainable_variables}
    for name, rate in begun.rates.items():
        expected = rates["local" if name.startswith("local") else "global"]
        assert rate == pytest.approx(expected * (SHARE if name in inside else 1.0)), name
    assert begun.rates.keys() == {variable.name for variable in model.trainable_variables}
    assert inside < begun.rates.keys()
    # Their batch normalisation keeps scale and statistics.
    assert norms(model) and not any(layer.trainable for layer in norms(model))
    # Rates decay after epochs, which are counted in steps; sampling goes on after the first stage.
    assert begun.decay == {"factor": 0.5, "every_steps": 5 * 7}
    for epoch in (0, 1):
        begun.plan(epoch)
    assert begun.planned == [3, 4]
    assert begun.shown["moves"] == ("jitter",) and begun.shown["epochs"] == 2
    assert begun.options["steps_per_epoch"] == 7 and begun.options["monitor"] == "val_map"


def test_as_in_the_paper_all_of_a_branch_learns_at_one_rate_and_nothing_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, model, phase = begin(settings(), "stage2", tmp_path, monkeypatch)
    assert sorted(set(begun.rates.values())) == sorted({phase.global_rate, phase.local_rate})
    assert norms(model) and all(layer.trainable for layer in norms(model))
    assert begun.shown["moves"] == ()


def test_the_first_stage_trains_the_global_branch_and_moves_no_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(region_jitter=JITTER, stage1_flips=True)
    begun, model, phase = begin(config, "stage1", tmp_path, monkeypatch)
    assert not any(name.startswith("local") for name in begun.rates)
    assert set(begun.rates.values()) == {config.stage1_learning_rate}
    begun.plan(0)
    assert begun.planned == [0]
    assert begun.shown["moves"] == ("flips",) and begun.shown["sources"] is None
