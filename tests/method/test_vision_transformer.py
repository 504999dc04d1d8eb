"""The vision transformer against loops in NumPy that read Google's arrays, and bad files."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asen_study.starts import find_imagenet
from asen_tf.backbones import BackboneError, build, build_backbone, normalisation_mode
from asen_tf.backbones.vision_transformer import build_vision_transformer
from asen_tf.config import ConfigError
from asen_tf.presets import paper

LAYERS, WIDTH, HEADS, GRID = 2, 6, 3, 2
TINY = {"layers": LAYERS, "width": WIDTH, "heads": HEADS, "grid": GRID}
_BLOCK = {
    **{f"LayerNorm_{n}/{kind}": (WIDTH,) for n in (0, 2) for kind in ("scale", "bias")},
    "MlpBlock_3/Dense_0/kernel": (WIDTH, 4 * WIDTH),
    "MlpBlock_3/Dense_0/bias": (4 * WIDTH,),
    "MlpBlock_3/Dense_1/kernel": (4 * WIDTH, WIDTH),
    "MlpBlock_3/Dense_1/bias": (WIDTH,),
    **{
        f"MultiHeadDotProductAttention_1/{part}/{kind}": shape
        for part in ("query", "key", "value")
        for kind, shape in (("kernel", (WIDTH, HEADS, 2)), ("bias", (HEADS, 2)))
    },
    "MultiHeadDotProductAttention_1/out/kernel": (HEADS, 2, WIDTH),
    "MultiHeadDotProductAttention_1/out/bias": (WIDTH,),
}
# The arrays of the published file, here for a transformer of two layers.
SHAPES = {
    "cls": (1, 1, WIDTH),
    "embedding/kernel": (16, 16, 3, WIDTH),
    "embedding/bias": (WIDTH,),
    "Transformer/posembed_input/pos_embedding": (1, 1 + GRID**2, WIDTH),
    **{
        f"Transformer/encoderblock_{n}/{name}": shape
        for n in range(LAYERS)
        for name, shape in _BLOCK.items()
    },
    "Transformer/encoder_norm/scale": (WIDTH,),
    "Transformer/encoder_norm/bias": (WIDTH,),
    "pre_logits/kernel": (WIDTH, WIDTH),
    "pre_logits/bias": (WIDTH,),
    "head/kernel": (WIDTH, 5),
    "head/bias": (5,),
}
Arrays = dict[str, np.ndarray]


def random_arrays() -> Arrays:
    rng = np.random.default_rng(3)
    return {n: rng.normal(0, 0.5, shape).astype(np.float32) for n, shape in SHAPES.items()}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let "vit_b16" be a transformer of two layers."""
    small = functools.partial(build_vision_transformer, **TINY)
    monkeypatch.setitem(build._BUILDERS, "vit_b16", small)


def saved(arrays: Arrays, folder: Path) -> Path:
    np.savez(folder / "ViT-B_16.npz", **arrays)
    return folder / "ViT-B_16.npz"


def layer_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6) * scale + bias


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def naive(arrays: Arrays, image: np.ndarray) -> np.ndarray:
    """Return the map of one image, patch by patch and head by head."""
    side = len(image) // 16
    tokens = [arrays["cls"][0, 0]]
    for i, j in np.ndindex(side, side):
        patch = image[16 * i : 16 * i + 16, 16 * j : 16 * j + 16]
        weighed = (patch[..., None] * arrays["embedding/kernel"]).sum(axis=(0, 1, 2))
        tokens.append(weighed + arrays["embedding/bias"])
    x = np.array(tokens) + arrays["Transformer/posembed_input/pos_embedding"][0]
    for n in range(LAYERS):
        block = {k.split(f"block_{n}/")[1]: v for k, v in arrays.items() if f"block_{n}/" in k}
        y = layer_norm(x, block["LayerNorm_0/scale"], block["LayerNorm_0/bias"])
        w = {k.split("/", 1)[1]: v for k, v in block.items() if k.startswith("MultiHead")}
        added = np.tile(w["out/bias"], (len(x), 1))
        for h in range(HEADS):
            q, k, v = (
                y @ w[f"{part}/kernel"][:, h] + w[f"{part}/bias"][h]
                for part in ("query", "key", "value")
            )
            scores = np.exp(q @ k.T / math.sqrt(2))
            added += scores / scores.sum(axis=1, keepdims=True) @ v @ w["out/kernel"][h]
        x = x + added
        y = layer_norm(x, block["LayerNorm_2/scale"], block["LayerNorm_2/bias"])
        hidden = gelu(y @ block["MlpBlock_3/Dense_0/kernel"] + block["MlpBlock_3/Dense_0/bias"])
        x = x + hidden @ block["MlpBlock_3/Dense_1/kernel"] + block["MlpBlock_3/Dense_1/bias"]
    return x[1:].reshape(side, side, WIDTH)


def test_googles_arrays_give_what_the_formulas_say(tmp_path: Path) -> None:
    arrays = random_arrays()
    backbone = build_backbone("vit_b16", weights=saved(arrays, tmp_path), prefix="local_")
    image = np.random.default_rng(0).uniform(-1, 1, (32, 32, 3)).astype(np.float32)
    found = backbone(image[None])[0]
    np.testing.assert_allclose(found, naive(arrays, image), rtol=1e-3, atol=1e-3)
    assert normalisation_mode("vit_b16") == "signed"


def test_positions_are_resized_for_another_size(tmp_path: Path) -> None:
    arrays = {name: np.zeros_like(array) for name, array in random_arrays().items()}
    places = np.float32([0, 1, 2, 3, 5]) * np.ones((WIDTH, 1), np.float32)  # class token first
    arrays["Transformer/posembed_input/pos_embedding"] = places.T[None]
    backbone = build_backbone("vit_b16", weights=saved(arrays, tmp_path))
    found = backbone(np.zeros((1, 48, 48, 3), np.float32))[0, :, :, 0]
    # Three cells over two: the middle of the outer ones, and what lies halfway between.
    np.testing.assert_allclose(found, [[1, 1.5, 2], [2, 2.75, 3.5], [3, 4, 5]], atol=1e-5)


FAULTS: dict[str, Callable[[Arrays], object]] = {
    "missing: Transformer/encoderblock_1/MlpBlock_3/Dense_0/bias": lambda arrays: arrays.pop(
        "Transformer/encoderblock_1/MlpBlock_3/Dense_0/bias"
    ),
    "unexpected: Transformer/encoderblock_2/LayerNorm_0/scale": lambda arrays: arrays.update(
        {"Transformer/encoderblock_2/LayerNorm_0/scale": np.ones(WIDTH, np.float32)}
    ),
    r"shape of Transformer/posembed_input/pos_embedding: \(1, 17, 6\) does not": (
        lambda arrays: arrays.update(
            {"Transformer/posembed_input/pos_embedding": np.ones((1, 17, WIDTH), np.float32)}
        )
    ),
    "cls must hold floating-point numbers; got int64": lambda arrays: arrays.update(
        {"cls": np.ones((1, 1, WIDTH), np.int64)}
    ),
    "not an .npz file of plain arrays .*allow_pickle": lambda arrays: arrays.update(
        {"cls": np.array([{"a": 1}], dtype=object)}
    ),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_file_that_does_not_fit_is_refused(message: str, tmp_path: Path) -> None:
    arrays = random_arrays()
    FAULTS[message](arrays)
    path = saved(arrays, tmp_path)
    with pytest.raises(BackboneError, match=rf"(?s)ViT-B_16\.npz: .*{message}"):
        build_backbone("vit_b16", weights=path)


@pytest.mark.parametrize("damage", ["cut", "text", "one array", "absent"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = saved(random_arrays(), tmp_path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "text":
        path.write_text("weights")
    elif damage == "one array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    else:
        path.unlink()
    with pytest.raises(BackboneError, match=r"not an .npz file of plain arrays .*pass Google's"):
        build_backbone("vit_b16", weights=path)


def test_an_absent_file_is_named_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"ViT-B_16\*\.npz .*vit_models/imagenet21k"):
        find_imagenet("vit_b16", tmp_path)
    path = saved(random_arrays(), tmp_path)
    assert find_imagenet("vit_b16", tmp_path) == path
    with pytest.raises(BackboneError, match=r"pass the path of a \.npz or \.weights\.h5"):
        build_backbone("vit_b16", weights="imagenet")


def test_layers_freeze_as_stages() -> None:
    backbone = build_backbone("vit_b16", prefix="local_")
    build.freeze("vit_b16", backbone, stages=1, batch_norms=False)
    trained = {variable.name for variable in backbone.trainable_variables}
    assert trained and all(name.startswith("local_layer2_") for name in trained)
    before, after = build.cut_after("vit_b16", backbone, 1)
    image = np.ones((1, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(after(before(image)), backbone(image))
    with pytest.raises(ConfigError, match="one of .*vit_b16, or keras:"):
        paper().override(local_backbone="vit")
