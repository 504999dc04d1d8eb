"""The relatives and the ablations of ASEN++ against a forward pass in NumPy, loop by loop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from naive_models import attended, build, compare, features, gated, projected, relu, weights
from small_model import NAMES, VIEW, pictures

from asen_tf.backbones import build_backbone, semantic_channels
from asen_tf.config import METHODS as CONFIG_METHODS
from asen_tf.config import ExperimentConfig
from asen_tf.layers import ConditionalMask, global_view
from asen_tf.models import AsenPlusPlus, FrozenFeatures, SimilarityModel, TripletNetwork
from asen_tf.models.build import METHODS
from asen_tf.models.relatives import SHRINKAGE
from asen_tf.presets import smoke
from asen_tf.training import BEST, phases, train


def naive(model: SimilarityModel, images: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `(B, A, D)` global embeddings and `(B, A, h, w)` maps of an attentive method."""
    table = np.eye(len(NAMES))
    if kind != "asen":
        table = model.attribute_table.embeddings.numpy().astype(np.float64)
    found, maps = [], []
    for x in features(model, images):
        for vector in table:
            pooled, shares = attended(model, x, vector, kind)
            embedding = gated(model, pooled, vector)
            if kind != "asen_v2":
                embedding = projected(model, embedding)
            if kind != "asen_pp":
                embedding = embedding / np.linalg.norm(embedding)
            found.append(embedding)
            maps.append(shares)
    shape = (len(images), len(NAMES))
    return np.reshape(found, (*shape, -1)), np.reshape(maps, (*shape, *maps[0].shape))


@pytest.mark.parametrize("kind", ["asen", "asen_v2", "asen_pp"])
def test_attentive_methods_are_what_the_formulas_say(kind: str) -> None:
    model, images = build(method=kind), pictures()
    expected, maps = naive(model, images, kind)
    compare(model.embed_all(images, embedding="global"), expected)
    rows, attributes = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    outputs = model.embed_pairs(images, rows, attributes)
    compare(outputs["attention"].reshape(maps.shape), maps)
    # Attributes are told apart, so that mixed-up ones would be found.
    assert np.abs(expected[:, 0] - expected[:, 1]).max() > 1e-3


def test_the_triplet_network_knows_no_attribute() -> None:
    model, images = build(method="triplet"), pictures()
    expected = projected(model, features(model, images).mean(axis=(1, 2)))
    found = model.embed_all(images)
    for attribute in range(len(NAMES)):
        compare(found[:, attribute], expected)


@pytest.mark.parametrize("masks", ["learned", "disjoint"])
def test_csn_multiplies_one_embedding_by_the_attributes_mask(masks: str) -> None:
    model, images = build(method="csn", csn_masks=masks), pictures()
    common = projected(model, features(model, images).mean(axis=(1, 2)))
    mask = relu(weights(model, "global_mask")["masks"])
    compare(model.embed_all(images), common[:, None] * mask[None])
    if masks == "disjoint":
        np.testing.assert_array_equal(mask.sum(axis=0), 1.0)  # each dimension has one owner
        np.testing.assert_array_equal(mask.sum(axis=1), [6, 5, 5])  # 16 dimensions, 3 attributes


def test_learned_masks_start_as_the_authors_of_csn_draw_them() -> None:
    layer = ConditionalMask(100)
    layer.build((None, 400))
    drawn = layer.weight.numpy()  # from N(0.9, 0.7): of 40,000, the errors are 0.0035 and 0.0025
    assert drawn.mean() == pytest.approx(0.9, abs=0.015)
    assert drawn.std() == pytest.approx(0.7, abs=0.0125)
    assert (drawn < 0.0).mean() == pytest.approx(0.0993, abs=0.008)  # the share below -0.9 / 0.7
    assert layer.trainable_weights


def frozen(kind: str) -> FrozenFeatures:
    return build(method="features", feature_map=kind)


def test_plain_features_are_the_mean_and_know_no_attribute() -> None:
    model, images = frozen("none"), pictures()
    expected = features(model, images).mean(axis=(1, 2))
    found = model.embed_all(images)
    for attribute in range(len(NAMES)):
        compare(found[:, attribute], expected)
    assert not model.trained and not model.trainable_variables


def test_linear_maps_are_one_for_each_attribute() -> None:
    model, images = frozen("linear"), pictures()
    mean = features(model, images).mean(axis=(1, 2))
    head = model.branch.get_layer("global_head").get_layer("global_embedding")
    kernel, bias = (weight.astype(np.float64) for weight in head.get_weights())
    units = model.settings.embedding_dim
    for attribute in range(len(NAMES)):
        own = slice(attribute * units, (attribute + 1) * units)
        compare(model.embed_all(images)[:, attribute], mean @ kernel[:, own] + bias[own])
    assert model.trained and len(model.trainable_variables) == 2


def test_training_on_features_is_training_on_images() -> None:
    model, images = frozen("linear"), pictures()
    view, attribute = global_view(images, VIEW), tf.constant([0, 2, 1])
    seen = model({"view": view, "attribute": attribute}, training=True)["global"]
    given = {"view": model.mean_features(view), "attribute": attribute}
    np.testing.assert_allclose(model(given, training=True)["global"], seen, rtol=1e-5, atol=1e-6)
    compare(seen.numpy(), model.embed(images, attribute.numpy()))  # batch norms are frozen, too


def test_whitened_features_are_centred_and_their_variances_nearer_to_each_other() -> None:
    model = frozen("whitened")
    width = model.branch.get_layer("global_head").input_shape[-1]
    rng = np.random.default_rng(0)
    given = rng.normal(1.0, np.geomspace(0.1, 10.0, width), (4 * width, width))
    model.whiten(given)
    head = model.branch.get_layer("global_head")
    found = head(given.astype(np.float32)).numpy()[:, 0].astype(np.float64)
    middle = given.mean(axis=0)
    covariance = np.cov(given.T, bias=True)
    shrunk = covariance + SHRINKAGE * np.trace(covariance) / width * np.eye(width)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-4)
    # Scalar products of whitened vectors are those of the inverse covariance.
    expected = (given[:5] - middle) @ np.linalg.solve(shrunk, (given[:5] - middle).T)
    np.testing.assert_allclose(found[:5] @ found[:5].T, expected, rtol=1e-3, atol=1e-3)


def test_plain_features_are_measured_without_a_look_at_training_images(tmp_path: Path) -> None:
    config, measured = smoke().override(method="features"), {"val_map": 50.0}
    place = {"directory": tmp_path, "validate": lambda network: measured}
    result = train(frozen("none"), config, None, phases(config)[0], **place)
    assert result.history == [{"epoch": 0, **measured}] and (tmp_path / BEST).exists()


def test_few_or_equal_images_are_whitened_without_infinities() -> None:
    model = frozen("whitened")
    width = model.branch.get_layer("global_head").input_shape[-1]
    for given in (np.ones((1, width)), np.ones((3, width))):
        model.whiten(given)
        assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)


def test_of_a_joined_map_the_last_stage_counts_alone() -> None:
    model = build(method="features", global_backbone="efficientnet_lite0")
    images = pictures()
    joined = features(model, images)
    assert joined.shape[-1] == 432
    compare(model.embed_all(images)[:, 0], joined[..., -320:].mean(axis=(1, 2)))
    assert semantic_channels("efficientnet_lite2", 472) == 352
    assert semantic_channels("compact", 256) == 256


def test_the_frozen_backbone_takes_starting_weights_as_any_other() -> None:
    source = build_backbone("compact")
    model = frozen("none")
    (_, backbone), *_ = model.backbones
    backbone.set_weights(source.get_weights())
    for ours, theirs in zip(backbone.weights, source.weights, strict=True):
        assert ours.name.split("/")[-1] == theirs.name.split("/")[-1]
        np.testing.assert_array_equal(ours, theirs)


def test_an_unknown_map_is_refused() -> None:
    with pytest.raises(ValueError, match="feature_map must be one of none, whitened, linear"):
        FrozenFeatures(("a",), feature_map="pca")


def test_without_spatial_attention_features_are_averaged_and_the_region_is_the_frame() -> None:
    model, images = build(spatial_attention=False), pictures()
    table = model.attribute_table.embeddings.numpy().astype(np.float64)
    pooled = features(model, images).mean(axis=(1, 2))
    expected = [[projected(model, gated(model, v, vector)) for vector in table] for v in pooled]
    compare(model.embed_all(images, embedding="global"), np.array(expected))
    boxes = model.embed_pairs(images, [0, 1], [0, 2])["boxes"]
    np.testing.assert_array_equal(boxes, [[0, 0, VIEW, VIEW]] * 2)


def test_without_channel_attention_the_gates_are_gone() -> None:
    model, images = build(channel_attention=False), pictures()
    table = model.attribute_table.embeddings.numpy().astype(np.float64)
    expected = [
        [projected(model, attended(model, x, vector)[0]) for vector in table]
        for x in features(model, images)
    ]
    compare(model.embed_all(images, embedding="global"), np.array(expected))


def test_without_any_attention_the_attribute_counts_for_nothing() -> None:
    model, images = build(spatial_attention=False, channel_attention=False), pictures()
    expected = projected(model, features(model, images).mean(axis=(1, 2)))
    for name in ("global", "local"):
        found = model.embed_all(images, embedding=name)
        np.testing.assert_array_equal(found[:, 0], found[:, 1])
    for attribute in range(len(NAMES)):
        compare(model.embed_all(images, embedding="global")[:, attribute], expected)


# === Settings ===

SMALL = {"global_backbone": "compact", "local_backbone": "compact", "embedding_dim": 5}


def test_every_method_of_the_configuration_has_its_model() -> None:
    assert tuple(METHODS) == CONFIG_METHODS


@pytest.mark.parametrize("method", METHODS)
def test_the_settings_of_a_method_are_settings_of_a_run_with_the_same_defaults(method: str) -> None:
    config, settings = ExperimentConfig(), METHODS[method].Settings()
    assert dataclasses.asdict(settings).items() <= config.to_dict().items()


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"region": "atended"}, "region must be one of attended, true, centre, whole; got 'atend"),
        ({"region_rule": "treshold"}, "region_rule must be one of threshold, mass, peak"),
        ({"attribute_tables": "seperate"}, "attribute_tables must be one of shared, separate"),
        ({"map_reading": "cell"}, "map_reading must be one of released, cells"),
        ({"preprocessing": "relase"}, "preprocessing must be one of ours, release"),
        ({"alignment": "nce"}, "alignment must be one of cosine, e_info_nce"),
        ({"fusion_weight": 1.5}, r"fusion_weight must lie in \[0, 1\]; got 1.5"),
        ({"local_backbone": "resnet18"}, "local_backbone must be one of .*; got 'resnet18'"),
        ({"global_size": "224"}, "global_size must be of type int; got '224' of type str"),
        ({"global_backbone": None}, "global_backbone must be of type str; got None"),
        ({"channel_attention": 1}, "channel_attention must be of type bool; got 1 of type int"),
    ],
)
def test_a_setting_of_a_model_has_the_rule_of_the_runs(wrong: dict, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        AsenPlusPlus(("a", "b"), **{**SMALL, **wrong})


def test_a_model_keeps_the_settings_that_it_is_given() -> None:
    small = {"global_backbone": "compact", "global_size": 32, "embedding_dim": 5}
    model = TripletNetwork(("a", "b"), source_size=64, name="mine", **small)
    assert model.settings == TripletNetwork.Settings(source_size=64, **small)
    assert model.get_config() == {
        **{"attributes": ["a", "b"], "source_size": 64, "fit": "square"},
        **{"map_reading": "released", "preprocessing": "ours"},
        **small,
    }
    assert model.name == "mine" and (model.global_size, model.source_size) == (32, 64)
    with pytest.raises(TypeError, match="embeding_dim"):
        TripletNetwork(("a", "b"), embeding_dim=5)
