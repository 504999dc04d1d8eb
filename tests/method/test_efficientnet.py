"""EfficientNet-Lite and its ImageNet weights: what the network names on three photographs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from asen_tf.backbones import BackboneError, build_backbone, normalisation_mode
from asen_tf.backbones.checkpoints import CheckpointError, fill, read_legacy_state
from asen_tf.backbones.efficientnet import (
    VARIANTS,
    build_efficientnet_lite,
    imagenet_file,
    places,
    stage_of,
)
from asen_tf.layers import ImageNormalisation

DAISY, ESPRESSO, CATS = 985, 967, {281, 282, 285}  # of ImageNet's thousand classes
SIZE = 224


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return read_legacy_state(imagenet_file("efficientnet_lite0"))


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    return build_backbone("efficientnet_lite0", weights="imagenet", prefix="global_")


def photograph(package: str, name: str) -> np.ndarray:
    """Return the middle of a photograph that a package ships, as the network wants it."""
    pytest.importorskip(package.split(".")[0])
    with Image.open(files(package) / name) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        square = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
    return np.asarray(square)[None]


def classes(backbone: keras.Model, state: Mapping[str, np.ndarray], pixels: np.ndarray) -> list:
    """Apply the published classifier to the last stage; return the three likeliest classes."""
    last = keras.Model(backbone.input, backbone.get_layer("global_blocks_15_bn2").output)
    x = last(ImageNormalisation("centred")(pixels)).numpy()
    x = np.einsum("bhwc,oc->bhwo", x, state["_conv_head.weight"][:, :, 0, 0])
    mean, variance = state["_bn1.running_mean"], state["_bn1.running_var"]
    x = (x - mean) / np.sqrt(variance + 1e-3) * state["_bn1.weight"] + state["_bn1.bias"]
    pooled = np.clip(x, 0, 6).mean(axis=(1, 2))
    scores = pooled @ state["_fc.weight"].T + state["_fc.bias"]
    return np.argsort(-scores[0])[:3].tolist()


@pytest.mark.parametrize(
    ("package", "name", "named"),
    [
        ("sklearn.datasets.images", "flower.jpg", {DAISY}),
        ("skimage.data", "chelsea.png", CATS),
        ("skimage.data", "coffee.png", {ESPRESSO}),
    ],
)
def test_the_network_names_what_a_photograph_shows(
    backbone: keras.Model,
    state: dict[str, np.ndarray],
    package: str,
    name: str,
    named: set[int],
) -> None:
    best = classes(backbone, state, photograph(package, name))
    assert best[0] in named


@pytest.mark.parametrize("side", [224, 128, 100, 97, 33])
def test_maps_have_stride_16_for_any_size(backbone: keras.Model, side: int) -> None:
    features = backbone(np.zeros((1, side, side, 3), np.float32))
    assert features.shape == (1, -(-side // 16), -(-side // 16), 432)


def test_the_joined_map_holds_the_detail_and_the_enlarged_last_stage(
    backbone: keras.Model,
) -> None:
    pixels = np.random.default_rng(0).normal(size=(1, 96, 96, 3)).astype(np.float32)
    detail = keras.Model(backbone.input, backbone.get_layer("global_blocks_10_add").output)(pixels)
    last = keras.Model(backbone.input, backbone.get_layer("global_blocks_15_bn2").output)(pixels)
    joined = backbone(pixels).numpy()
    np.testing.assert_allclose(joined[..., :112], detail, rtol=1e-4, atol=1e-4)
    enlarged = tf.image.resize(last, (6, 6), method="bilinear")
    np.testing.assert_allclose(joined[..., 112:], enlarged, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_layer_belongs_to_a_stage(name: str) -> None:
    image = keras.Input((None, None, 3), name="p_image")
    model = keras.Model(image, build_efficientnet_lite(name, image, "p_"))
    stages = [stage_of(layer.name.removeprefix("p_"), name) for layer in model.layers]
    assert stages == sorted(stages, key=lambda stage: stage)
    assert set(stages) == set(range(9))


def test_a_batch_norm_counts_as_the_files_count(state: dict[str, np.ndarray]) -> None:
    model = build_backbone("efficientnet_lite0", weights="imagenet", prefix="x_")
    norm = model.get_layer("x_blocks_3_bn1")
    np.testing.assert_array_equal(norm.gamma, state["_blocks.3._bn1.weight"])
    np.testing.assert_array_equal(norm.moving_variance, state["_blocks.3._bn1.running_var"])
    kernel = model.get_layer("x_blocks_3_depthwise_conv").depthwise_kernel
    there = state["_blocks.3._depthwise_conv.weight"]
    assert kernel.shape == (5, 5, 144, 1)
    assert kernel[1, 2, 7, 0] == there[7, 0, 1, 2]


def test_missing_unexpected_and_misshapen_arrays_are_all_named(
    state: dict[str, np.ndarray],
) -> None:
    model = build_backbone("efficientnet_lite0")
    wrong = dict(state)
    del wrong["_conv_stem.weight"]
    wrong["_blocks.99.weight"] = np.zeros(1)
    wrong["_bn0.bias"] = np.zeros(31)
    with pytest.raises(CheckpointError) as error:
        unused = re.compile("_conv_head.*|_bn1.*|_fc.*")
        fill(places(model, prefix=""), wrong, unused=unused, heading="x.pth: does not fit")
    for part in (
        "x.pth: does not fit:\n",
        "missing: _conv_stem",
        "unexpected: _blocks.99",
        "shape of _bn0.bias: (31,)",
    ):
        assert part in str(error.value)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(BackboneError, match="efficientnet-lite7-pytorch-model"):
        imagenet_file("efficientnet_lite7")


def test_every_array_is_torchs_own(state: dict[str, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    path = imagenet_file("efficientnet_lite0")
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    assert state.keys() == theirs.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(state[name], tensor.numpy(), err_msg=name)
        assert state[name].dtype == tensor.numpy().dtype


def test_the_backbone_says_how_its_pixels_are_scaled() -> None:
    mode = normalisation_mode("efficientnet_lite1")
    scaled = ImageNormalisation(mode)(np.array([[[[127, 255, 63]]]], np.uint8))
    np.testing.assert_allclose(scaled, [[[[0.0, 1.0, -0.5]]]])


def shift_of_sight(model: keras.Model, channels: slice) -> float:
    """Return how far right of and below its cell of the picture a map's cell sees, px.

    The centre of mass of the gradient's size, against the middle of the cell in a map that fills
    the picture: the mean of both axes over four cells that lie evenly around the picture's middle,
    towards which the picture's edges pull all centres.
    """
    noise = np.random.default_rng(0).uniform(0.0, 255.0, (8, 32, 32, 3))
    pixels = tf.clip_by_value(tf.image.resize(noise, (128, 128), "bicubic"), 0.0, 255.0)
    shifts = []
    for cell in (2, 3, 4, 5):  # of 8
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            seen = model(ImageNormalisation("centred")(pixels), training=False)[..., channels]
            answer = tf.reduce_sum(seen[:, cell, cell] ** 2)
        weights = np.abs(tape.gradient(answer, pixels)).sum(axis=(0, 3))
        centres = [np.average(np.arange(128), weights=weights.sum(axis=axis)) for axis in (0, 1)]
        shifts.append(np.mean(centres) - (16 * cell + 7.5))
    return float(np.mean(shifts))


@pytest.mark.parametrize("channels", [slice(0, 112), slice(112, None)])
def test_imagenet_weights_see_where_the_released_reading_says(
    backbone: keras.Model, channels: slice
) -> None:
    """By their kernels' extent cells see to the lower right; training has turned that back."""
    keras.utils.set_random_seed(0)
    assert shift_of_sight(build_backbone("efficientnet_lite0"), channels) > 4.5
    assert abs(shift_of_sight(backbone, channels)) < 2.5
