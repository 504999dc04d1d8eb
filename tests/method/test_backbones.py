from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from asen_tf.backbones import (
    BackboneError,
    build,
    build_backbone,
    map_extent,
    normalisation_mode,
)
from asen_tf.backbones.vision_transformer import build_vision_transformer
from asen_tf.config import ConfigError


@cache
def plain(name: str) -> keras.Model:
    """Return a backbone for tests that leave it as it is."""
    return build_backbone(name)


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def conv(kernel: int, inputs: int, outputs: int) -> int:
    """Weights of a convolution without bias and of its batch normalisation."""
    return kernel**2 * inputs * outputs + 2 * outputs


def test_resnet50_has_torchvisions_weights_up_to_stage_3() -> None:
    def bottleneck(inputs: int, width: int) -> int:
        return conv(1, inputs, width) + conv(3, width, width) + conv(1, width, 4 * width)

    by_hand = conv(7, 3, 64)
    by_hand += conv(1, 64, 256) + bottleneck(64, 64) + 2 * bottleneck(256, 64)
    by_hand += conv(1, 256, 512) + bottleneck(256, 128) + 3 * bottleneck(512, 128)
    by_hand += conv(1, 512, 1024) + bottleneck(512, 256) + 5 * bottleneck(1024, 256)
    assert trainable(plain("resnet50")) == by_hand == 8_543_296


def test_resnet34_has_torchvisions_weights_up_to_stage_3() -> None:
    def basic(inputs: int, width: int) -> int:
        return conv(3, inputs, width) + conv(3, width, width)

    by_hand = conv(7, 3, 64) + 3 * basic(64, 64)
    by_hand += conv(1, 64, 128) + basic(64, 128) + 3 * basic(128, 128)
    by_hand += conv(1, 128, 256) + basic(128, 256) + 5 * basic(256, 256)
    assert trainable(plain("resnet34")) == by_hand == 8_170_304


def test_compact_has_about_half_a_million_weights() -> None:
    by_hand = conv(3, 3, 16) + conv(3, 16, 48) + conv(1, 48, 128) + conv(3, 48, 128)
    by_hand += 3 * conv(3, 128, 128)
    by_hand += conv(1, 128, 256) + 25 * 256  # 24 waves and a bias per channel
    assert trainable(plain("compact")) == by_hand == 552_240


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [
        ("resnet50", (224, 224), (14, 14, 1024)),
        ("resnet34", (112, 112), (7, 7, 256)),
        ("resnet34", (97, 130), (7, 9, 256)),  # halves are rounded up, as torchvision's are
        ("compact", (96, 96), (12, 12, 256)),
        ("compact", (33, 7), (5, 1, 256)),
    ],
)
def test_feature_maps(name: str, side: tuple[int, int], expected: tuple[int, ...]) -> None:
    model = plain(name)
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, None, None, expected[-1])
    assert model(np.zeros((2, *side, 3), np.float32)).shape == (2, *expected)


@pytest.mark.parametrize("name", ["resnet50", "resnet34", "compact"])
def test_batch_normalisation_has_torchvisions_constants(name: str) -> None:
    layers = plain(name).layers
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}
    assert len(norms) == len(convolutions) and not any(layer.use_bias for layer in convolutions)


@pytest.mark.parametrize("name", ["resnet34", "keras:VGG16"])
def test_a_prefix_renames_the_layers_and_nothing_else(name: str) -> None:
    prefixed = build_backbone(name, prefix="local_")
    assert prefixed.name == "local_backbone"
    expected = [f"local_{layer.name}" for layer in plain(name).layers]
    assert [layer.name for layer in prefixed.layers] == expected
    prefixed.set_weights(plain(name).get_weights())
    image = np.random.default_rng(0).normal(size=(1, 48, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(prefixed(image), plain(name)(image))


@pytest.mark.parametrize(
    ("name", "last", "side", "channels"),
    [
        ("ResNet50V2", "conv4_block5_out", 14, 1024),  # block 6 is bypassed by a pooled shortcut
        ("MobileNetV2", "block_13_expand_relu", 14, 576),
        ("VGG16", "block5_conv3", 14, 512),
        # It does not pad.
        pytest.param("InceptionV3", "mixed7", 12, 768, marks=pytest.mark.slow),
    ],
)
def test_networks_of_keras_are_cut_at_stride_16(
    name: str, last: str, side: int, channels: int
) -> None:
    model = plain(f"keras:{name}")
    assert model.layers[-1].name == last
    assert model(np.zeros((1, 224, 224, 3), np.float32)).shape == (1, side, side, channels)
    assert model.input_shape == (None, None, None, 3)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("resnet50", "imagenet"),
        ("compact", "imagenet"),
        ("keras:ResNet50", "caffe"),
        ("keras:ResNet50V2", "signed"),
        ("keras:ResNetRS50", "pixels"),  # and not as "ResNet"
        ("keras:MobileNetV2", "signed"),
        ("keras:MobileNetV3Large", "pixels"),
        ("keras:DenseNet121", "imagenet"),
        ("keras:VGG16", "caffe"),
        ("keras:EfficientNetB0", "pixels"),
        ("keras:EfficientNetV2S", "pixels"),
        ("keras:ConvNeXtTiny", "pixels"),
        ("keras:RegNetX002", "pixels"),
    ],
)
def test_each_backbone_names_its_normalisation(name: str, mode: str) -> None:
    assert normalisation_mode(name) == mode


def test_weights_survive_a_file(tmp_path: Path) -> None:
    path, saved = tmp_path / "backbone.weights.h5", build_backbone("compact", prefix="global_")
    saved.save_weights(path)
    loaded = build_backbone("compact", weights=path)
    image = np.random.default_rng(0).normal(size=(1, 24, 24, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(image), saved(image))
    with pytest.raises(BackboneError, match="backbone.weights.h5: not weights of the backbone"):
        build_backbone("resnet34", weights=path)


def test_files_that_are_not_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="absent.weights.h5: no such weights file"):
        build_backbone("compact", weights=tmp_path / "absent.weights.h5")
    text = tmp_path / "text.weights.h5"
    text.write_text("no weights")
    with pytest.raises(BackboneError, match="text.weights.h5: not weights of the backbone"):
        build_backbone("compact", weights=text)


@pytest.mark.parametrize(
    ("name", "ending", "accepted"),
    [
        ("compact", ".pth", r"a \.weights\.h5 file"),
        ("efficientnet_lite0", ".npz", r"a \.weights\.h5 file"),
        ("resnet34", ".npz", r"a \.pth or \.weights\.h5 file"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_endings_that_are_taken(
    name: str, ending: str, accepted: str, tmp_path: Path
) -> None:
    path = tmp_path / f"start{ending}"
    path.write_bytes(b"x")
    message = rf"start{ending}: weights of '{name}' must be in {accepted}; got one that ends in"
    with pytest.raises(BackboneError, match=message):
        build_backbone(name, weights=path)


@pytest.mark.parametrize(
    ("name", "size", "cell"),
    [
        *(("resnet34", 128, 4), ("compact", 64, 4), ("resnet34", 72, 2)),
        *(("efficientnet_lite0", 128, 3), ("efficientnet_lite0", 72, 2)),
        *(("vit_b16", 96, 2), ("vit_b16", 72, 1)),
    ],
)
def test_cells_lie_where_the_network_sees(
    name: str, size: int, cell: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The centre of mass of a cell's gradient, with kernels that weigh all they cover equally."""
    one_layer = partial(build_vision_transformer, layers=1, width=24)
    monkeypatch.setitem(build._BUILDERS, "vit_b16", one_layer)
    model = build_backbone(name)
    if name == "vit_b16":  # whose layers let every cell see all patches
        model = keras.Model(model.input, model.get_layer("patches").output)
    for weight in model.weights:
        if weight.shape.rank == 4:
            weight.assign(tf.ones_like(weight) / np.prod(weight.shape[:3]))
        elif "place_gate" in weight.name:
            weight.assign(tf.zeros_like(weight))
    noise = np.random.default_rng(0).uniform(0.9, 1.0, (16, size, size, 3))  # for max-pooling
    images = tf.constant(noise, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        features = model(images, training=False)
        # The map of EfficientNet-Lite joins a coarser one of the last stage.
        seen = features[..., :112] if name.startswith("eff") else features
        centre = tf.reduce_sum(seen[:, cell, cell])
    weights = np.abs(tape.gradient(centre, images)).sum(axis=(0, 3))
    found = [(weights.sum(axis=axis) * np.arange(size)).sum() / weights.sum() for axis in (0, 1)]
    start, end = map_extent(name, size)
    cells = features.shape[1]
    expected = size * (start + (end - start) * (cell + 0.5) / cells) - 0.5
    assert found == pytest.approx([expected] * 2, abs=1.5)


def test_extents_by_hand() -> None:
    assert map_extent("resnet50", 224) == (-7.5 / 224, 216.5 / 224)
    assert map_extent("efficientnet_lite0", 224) == (7.5 / 224, 231.5 / 224)  # 15 - 7.5, to 231.5
    assert map_extent("resnet50", 100) == (-7.5 / 100, 104.5 / 100)  # 7 cells
    assert map_extent("vit_b16", 224) == (0.0, 1.0)
    assert map_extent("vit_b16", 100) == (0.0, 96 / 100)  # 6 patches
    assert map_extent("keras:VGG16", 224, "released") == (0.0, 1.0)
    with pytest.raises(ConfigError, match="map_reading must be one of released, cells; got 'cell'"):
        map_extent("resnet50", 224, "cell")


@pytest.mark.parametrize("name", ["resnet18", "", "keras:resnet50", "keras:NoNet"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(BackboneError, match=repr(name.removeprefix("keras:"))):
        build_backbone(name)


@pytest.mark.parametrize("name", ["resnet34", "compact", "keras:VGG16"])
def test_imagenet_weights_that_cannot_be_had_name_the_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # no weights there,
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # and no way to the internet
    with pytest.raises(BackboneError, match=f"{name}.*starting_weights=pretrain"):
        build_backbone(name, weights="imagenet")
