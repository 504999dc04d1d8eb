"""A small ASEN++ and pictures for it, for the tests of the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from asen_tf.layers import global_view
from asen_tf.models import AsenPlusPlus, build_model
from asen_tf.presets import smoke

NAMES = ("neckline", "sleeve", "buttons")
VIEW = 32  # px, side of the global input
THRESHOLD = 0.9  # of the region: high, because untrained maps are flat


def small_model(names: Sequence[str] = NAMES) -> AsenPlusPlus:
    """Build a model with random weights, whose attributes look at different places."""
    keras.utils.set_random_seed(3)
    settings = smoke().override(
        global_size=VIEW, roi_threshold=THRESHOLD, fusion_weight=0.7, embedding_dim=16
    )
    model = build_model(settings, names)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.shape.rank == 1:  # biases and batch normalisation, the moving variance too
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    table = model.attribute_table
    table.set_weights([10.0 * rng.normal(size=table.embeddings.shape)])
    return model


def pictures(count: int = 3, side: int = 64) -> np.ndarray:
    """Return smooth random pictures: noise would be grey once it is resized."""
    rough = np.random.default_rng(0).uniform(0, 255, (count, 6, 6, 3))
    return tf.cast(tf.image.resize(rough, (side, side), "bicubic"), tf.uint8).numpy()


def save_catalogue(folder: Path, count: int, side: int) -> None:
    """Save the model as `model.keras`, and pictures as `0.png`, `1.png`, ..."""
    small_model().save(folder / "model.keras")
    for number, pixels in enumerate(pictures(count, side)):
        Image.fromarray(pixels).save(folder / f"{number}.png")


def training_batch(sources: np.ndarray, attribute: list[int]) -> dict[str, tf.Tensor]:
    """Return what the model is called on in training."""
    view = global_view(tf.constant(sources), VIEW)
    return {"view": view, "source": tf.constant(sources), "attribute": tf.constant(attribute)}
