"""ASEN++ as a whole: its embeddings, its stages, its size and its file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_model import NAMES, pictures, small_model, training_batch

from asen_tf.models import AsenPlusPlus, build_model, fuse
from asen_tf.presets import paper, smoke


@pytest.fixture(scope="module")
def model() -> AsenPlusPlus:
    """Return a model that the tests leave as it is."""
    return small_model()


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))


# === Embeddings ===


@pytest.mark.parametrize("name", ["global", "local", "fused"])
def test_embed_embed_all_and_embed_pairs_agree(model: AsenPlusPlus, name: str) -> None:
    images = pictures()
    every = model.embed_all(images, embedding=name)
    assert every.shape == (3, 3, 32 if name == "fused" else 16) and every.dtype == np.float32
    assert np.abs(every[:, 0] - every[:, 1]).max() > 1e-3  # each attribute has its own
    assert np.abs(every[0] - every[1]).max() > 1e-3  # and each image
    chosen = model.embed(images, ["buttons", "neckline", "sleeve"], embedding=name)
    np.testing.assert_allclose(chosen, every[[0, 1, 2], [2, 0, 1]], atol=1e-5)
    pairs = model.embed_pairs(images, [2, 0, 2, 2], [1, 1, 0, 1])[name]
    np.testing.assert_allclose(pairs, every[[2, 0, 2, 2], [1, 1, 0, 1]], atol=1e-5)
    one = model.embed(images[1:2], [2], embedding=name)
    np.testing.assert_allclose(one[0], every[1, 2], atol=1e-5)


def test_training_and_embedding_see_the_same(model: AsenPlusPlus) -> None:
    images, attributes = pictures(), [2, 0, 1]
    outputs = model(training_batch(images, attributes), training=False)
    for name in ("global", "local"):
        expected = model.embed(images, attributes, embedding=name)
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5)


def test_dot_of_fused_embeddings_is_the_weighted_mean_of_the_cosines(model: AsenPlusPlus) -> None:
    images = pictures()
    outputs = model.embed_pairs(images, [0, 1, 2], [1, 1, 1])
    whole, zoomed, fused = (outputs[name] for name in model.embedding_names)
    for i, j in ((0, 1), (0, 2), (1, 2), (0, 0)):
        expected = 0.7 * cosine(whole[i], whole[j]) + 0.3 * cosine(zoomed[i], zoomed[j])
        assert float(fused[i] @ fused[j]) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_array_equal(model.embed(images, [1] * 3), fused)  # the default


@pytest.mark.parametrize(("weight", "expected"), [(0.6, 0.7), (1.0, 0.5), (0.0, 1.0), (0.5, 0.75)])
def test_cosines_of_a_half_and_one_fuse_to_the_hand_worked_number(
    weight: float, expected: float
) -> None:
    whole = tf.constant([[4.0, 0.0], [0.5, 0.75**0.5]])  # cosine 0.5
    zoomed = tf.constant([[1.0, 2.0], [3.0, 6.0]])  # cosine 1
    left, right = fuse(whole, zoomed, weight).numpy()
    assert float(left @ right) == pytest.approx(expected, abs=1e-6)
    assert float(left @ left) == pytest.approx(1.0, abs=1e-6)


def test_zero_embeddings_fuse_to_zero() -> None:
    np.testing.assert_array_equal(fuse(tf.zeros((2, 3)), tf.zeros((2, 3)), 0.6), np.zeros((2, 6)))


# === Stages ===


def test_one_branch_alone_hides_the_other(model: AsenPlusPlus) -> None:
    images = pictures()
    joint = model.embed(images, [0, 1, 2], embedding="global")
    model.joint = False
    try:
        assert model.embedding_names == ("global",)
        batch = training_batch(images, [0, 1, 2])
        del batch["source"]  # the first stage does not read it
        assert set(model(batch)) == {"global"}
        assert set(model.embed_pairs(images, [0], [0])) == {"global", "attention", "boxes"}
        np.testing.assert_allclose(model.embed(images, [0, 1, 2]), joint, atol=1e-5)
        with pytest.raises(ValueError, match="the model has no embedding 'local'; .*global"):
            model.embed(images, [0, 1, 2], embedding="local")
    finally:
        model.joint = True
    assert {"global", "local", "fused"} <= set(model.embed_pairs(images, [0], [0]))


# === Size and file ===


def test_parameters_at_the_papers_size() -> None:
    model = build_model(paper(), [f"attribute {i}" for i in range(8)])

    def count(layer) -> int:
        return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)

    def dense(inputs: int, outputs: int) -> int:
        return inputs * outputs + outputs

    def head(channels: int, d: int) -> int:
        spatial = dense(channels, d) + dense(512, d)
        channel = dense(512, 512) + dense(channels + 512, channels // 2)
        return spatial + channel + dense(channels // 2, channels) + dense(channels, 1024)

    table, backbones = 8 * 512, (8_543_296, 8_170_304)  # see test_backbones.py
    assert count(model.global_branch) == backbones[0] + head(1024, 512)
    assert count(model.local_branch) == backbones[1] + head(256, 256) == 9_024_704
    assert count(model.global_branch) + table == 11_959_360  # what the first stage trains
    assert count(model) == 20_984_064


SCRIPT = """
import sys
import keras, numpy as np
import asen_tf.models
model = keras.saving.load_model(sys.argv[1] + "/model.keras", safe_mode=True)
images = np.load(sys.argv[1] + "/images.npy")
outputs = model.embed_pairs(images, [0, 1, 2, 0], [2, 1, 0, 0])
np.savez(sys.argv[1] + "/outputs.npz", names=np.array(model.attribute_names), **outputs)
"""


def test_a_saved_model_gives_the_same_digits_in_another_process(tmp_path: Path) -> None:
    # A model of its own: a graph traced after calls of other shapes rounds the last bit otherwise.
    model, images = small_model(), pictures()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = model.embed_pairs(images, [0, 1, 2, 0], [2, 1, 0, 0])
    with np.load(tmp_path / "outputs.npz", allow_pickle=False) as loaded:
        assert tuple(loaded["names"]) == NAMES
        assert set(loaded.files) == {*expected, "names"}
        for name, array in expected.items():
            np.testing.assert_array_equal(loaded[name], array, name)


# === Refused ===


@pytest.mark.parametrize(
    ("images", "attributes", "message"),
    [
        (pictures(1)[:, :, :50], [0], r"square RGB.*\(1, 64, 50, 3\)"),
        (pictures(1)[0], [0] * 64, r"square RGB.*\(64, 64, 3\)"),
        (pictures(1).astype(np.float32), [0], "dtype uint8; got float32"),
        (pictures(1), [3], r"indices in \[0, 3\), of neckline, sleeve, buttons; got 3\.\.3"),
        (pictures(1), [-1], r"indices in \[0, 3\)"),
        (pictures(1), ["collar"], "not know the attribute 'collar'; there are neckline, sleeve"),
        (pictures(2), [0], "one attribute per image; got 1 for 2"),
    ],
    ids=["oblong", "no batch", "float", "too high", "negative", "unknown name", "too few"],
)
def test_wrong_input_is_refused_with_the_rule(
    model: AsenPlusPlus, images: np.ndarray, attributes: list, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.embed(images, attributes)


@pytest.mark.parametrize(
    ("rows", "attributes", "boxes", "message"),
    [
        ([], [], None, r"at least one: .*; got \(0,\), \(0,\), \(0, 4\)"),
        ([0, 1], [0], None, r"as many, .*; got \(2,\), \(1,\), \(2, 4\); give one"),
        ([[0, 1]], [[0, 0]], None, r"got \(1, 2\), \(1, 2\), \(2, 4\)"),
        ([0, 1], [0, 0], np.zeros((1, 4)), r"got \(2,\), \(2,\), \(1, 4\)"),
        ([0, 2], [0, 0], None, r"rows must be indices in \[0, 2\), of the images; got 0\.\.2"),
        ([-1, 0], [0, 0], None, r"rows must be indices in \[0, 2\), of the images; got -1\.\.0"),
        (
            [0, 0.5],
            [0, 0],
            None,
            r"rows must be .*, of the images; got float64; give whole numbers",
        ),
        (
            [0, 1],
            [0.5, 0],
            None,
            "attributes must be indices in .*; got float64; give whole numbers",
        ),
        ([0, 1], ["a", "b"], None, "attributes must be indices in .*; got <U1; give whole numbers"),
    ],
)
def test_pairs_of_other_shapes_or_images_are_refused(
    model: AsenPlusPlus, rows: list, attributes: list, boxes: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.embed_pairs(pictures(2), rows, attributes, boxes)


def test_no_images_are_refused(model: AsenPlusPlus) -> None:
    for embed in (model.embed_all, lambda images: model.embed(images, [])):
        with pytest.raises(ValueError, match=r"images must be .*at least one; got shape \(0, 64"):
            embed(pictures(1)[:0])


@pytest.mark.parametrize("names", [(), ("sleeve", "sleeve")])
def test_attributes_have_distinct_names(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="distinct names, at least one"):
        build_model(smoke(), names)
