"""The relatives and the ablations of ASEN++ against a forward pass in NumPy, loop by loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from naive_models import attended, build, compare, features, gated, projected, relu, weights
from small_model import NAMES, VIEW, pictures

from asen_tf.config import ExperimentConfig
from asen_tf.models import SimilarityModel, TripletNetwork
from asen_tf.models.build import METHODS


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


@pytest.mark.parametrize("method", METHODS)
def test_the_settings_of_a_method_are_settings_of_a_run_with_the_same_defaults(method: str) -> None:
    config, settings = ExperimentConfig(), METHODS[method].Settings()
    assert dataclasses.asdict(settings).items() <= config.to_dict().items()


def test_a_model_keeps_the_settings_that_it_is_given() -> None:
    small = {"global_backbone": "compact", "global_size": 32, "embedding_dim": 5}
    model = TripletNetwork(("a", "b"), source_size=64, name="mine", **small)
    assert model.settings == TripletNetwork.Settings(source_size=64, **small)
    assert model.get_config() == {
        **{"attributes": ["a", "b"], "source_size": 64, "fit": "square"},
        **small,
    }
    assert model.name == "mine" and (model.global_size, model.source_size) == (32, 64)
    with pytest.raises(TypeError, match="embeding_dim"):
        TripletNetwork(("a", "b"), embeding_dim=5)
