from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from layer_contract import run_layer_contract

from asen_tf.layers import (
    AttributeChannelAttention,
    AttributeCrossAttention,
    AttributeSpatialAttention,
    BackgroundAttention,
    ImageNormalisation,
    PositionGate,
    RegionOfInterest,
)
from asen_tf.models.rpf import ResumableDropout


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


CASES: list[tuple[type, dict[str, Any], list[np.ndarray], list[tuple[int, ...]], int]] = [
    (
        AttributeSpatialAttention,
        {"units": 5},
        [normal(2, 3, 4, 6), normal(2, 7, 8)],
        [(2, 7, 6), (2, 7, 3, 4)],
        4,
    ),
    (
        AttributeChannelAttention,
        {"attribute_units": 5, "reduction": 3},
        [normal(2, 7, 6), normal(2, 7, 8)],
        [(2, 7, 6)],
        6,
    ),
    (
        RegionOfInterest,
        {
            **{"map_size": 12, "crop_size": 8, "threshold": 0.3},
            **{"rule": "mass", "share": 0.5, "least": 0.2},
        },
        [normal(2, 3, 4), pixels(2, 20, 20, 3)],
        [(2, 8, 8, 3), (2, 4)],
        0,
    ),
    (PositionGate, {"frequencies": 2}, [normal(2, 5, 3, 4)], [(2, 5, 3, 4)], 2),
    (
        AttributeCrossAttention,
        {"heads": 2},
        [normal(2, 3, 4, 6), normal(2, 7, 8)],
        [(2, 7, 6), (2, 7, 3, 4)],
        13,
    ),
    (BackgroundAttention, {}, [normal(2, 3, 4, 6), normal(2, 7, 3, 4)], [(2, 7, 6)], 0),
    (ResumableDropout, {"rate": 0.25}, [normal(2, 5, 3)], [(2, 5, 3)], 0),
    (ImageNormalisation, {"mode": "caffe"}, [pixels(2, 5, 6, 3)], [(2, 5, 6, 3)], 0),
]


@pytest.mark.parametrize(("layer", "settings", "inputs", "output_shapes", "weights"), CASES)
def test_the_layer_keeps_the_contract(
    layer: type,
    settings: dict[str, Any],
    inputs: list[np.ndarray],
    output_shapes: list[tuple[int, ...]],
    weights: int,
    tmp_path: Path,
) -> None:
    run_layer_contract(
        layer,
        settings,
        inputs,
        output_shapes=output_shapes,
        weights=weights,
        directory=tmp_path,
    )


@keras.saving.register_keras_serializable(package="asen_tf_tests")
class Forgetful(keras.layers.Layer):
    """Keeps its setting from the config."""

    def __init__(self, power: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power = power

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable(package="asen_tf_tests")
class Stuck(keras.layers.Layer):
    """Has a weight that the output does not depend on."""

    def build(self, input_shape: Any) -> None:
        self.idle = self.add_weight(name="idle", shape=(1,), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return inputs + 0.0 * self.idle


def test_a_layer_that_breaks_the_contract_is_found(tmp_path: Path) -> None:
    shared = {"output_shapes": [(2, 3)], "weights": 1, "directory": tmp_path}
    with pytest.raises(KeyError, match="power"):
        run_layer_contract(Forgetful, {"power": 2}, [normal(2, 3)], **shared)
    with pytest.raises(AssertionError, match="did not move"):
        run_layer_contract(Stuck, {}, [normal(2, 3)], **shared)
    with pytest.raises(AssertionError, match=r"\(2, 3\)"):
        run_layer_contract(Stuck, {}, [normal(4, 3)], **shared)
