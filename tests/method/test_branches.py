"""One branch: backbone, spatial attention, channel attention, projection."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_tf.models import AsenPlusPlus, build_branch

SETTINGS = AsenPlusPlus.Settings(
    global_backbone="compact",
    local_backbone="compact",
    attribute_dim=4,
    global_attention_dim=5,
    local_attention_dim=5,
    channel_attribute_dim=6,
    channel_reduction=2,
    embedding_dim=7,
)


@pytest.fixture(scope="module")
def branch() -> keras.Model:
    return build_branch("global", SETTINGS)


def inputs(batch: int, side: tuple[int, int], count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (batch, *side, 3)).astype(np.float32)
    return {"image": image, "attribute": rng.normal(size=(batch, count, 4)).astype(np.float32)}


@pytest.mark.parametrize("side", [(32, 32), (40, 24), (17, 64)])
def test_any_picture_and_any_number_of_attributes(
    branch: keras.Model, side: tuple[int, int]
) -> None:
    for count in (1, 3):
        outputs = branch(inputs(2, side, count))
        map_side = (-(-side[0] // 8), -(-side[1] // 8))  # stride 8, rounded up
        assert outputs["embedding"].shape == (2, count, 7)
        assert outputs["attention"].shape == (2, count, *map_side)


def test_a_branch_is_the_chain_of_its_parts(branch: keras.Model) -> None:
    given = inputs(2, (32, 24), 3)
    part = {layer.name.removeprefix("global_"): layer for layer in branch.layers}
    pixels = (given["image"] / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    features = part["backbone"](pixels.astype(np.float32))
    attended, attention = part["spatial_attention"]([features, given["attribute"]])
    gated = part["channel_attention"]([attended, given["attribute"]])
    kernel, bias = part["embedding"].get_weights()
    outputs = branch(given)
    np.testing.assert_allclose(outputs["attention"], attention, atol=1e-6)
    np.testing.assert_allclose(outputs["embedding"], gated @ kernel + bias, atol=1e-5)


def test_attributes_share_a_picture_without_seeing_each_other(branch: keras.Model) -> None:
    given = inputs(2, (32, 32), 3)
    together = branch(given)
    for a in range(3):
        alone = branch({**given, "attribute": given["attribute"][:, a : a + 1]})
        for name in ("embedding", "attention"):
            np.testing.assert_allclose(alone[name][:, 0], together[name][:, a], atol=1e-5)


def test_embeddings_are_not_normalised(branch: keras.Model) -> None:
    lengths = np.linalg.norm(branch(inputs(4, (32, 32), 2))["embedding"], axis=-1)
    assert lengths.std() > 1e-4 * lengths.mean()


def test_every_weight_of_a_branch_learns(branch: keras.Model) -> None:
    given = inputs(4, (32, 32), 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(branch(given, training=True)["embedding"] ** 2)
    for variable, gradient in zip(
        branch.trainable_variables,
        tape.gradient(loss, branch.trainable_variables),
        strict=True,
    ):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.name


def test_two_branches_share_no_name(branch: keras.Model) -> None:
    other = build_branch("local", SETTINGS)
    assert other.name == "local_branch" and branch.name == "global_branch"
    names = [variable.name for model in (branch, other) for variable in model.trainable_variables]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("backbone", "mode"), [("compact", "imagenet"), ("keras:MobileNetV2", "signed")]
)
def test_pixels_are_scaled_as_the_backbone_expects(backbone: str, mode: str) -> None:
    model = build_branch("local", dataclasses.replace(SETTINGS, local_backbone=backbone))
    assert model.get_layer("local_normalisation").mode == mode
