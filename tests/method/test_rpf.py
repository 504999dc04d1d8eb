"""RPF: region and patch branch against loops in NumPy, its size, its training, its preset."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from naive_models import (
    attended,
    build,
    compare,
    features,
    gated,
    projected,
    relu,
    softmax,
    weights,
    zoomed_features,
)
from small_model import NAMES, VIEW, pictures, training_batch
from test_vision_transformer import gelu, layer_norm

from asen_tf.backbones import build as backbones
from asen_tf.backbones.vision_transformer import build_vision_transformer
from asen_tf.config import ConfigError
from asen_tf.embedder import Embedder
from asen_tf.layers import BackgroundAttention
from asen_tf.models import RegionToPatch, build_model, load_saved
from asen_tf.models.rpf import ResumableDropout
from asen_tf.presets import paper, preset, smoke
from asen_tf.training import phases
from asen_tf.training.cluster import check_division
from asen_tf.training.trainer import SimilarityObjective, Trainer

CONTRASTED = {"alignment": "e_info_nce", "alignment_loss_weight": 0.04}
ROWS, ATTRIBUTES = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)


@pytest.fixture(scope="module", params=[0, 1], ids=["no layer", "one layer"])
def model(request: pytest.FixtureRequest) -> RegionToPatch:
    """Return a model without and with a transformer layer on its local backbone's map."""
    given = {"roi_threshold": 0.9, "fusion_weight": 0.3, "patch_layers": request.param}
    made = build(method="rpf", **given, **CONTRASTED)
    rng = np.random.default_rng(6)
    for weight in made.weights:
        if weight.shape.rank == 2 and "/bias:" in weight.name:  # of each head
            weight.assign(rng.uniform(-0.5, 0.5, weight.shape))
        if weight.shape.rank == 3 and "/kernel:" in weight.name:  # so that attention is not flat
            weight.assign(4.0 * weight)
    return made


@pytest.fixture(scope="module")
def published() -> RegionToPatch:
    return build_model(preset("fashionai_rpf"), [f"attribute {i}" for i in range(8)])


# === Formulas ===


def normed(model: keras.Model, layer: str, x: np.ndarray) -> np.ndarray:
    w = weights(model, layer)
    return layer_norm(x, w["gamma"], w["beta"])


def refined(model: keras.Model, part: str, z: np.ndarray) -> np.ndarray:
    first, second = weights(model, f"{part}_mlp1"), weights(model, f"{part}_mlp2")
    hidden = normed(model, f"{part}_norm", z) @ first["kernel"] + first["bias"]
    hidden = relu(hidden) if part == "global" else gelu(hidden)
    return normed(model, f"{part}_norm", z + hidden @ second["kernel"] + second["bias"])


def background(x: np.ndarray, shares: np.ndarray) -> np.ndarray:
    total, left = np.zeros(x.shape[-1]), 0.0
    for i, j in np.ndindex(*shares.shape):
        total += (1.0 - shares[i, j]) * x[i, j]
        left += 1.0 - shares[i, j]
    return total / left


def gathered(w: dict[str, np.ndarray], asking: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return what tokens gather from cells, head by head."""
    _, heads, units = w["query/kernel"].shape
    found = np.tile(w["attention_output/bias"], (len(asking), 1))
    assert heads == 12
    for h in range(heads):
        q, k, v = (
            rows @ w[f"{name}/kernel"][:, h] + w[f"{name}/bias"][h]
            for name, rows in (("query", asking), ("key", cells), ("value", cells))
        )
        for token in range(len(asking)):
            shares = softmax(k @ q[token] / units**0.5)
            found[token] += shares @ v @ w["attention_output/kernel"][h]
    return found


def crossed(model: keras.Model, x: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return what one query gathers from the cells of a map, head by head; nothing is added."""
    w = weights(model, "local_cross_attention")
    norm = functools.partial(layer_norm, scale=w["norm/gamma"], bias=w["norm/beta"])
    query = norm(vector @ w["query/kernel"] + w["query/bias"] + w["types"][0])
    cells = norm(x.reshape(-1, x.shape[-1]) + w["types"][1])
    inner = {name[10:]: array for name, array in w.items() if name.startswith("attention/")}
    return gathered(inner, query[None], cells)[0]


def transformed(model: RegionToPatch, x: np.ndarray) -> np.ndarray:
    """Return a map after the transformer layers, token by token; cells have no positions."""
    tokens = np.array([x[i, j] for i, j in np.ndindex(*x.shape[:2])])
    for layer in range(1, model.settings.patch_layers + 1):
        part = f"local_patch{layer}"
        cells = normed(model, f"{part}_norm1", tokens)
        tokens = tokens + gathered(weights(model, f"{part}_attention"), cells, cells)
        first, second = weights(model, f"{part}_mlp1"), weights(model, f"{part}_mlp2")
        hidden = gelu(normed(model, f"{part}_norm2", tokens) @ first["kernel"] + first["bias"])
        tokens = tokens + hidden @ second["kernel"] + second["bias"]
    return tokens.reshape(x.shape)


def test_both_branches_and_the_background_are_what_the_formulas_say(model: RegionToPatch) -> None:
    images = pictures()
    table = model.attribute_table.embeddings.numpy().astype(np.float64)
    region, hidden, maps = [], [], []
    for x in features(model, images):
        x = normed(model, "global_feature_norm", x)
        for vector in table:
            v, shares = attended(model, x, normed(model, "global_attribute_norm", vector))
            region.append(refined(model, "global", projected(model, v)))
            hidden.append(refined(model, "global", background(x, shares)))
            maps.append(shares)
    outputs = model.embed_pairs(images, ROWS, ATTRIBUTES)
    compare(outputs["attention"], np.array(maps))
    compare(outputs["global"], np.array(region))
    called = model(training_batch(images[ROWS], ATTRIBUTES.tolist()))
    compare(called["background"].numpy(), np.array(hidden))
    sources = tf.gather(images, ROWS)
    crops, _ = model.region([outputs["attention"], sources, tf.constant(outputs["boxes"])])
    patches = [
        refined(
            model,
            "local",
            projected(model, crossed(model, transformed(model, x), table[a]), "local"),
        )
        for x, a in zip(zoomed_features(model, crops.numpy()), ATTRIBUTES, strict=True)
    ]
    compare(outputs["local"], np.array(patches))
    lengths = [np.linalg.norm(outputs[k], axis=1, keepdims=True) for k in ("global", "local")]
    r, p = outputs["global"] / lengths[0], outputs["local"] / lengths[1]
    compare(outputs["fused"], np.concatenate([0.3**0.5 * r, 0.7**0.5 * p], axis=1))


def test_a_map_of_one_cell_has_no_background() -> None:
    x = np.float32([[[[1, 2]], [[3, 6]]], [[[5, 7]], [[0, 0]]]])  # two images, 2 x 1 cells
    maps = np.float32([[[[0.25], [0.75]]], [[[1], [0]]]])
    # Weights (0.75, 0.25) / 1; all weight on the cell that is not attended at all.
    found = BackgroundAttention()([x, maps])
    np.testing.assert_allclose(found[:, 0], [[1.5, 3.0], [0.0, 0.0]], atol=1e-6)
    one = BackgroundAttention()([x[:, :1], np.ones((2, 1, 1, 1), np.float32)])
    np.testing.assert_array_equal(one, np.zeros((2, 1, 2)))


def test_asen_pp_aligned_by_contrast_embeds_its_background_alike() -> None:
    model, images = build(method="asen_pp", **CONTRASTED), pictures()
    table = model.attribute_table.embeddings.numpy().astype(np.float64)
    expected = []
    for x, vector in zip(features(model, images), table, strict=True):
        pooled = background(x, attended(model, x, vector)[1])
        expected.append(projected(model, gated(model, pooled, vector)))
    called = model(training_batch(images, [0, 1, 2]))
    compare(called["background"].numpy(), np.array(expected))
    plain = build(method="asen_pp")
    assert "background" not in plain(training_batch(images, [0, 1, 2]))
    np.testing.assert_array_equal(plain.embed_all(images), model.embed_all(images))


# === Dropout ===


def test_dropout_goes_on_where_its_saved_state_was() -> None:
    inputs = np.ones((50, 40), np.float32)

    def layer(seed: int) -> ResumableDropout:
        keras.utils.set_random_seed(seed)
        made = ResumableDropout(0.25)
        made.build(inputs.shape)
        return made

    first = layer(1)
    masks = [first(inputs, training=True).numpy()]
    state = first.get_weights()
    masks += [first(inputs, training=True).numpy() for _ in range(2)]
    again = layer(2)
    again.set_weights(state)
    np.testing.assert_array_equal(again(inputs, training=True), masks[1])
    np.testing.assert_array_equal(layer(1)(inputs, training=True), masks[0])
    other = layer(2)(inputs, training=True).numpy()
    assert (masks[0] != masks[1]).any() and (other != masks[0]).any()
    assert set(np.unique(masks)) == {0.0, np.float32(1 / 0.75)}
    assert 0.21 < np.mean(np.array(masks) == 0.0) < 0.29
    np.testing.assert_array_equal(first(inputs), inputs)
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\); got 1"):
        ResumableDropout(1)


# === Whole ===


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def norm(channels: int) -> int:
    return 2 * channels


PERCEPTRON = norm(1024) + dense(1024, 512) + dense(512, 1024)
REGION = (
    8_543_296  # ResNet-50 up to its third stage, see test_backbones.py
    + (norm(1024) + norm(512))  # of features and attribute
    + (dense(1024, 512) + dense(512, 512))  # keys, query
    + (dense(1024, 1024) + PERCEPTRON)
)
LAYER = norm(768) + 4 * dense(768, 768) + norm(768) + dense(768, 3072) + dense(3072, 768)
VIT = dense(16 * 16 * 3, 768) + 768 + 197 * 768 + 12 * LAYER  # patches, class token, positions
PATCH = (
    VIT
    + (dense(512, 768) + 2 * 768 + norm(768) + 4 * dense(768, 768))  # query, types, attention
    + (dense(768, 1024) + PERCEPTRON)
)


def test_trainable_parameters_at_the_published_size(published: RegionToPatch) -> None:
    parts = ((published.global_layers, REGION + 8 * 512), (published.local_layers, PATCH))
    for layers, expected in parts:
        variables = [variable for layer in layers for variable in layer.trainable_variables]
        assert sum(int(np.prod(variable.shape)) for variable in variables) == expected
    assert (REGION + 8 * 512, PATCH) == (11_439_680, 90_396_160)  # as the preset says
    assert VIT == 85_797_120  # ViT-B/16 as published, without final norm and classifier


def test_heads_and_dropout_at_the_published_size(published: RegionToPatch) -> None:
    """What no count of parameters shows: 12 heads of 64 units, a tenth dropped in both M."""
    inside = [
        layer
        for layers in (published.global_layers, published.local_layers)
        for whole in layers
        for layer in whole.submodules
    ]
    attention = [one for one in inside if isinstance(one, keras.layers.MultiHeadAttention)]
    assert len(attention) == 12 + 1  # the layers of the ViT, and the cross-attention
    for layer in attention:
        shapes = {
            weight.name.split("/")[-2]: weight.shape
            for weight in layer.weights
            if "kernel" in weight.name
        }
        assert all(shapes[name] == (768, 12, 64) for name in ("query", "key", "value"))
        assert shapes["attention_output"] == (12, 64, 768)
    dropped = {one.name: one.rate for one in inside if isinstance(one, ResumableDropout)}
    names = [f"{branch}_dropout{n}" for branch in ("global", "local") for n in (1, 2)]
    assert dropped == dict.fromkeys(names, 0.1)


def test_the_preset_is_the_release() -> None:
    config = preset("fashionai_rpf")
    first, second = phases(config)
    assert (first.epochs, first.global_rate, first.decay, first.decay_epochs) == (50, 5e-5, 0.9, 3)
    assert (second.epochs, second.decay, second.decay_epochs) == (50, 0.9, 2)
    assert (second.local_rate, second.global_rate) == (5.5e-5, 1e-5)
    assert first.moves == ("flips",) and not second.moves and config.stage2_start == "best"
    assert (config.global_backbone, config.local_backbone) == ("resnet50", "vit_b16")
    assert (config.local_size, config.roi_threshold, config.margin) == (224, 0.1, 0.2)
    weights = config.global_loss_weight, config.local_loss_weight, config.alignment_loss_weight
    assert weights == (1.0, 0.1, 0.04) and config.fusion_weight == 0.3


@pytest.mark.parametrize("local", ["compact", "vit_b16"])
def test_it_is_saved_and_shows_where_it_looks(
    local: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = functools.partial(build_vision_transformer, layers=1, width=24, grid=2)
    monkeypatch.setitem(backbones._BUILDERS, "vit_b16", small)
    model = build(method="rpf", local_backbone=local, patch_layers=int(local == "compact"))
    images = pictures()
    model.save(tmp_path / "model.keras")
    loaded = load_saved(tmp_path / "model.keras")
    assert type(loaded) is RegionToPatch and loaded.settings == model.settings
    before, after = (m.embed_pairs(images, ROWS, ATTRIBUTES) for m in (model, loaded))
    assert set(before) == {"attention", "boxes", "global", "local", "fused"}
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    embedder = Embedder.load(tmp_path / "model.keras")
    shown = embedder.attend(images[0], "sleeve")
    assert shown.map.sum() == pytest.approx(1.0, abs=1e-5)
    left, top, right, bottom = shown.region
    assert right - left == bottom - top > 0
    assert np.linalg.norm(embedder.embed(images[0], "sleeve")) == pytest.approx(1.0, abs=1e-5)


# === Training ===


def grouped(random: bool) -> dict[str, tf.Tensor]:
    """Return a step of two groups of four images, or of two triplets."""
    size = 3 if random else 4
    flat = training_batch(pictures(2 * size), np.repeat([0, 2], size).tolist())
    batch = {name: tf.reshape(t, (2, size, *t.shape[1:])) for name, t in flat.items()}
    return {**batch, "value": tf.constant([[0, 0, 1, 1][:size]] * 2)}


@pytest.mark.parametrize("method", ["rpf", "asen_pp"])
@pytest.mark.parametrize("sampling", ["batch_all", "random_triplets"])
def test_a_step_of_stage_2_trains_every_weight(method: str, sampling: str) -> None:
    config = smoke().override(global_size=VIEW, method=method, sampling=sampling, **CONTRASTED)
    network = build_model(config, NAMES)
    trainer = Trainer(network, SimilarityObjective(config, ("global", "local")))
    batch = grouped(sampling == "random_triplets")
    with tf.GradientTape() as tape:
        losses = trainer.objective(batch, trainer(batch, training=True))
    assert set(losses) == {"loss", "global", "local", "alignment"}
    again = trainer(batch, training=True)["local"] - trainer(batch, training=True)["local"]
    assert (np.abs(again).max() > 1e-3) == (method == "rpf")  # dropout
    total = 1.0 * losses["global"] + 0.1 * losses["local"] + 0.04 * losses["alignment"]
    assert float(losses["loss"]) == pytest.approx(float(total), rel=1e-5)
    variables = network.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(losses["loss"], variables), strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(tf.convert_to_tensor(gradient)).all(), variable.name


def test_losses_of_two_steps_and_of_their_repetition_have_the_same_digits() -> None:
    config = smoke().override(global_size=VIEW, method="rpf", **CONTRASTED)
    batch = grouped(False)

    def losses() -> list[float]:
        keras.utils.set_random_seed(4)
        trainer = Trainer(
            build_model(config, NAMES), SimilarityObjective(config, ("global", "local"))
        )
        return [
            float(trainer.objective(batch, trainer(batch, training=True))["loss"]) for _ in range(2)
        ]

    first = losses()
    assert first[0] != first[1] and losses() == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alignment": "e_info_nce", "sampling": "listed_triplets"}, "take alignment='cosine'"),
        ({"stage1_flips": True, "stages": 1}, "needs stages=2 and .*; got stages=1, 'asen_pp'"),
        ({"patch_layers": 25}, r"patch_layers must lie in \[0, 24\]; got 25"),
        ({"alignment": "nce"}, "alignment must be one of cosine, e_info_nce; got 'nce'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        paper().override(**changes)


def test_several_replicas_cannot_compare_all_images_of_a_step() -> None:
    config = smoke().override(method="rpf", **CONTRASTED)
    with pytest.raises(ConfigError, match="alignment must be cosine with several replicas"):
        check_division(config, 2, 2)
    check_division(config.override(alignment="cosine"), 2, 2)
    check_division(config.override(method="csn"), 2, 2)
