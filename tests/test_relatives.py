"""The relatives and the ablations of ASEN++ against a forward pass in NumPy, loop by loop."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import NAMES, VIEW, pictures

from asen_tf.layers import global_view
from asen_tf.models import SimilarityModel, build_model
from asen_tf.presets import smoke


def build(**changes) -> SimilarityModel:
    """Build a method with random weights, none of which is zero."""
    keras.utils.set_random_seed(5)
    model = build_model(smoke().override(global_size=VIEW, **changes), NAMES)
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if weight.shape.rank == 1:  # biases and batch normalisation, the moving variance too
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "table" in weight.name:
            weight.assign(rng.normal(size=weight.shape))
    return model


def weights(model: SimilarityModel, part: str) -> dict[str, np.ndarray]:
    """Return a part's weights by the last piece(s) of their names, such as `key/kernel`."""
    found = {}
    for weight in model.weights:
        name = weight.name.split(":")[0]
        if f"global_{part}/" in f"{name}/":
            found[name.split(f"global_{part}/")[1]] = weight.numpy().astype(np.float64)
    return found


def features(model: SimilarityModel, images: np.ndarray) -> np.ndarray:
    """Return the backbone's features, `(B, h, w, C)`; the backbone has its own tests."""
    branch = getattr(model, "branch", None) or model.global_branch
    view = global_view(tf.constant(images), VIEW)
    normalised = branch.get_layer("global_normalisation")(view)
    return branch.get_layer("global_backbone")(normalised).numpy().astype(np.float64)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores - scores.max())
    return shares / shares.sum()


def gated(model: SimilarityModel, pooled: np.ndarray, vector: np.ndarray) -> np.ndarray:
    w = weights(model, "channel_attention")
    r = relu(vector @ w["attribute/kernel"] + w.get("attribute/bias", 0.0))
    squeezed = relu(np.concatenate([pooled, r]) @ w["squeeze/kernel"] + w["squeeze/bias"])
    return pooled * sigmoid(squeezed @ w["gate/kernel"] + w["gate/bias"])


def projected(model: SimilarityModel, vector: np.ndarray) -> np.ndarray:
    w = weights(model, "embedding")
    return vector @ w["kernel"] + w["bias"]


def attended(
    model: SimilarityModel, x: np.ndarray, vector: np.ndarray, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return pooled features and map of one image: kind is asen_pp, asen_v2 or asen."""
    w = weights(model, "spatial_attention")
    query = np.tanh(vector @ w["query/kernel"] + w.get("query/bias", 0.0))
    scores = np.zeros(x.shape[:2])
    for i, j in np.ndindex(*scores.shape):
        key = x[i, j] @ w["key/kernel"] + w["key/bias"]
        if kind == "asen_v2":
            scale = w["key_norm/gamma"] / np.sqrt(w["key_norm/moving_variance"] + 1e-5)
            key = (key - w["key_norm/moving_mean"]) * scale + w["key_norm/beta"]
        product = query * np.tanh(key)
        if kind == "asen":
            scores[i, j] = np.tanh((product @ w["score/kernel"] + w["score/bias"])[0])
        else:
            scores[i, j] = product.sum() / np.sqrt(len(query))
    shares = softmax(scores)
    return (shares[..., None] * x).sum(axis=(0, 1)), shares


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


def compare(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape and np.ptp(expected) > 1e-3
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


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
    mask = relu(weights(model, "mask")["masks"])
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
        [projected(model, attended(model, x, vector, "asen_pp")[0]) for vector in table]
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
