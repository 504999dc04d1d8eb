"""A checkpoint of ASEN++'s first stage, as a state that is made here: a model of one branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small_model import pictures, small_model

from asen_apps.commands import main
from asen_tf import models, weights
from asen_tf.backbones.checkpoints import CheckpointError, Place
from asen_tf.embedder import Embedder
from asen_tf.models import AsenPlusPlus, build_model
from asen_tf.presets import paper, smoke

# Layers beside the backbone, and what the authors call them; a copy, since the project's own table
# is what is tested. Swapped names of equal shapes would load without a word.
HEADS = {
    "asen_pp": {
        "choices.global.attnnet.conv": "global_spatial_attention/key",
        "choices.global.attnnet.attr_transform1": "global_spatial_attention/query",
        "choices.global.attnnet.attr_transform2": "global_channel_attention/attribute",
        "choices.global.attnnet.fc1": "global_channel_attention/squeeze",
        "choices.global.attnnet.fc2": "global_channel_attention/gate",
        "choices.global.attnnet.feature_fc": "global_embedding",
        "choices.local.attnnet.conv": "local_spatial_attention/key",
        "choices.local.attnnet.attr_transform1": "local_spatial_attention/query",
        "choices.local.attnnet.attr_transform2": "local_channel_attention/attribute",
        "choices.local.attnnet.fc1": "local_channel_attention/squeeze",
        "choices.local.attnnet.fc2": "local_channel_attention/gate",
        "choices.local.attnnet.feature_fc": "local_embedding",
        "choices.global.attrnet.attr_embedding": "attribute_table",
    },
    "asen": {
        "embeddingnet.conv1": "global_spatial_attention/key",
        "embeddingnet.mask_fc1": "global_spatial_attention/query",
        "embeddingnet.conv2": "global_spatial_attention/score",
        "embeddingnet.mask_fc2": "global_channel_attention/attribute",
        "embeddingnet.fc1": "global_channel_attention/squeeze",
        "embeddingnet.fc2": "global_channel_attention/gate",
        "embeddingnet.feature_fc": "global_embedding",
    },
    "asen_v2": {
        "embeddingnet.conv1": "global_spatial_attention/key",
        "embeddingnet.img_bn1": "global_spatial_attention/key_norm",
        "embeddingnet.attr_transform1": "global_spatial_attention/query",
        "embeddingnet.attr_transform2": "global_channel_attention/attribute",
        "embeddingnet.fc1": "global_channel_attention/squeeze",
        "embeddingnet.fc2": "global_channel_attention/gate",
        "embeddingnet.attr_embedding": "attribute_table",
    },
    "csn": {"embeddingnet.embed_fc": "global_embedding", "embeddingnet.masks": "global_mask"},
}
# PyTorch's names of a layer's arrays, and Keras'.
ARRAYS = {
    "weight": ("kernel", "gamma", "embeddings", "masks"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}


def in_pytorchs_layout(place: Place) -> np.ndarray:
    """Return random numbers for a weight, in the layout in which PyTorch keeps it."""
    rng = np.random.default_rng(len(place.name))
    array = rng.uniform(0.01, 0.02, tuple(place.variable.shape)).astype(np.float32)
    if place.convolution:
        return array.transpose(3, 2, 0, 1)
    return array.T if place.kind == "kernel" else array


@pytest.fixture(scope="module")
def model() -> AsenPlusPlus:
    """Return a model of torchvision's networks, the small one twice."""
    return build_model(paper().override(global_backbone="resnet34", embedding_dim=8), ("a", "b"))


@pytest.fixture(scope="module")
def state(model: AsenPlusPlus) -> dict[str, np.ndarray]:
    """Return the arrays of a checkpoint of both stages."""
    arrays = {place.name: in_pytorchs_layout(place) for place in weights.places(model)}
    table = "choices.global.attrnet.attr_embedding.weight"
    return {**arrays, table.replace("global", "local"): arrays[table]}


@pytest.mark.parametrize("method", HEADS)
def test_each_array_of_the_authors_heads_belongs_to_one_layer(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The heads of all backbones have the same layers: a small one, whose own arrays do not count.
    inside = Place(tf.Variable(0.0), "of the backbone", "table")
    monkeypatch.setattr(weights, "torchvision_place", lambda variable, **_: inside)
    layers: dict[str, str] = {}
    for place in weights.places(build_model(smoke().override(method=method), ("a", "b"))):
        if place is not inside:
            theirs, kind = place.name.rsplit(".", 1)
            ours, array = place.variable.name.split(":")[0].rsplit("/", 1)
            assert array in ARRAYS[kind], place.name
            assert layers.setdefault(theirs, ours) == ours
    assert layers == HEADS[method]


def test_both_stages_make_a_model_of_both_branches_whatever_it_was(
    model: AsenPlusPlus, state: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "read_state", lambda path, under: dict(state))
    model.joint = False
    assert weights.load_authors_checkpoint("x.pth.tar", model) == () and model.joint


@pytest.mark.parametrize(
    "more", [{"method": "asen_v2", "networks": 2}, {"attribute_tables": "separate"}]
)
def test_a_model_with_weights_that_no_checkpoint_has_is_refused(more: dict[str, Any]) -> None:
    config = paper().override(global_backbone="resnet34", embedding_dim=8, **more)
    with pytest.raises(CheckpointError, match="also has .*networks=1 and attribute_tables"):
        weights.load_authors_checkpoint("x.pth.tar", build_model(config, ("a", "b")))


def test_half_a_local_branch_is_a_fault(
    model: AsenPlusPlus, state: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "choices.local.attnnet.fc2.bias"
    broken = {key: array for key, array in state.items() if key != name}
    monkeypatch.setattr(weights, "read_state", lambda path, under: dict(broken))
    with pytest.raises(CheckpointError, match=f"missing: {name}$"):
        weights.load_authors_checkpoint("x.pth.tar", model)
    assert model.joint


def test_the_first_stage_alone_makes_a_global_model(
    model: AsenPlusPlus, state: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {name: array for name, array in state.items() if "choices.local" not in name}
    monkeypatch.setattr(weights, "read_state", lambda path, under: dict(first))
    assert weights.load_authors_checkpoint("s1.pth.tar", model) == ()
    assert not model.joint and model.embedding_names == ("global",)
    for place in weights.places(model):
        if place.name in first:
            found = place.in_keras_layout(first[place.name])
            np.testing.assert_array_equal(place.variable, found, err_msg=place.name)


def test_a_saved_global_model_stays_one(tmp_path: Path) -> None:
    saved = small_model()
    saved.joint = False
    saved.save(tmp_path / "model.keras")
    model = Embedder.load(tmp_path / "model.keras").model
    outputs = model.embed_pairs(pictures(1), [0, 0], [0, 1])
    assert set(outputs) == {"global", "attention", "boxes"}


def test_the_command_says_what_it_is(
    model: AsenPlusPlus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []
    monkeypatch.setattr(models, "build_model", lambda config, names: asked.append(config) or model)
    monkeypatch.setattr(weights, "load_authors_checkpoint", lambda path, model: ())
    model.joint = False
    arguments = ["weights", "s1.pth.tar", str(tmp_path / "model.keras"), "--attributes", "a", "b"]
    assert main(arguments) == 0
    assert "This is a checkpoint of stage 1, which has no local branch" in capsys.readouterr().out
    assert asked[0].preprocessing == "release"
