"""Which parts of a backbone are trained, and how fast: frozen stages, batch norms, own rate."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from asen_tf.backbones import BackboneError, build_backbone, freeze
from asen_tf.models import build_model
from asen_tf.presets import smoke
from asen_tf.training.similarity import Phase, learning_rate_groups


def trainable(backbone: keras.Model) -> set[str]:
    return {variable.name.split("/")[0] for variable in backbone.trainable_variables}


def test_frozen_stages_are_the_stem_and_the_first_ones() -> None:
    backbone = build_backbone("efficientnet_lite0", prefix="g_")
    everything = trainable(backbone)
    freeze("efficientnet_lite0", backbone, stages=3, batch_norms=False)
    kept = {f"g_blocks_{block}_" for block in range(5)} | {"g_conv_stem", "g_bn0"}
    frozen = everything - trainable(backbone)
    assert frozen == {name for name in everything if name.startswith(tuple(kept))}
    assert any(name.startswith("g_blocks_5_") for name in trainable(backbone))


@pytest.mark.parametrize(
    ("name", "stages", "left"), [("resnet34", 2, "layer3_"), ("compact", 1, "place_")]
)
def test_stages_of_other_networks(name: str, stages: int, left: str) -> None:
    backbone = build_backbone(name)
    everything = trainable(backbone)
    freeze(name, backbone, stages=stages, batch_norms=False)
    assert trainable(backbone) == {layer for layer in everything if layer.startswith(left)}


def test_frozen_batch_norms_keep_their_statistics_in_training() -> None:
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    for frozen in (True, False):
        backbone = build_backbone("compact")
        freeze("compact", backbone, stages=0, batch_norms=frozen)
        norms = [x for x in backbone.layers if isinstance(x, keras.layers.BatchNormalization)]
        before = [norm.moving_mean.numpy().copy() for norm in norms]
        backbone(images, training=True)
        moved = [
            not np.array_equal(norm.moving_mean, old)
            for norm, old in zip(norms, before, strict=True)
        ]
        assert any(moved) is not frozen and all(moved) is not frozen


def test_too_many_stages_and_unknown_ones_are_refused() -> None:
    with pytest.raises(BackboneError, match="frozen_stages=9, but compact has 1 to 2"):
        freeze("compact", build_backbone("compact"), stages=9, batch_norms=False)
    application = build_backbone("keras:MobileNetV2")
    with pytest.raises(BackboneError, match="no stages known here"):
        freeze("keras:MobileNetV2", application, stages=1, batch_norms=False)


def phase(joint: bool) -> Phase:
    return Phase("x", "x", joint, 0, 1, 0.5, 0.25, 1.0, 1)


@pytest.mark.parametrize(
    ("method", "joint"),
    [
        *((method, False) for method in ("rpf", "asen_pp", "asen_v2", "csn", "triplet", "asen")),
        *(("rpf", True), ("asen_pp", True)),  # one branch alone has no joint stage
    ],
)
def test_groups_hold_every_trained_variable_once(method: str, joint: bool) -> None:
    model = build_model(smoke().override(method=method), ("a", "b"))
    for layer in model.local_layers:
        layer.trainable = joint
    bones = {v.name for _, backbone in model.backbones for v in backbone.trainable_variables}
    for share in (1.0, 0.1, 0.0):
        groups = learning_rate_groups(model, phase(joint), share)
        names = [v.name for group in groups for v in group.variables]
        assert sorted(names) == sorted(v.name for v in model.trainable_variables)
        for group in groups:
            inside = {v.name for v in group.variables}
            if share != 1.0:
                assert inside <= bones or not inside & bones
                base = 0.25 if any(n.startswith("local") for n in inside) else 0.5
                rate = base * share if inside <= bones else base
                assert group.learning_rate == pytest.approx(rate)


def test_a_backbone_that_is_frozen_whole_has_no_group() -> None:
    model = build_model(smoke().override(method="asen_v2"), ("a", "b"))
    for _, backbone in model.backbones:
        backbone.trainable = False
    assert len(learning_rate_groups(model, phase(False), 0.1)) == 1
