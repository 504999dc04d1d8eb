"""The layers of all methods in NumPy, loop by loop: an oracle for whole models."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from small_model import NAMES, VIEW

from asen_tf.layers import global_view
from asen_tf.models import AsenPlusPlus, SimilarityModel, build_model
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
    """Return a part's weights by the last piece(s) of their names, such as `key/kernel`.

    A part is a layer with its branch, such as `global_spatial_attention`.
    """
    found = {}
    for weight in model.weights:
        name = weight.name.split(":")[0]
        if f"{part}/" in f"{name}/":
            found[name.split(f"{part}/")[1]] = weight.numpy().astype(np.float64)
    return found


def features(model: SimilarityModel, images: np.ndarray) -> np.ndarray:
    """Return the global backbone's features, `(B, h, w, C)`; the backbone has its own tests."""
    branch = getattr(model, "branch", None) or model.global_branch
    view = global_view(tf.constant(images), VIEW)
    normalised = branch.get_layer("global_normalisation")(view)
    return branch.get_layer("global_backbone")(normalised).numpy().astype(np.float64)


def zoomed_features(model: AsenPlusPlus, crops: np.ndarray) -> np.ndarray:
    """Return the local backbone's features of crops, `(P, h, w, C)`."""
    normalised = model.local_branch.get_layer("local_normalisation")(tf.constant(crops, tf.float32))
    return model.local_branch.get_layer("local_backbone")(normalised).numpy().astype(np.float64)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores - scores.max())
    return shares / shares.sum()


def gated(
    model: SimilarityModel, pooled: np.ndarray, vector: np.ndarray, branch: str = "global"
) -> np.ndarray:
    w = weights(model, f"{branch}_channel_attention")
    r = relu(vector @ w["attribute/kernel"] + w.get("attribute/bias", 0.0))
    squeezed = relu(np.concatenate([pooled, r]) @ w["squeeze/kernel"] + w["squeeze/bias"])
    return pooled * sigmoid(squeezed @ w["gate/kernel"] + w["gate/bias"])


def projected(model: SimilarityModel, vector: np.ndarray, branch: str = "global") -> np.ndarray:
    w = weights(model, f"{branch}_embedding")
    return vector @ w["kernel"] + w["bias"]


def attended(
    model: SimilarityModel,
    x: np.ndarray,
    vector: np.ndarray,
    kind: str = "asen_pp",
    branch: str = "global",
) -> tuple[np.ndarray, np.ndarray]:
    """Return pooled features and map of one image: kind is asen_pp, asen_v2 or asen."""
    w = weights(model, f"{branch}_spatial_attention")
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


def compare(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape and np.ptp(expected) > 1e-3
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
