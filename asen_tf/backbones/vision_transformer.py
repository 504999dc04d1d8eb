"""The vision transformer ViT-B/16 as a feature map of stride 16, and its weights from Google."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones.checkpoints import CheckpointError, Place, fill
from asen_tf.config import PATCH
from asen_tf.layers import EPSILON

# Parts of the network here, and where Google's files keep them.
_PUBLISHED = {
    "patches": "embedding",
    "positions/class_token": "cls",
    "positions/positions": "Transformer/posembed_input/pos_embedding",
    "norm1": "LayerNorm_0",
    "attention": "MultiHeadDotProductAttention_1",
    "attention_output": "out",
    "norm2": "LayerNorm_2",
    "mlp1": "MlpBlock_3/Dense_0",
    "mlp2": "MlpBlock_3/Dense_1",
    "gamma": "scale",
    "beta": "bias",
}
# Arrays of a file that a feature map does not need: final norm and classifier.
_UNUSED = re.compile(r"(Transformer/encoder_norm|pre_logits|head)/.*")


def build_vision_transformer(
    image: tf.Tensor,
    prefix: str,
    *,
    layers: int = 12,
    width: int = 768,
    heads: int = 12,
    grid: int = 14,
) -> tf.Tensor:
    """Apply a vision transformer without its final norm and classifier; ViT-B/16 by default.

    Patches of 16 x 16 px become tokens; a class token goes before them, learned positions are
    added, and the layers let all tokens see each other. Then the class token is dropped, and the
    others are a map again.

    Args:
        image: `(B, H, H, 3)`, square, scaled by `x / 127.5 - 1`, as Google's weights expect.
        prefix: goes before every layer's name.
        layers: transformer layers.
        width: `C`, units of a token.
        heads: of each layer's attention.
        grid: side of the grid of learned positions, that of a 224 px image; for an image of
            another size they are resized bilinearly.

    Returns:
        `(B, H // 16, H // 16, C)`.

    References:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021 (arXiv 2010.11929).
    """
    patches = keras.layers.Conv2D(width, PATCH, strides=PATCH, name=f"{prefix}patches")(image)
    tokens = _Positions(grid, name=f"{prefix}positions")(patches)
    for layer in range(1, layers + 1):
        tokens = transformer_layer(tokens, f"{prefix}layer{layer}_", heads=heads)
    return ToMap(name=f"{prefix}layer{layers}_map")(tokens)


def transformer_layer(tokens: tf.Tensor, prefix: str, *, heads: int) -> tf.Tensor:
    """Apply a transformer layer that normalises before attention and perceptron, not after.

    Args:
        tokens: `(B, N, C)`.
        prefix: goes before every layer's name.
        heads: of the attention, each of `C // heads` units.

    Returns:
        `(B, N, C)`. The perceptron has 4 `C` hidden units, with GELU.
    """
    width = tokens.shape[-1]
    normed = keras.layers.LayerNormalization(epsilon=EPSILON, name=f"{prefix}norm1")(tokens)
    attention = keras.layers.MultiHeadAttention(heads, width // heads, name=f"{prefix}attention")
    tokens = keras.layers.Add(name=f"{prefix}sum1")([tokens, attention(normed, normed)])
    normed = keras.layers.LayerNormalization(epsilon=EPSILON, name=f"{prefix}norm2")(tokens)
    hidden = keras.layers.Dense(4 * width, activation="gelu", name=f"{prefix}mlp1")(normed)
    added = keras.layers.Dense(width, name=f"{prefix}mlp2")(hidden)
    return keras.layers.Add(name=f"{prefix}sum2")([tokens, added])


def load_google(backbone: keras.Model, path: Path, *, prefix: str) -> None:
    """Put the arrays of one of Google's `.npz` files into a backbone; all are accounted for.

    Args:
        backbone: a model whose output is that of `build_vision_transformer`.
        path: the file, `ViT-B_16.npz` for instance; nothing pickled in it is loaded.
        prefix: of the backbone's layer names.

    Raises:
        CheckpointError: the file cannot be read, or an array is missing, unexpected or of another
            shape: all of them are listed. The backbone is left as it was.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: stored[name] for name in stored.files}
    except Exception as error:  # NumPy and zipfile raise many kinds
        raise CheckpointError(
            f"{path}: not an .npz file of plain arrays ({error}); pass Google's ViT-B_16.npz"
        ) from error
    faults = [
        f"{name} must hold floating-point numbers; got {array.dtype}"
        for name, array in state.items()
        if array.dtype.kind != "f"
    ]
    places = [
        Place(variable, _published(variable.name.split(":")[0].removeprefix(prefix)), "table")
        for variable in backbone.weights
    ]
    heading = f"{path}: not weights of this ViT; pass Google's ViT-B_16.npz, for 224 px"
    fill(places, state, unused=_UNUSED, heading=heading, faults=faults)


def _published(name: str) -> str:
    """Return where a file keeps a weight: `layer1_mlp1/kernel` in `.../MlpBlock_3/Dense_0/`."""
    if name in _PUBLISHED:
        return _PUBLISHED[name]
    layer = re.match(r"layer(\d+)_", name)
    parts = [_PUBLISHED.get(part, part) for part in name[layer.end() if layer else 0 :].split("/")]
    home = [f"Transformer/encoderblock_{int(layer[1]) - 1}"] if layer else []
    return "/".join(home + parts)


class _Positions(keras.layers.Layer):
    """Makes tokens of a map of patches: a class token first, and learned positions added."""

    def __init__(self, grid: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.grid = grid

    def build(self, input_shape: tuple) -> None:
        width, start = input_shape[-1], keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight("class_token", (1, 1, width), initializer="zeros")
        shape = (1, 1 + self.grid**2, width)
        self.positions = self.add_weight("positions", shape, initializer=start)
        super().build(input_shape)

    def call(self, patches: tf.Tensor) -> tf.Tensor:
        shape, width = tf.shape(patches), patches.shape[-1]
        of_grid = tf.reshape(self.positions[:, 1:], (1, self.grid, self.grid, width))
        places = tf.cast(tf.image.resize(of_grid, shape[1:3]), patches.dtype)
        token = tf.cast(self.token + self.positions[:, :1], patches.dtype)
        cells = tf.reshape(patches + places, (shape[0], -1, width))
        return tf.concat([tf.repeat(token, shape[0], axis=0), cells], axis=1)


class ToMap(keras.layers.Layer):
    """Turns tokens into a square map, `(B, N, C)` into `(B, s, s, C)`, without a class token.

    It asks for no other layer's output, so that a network can be cut anywhere before it.
    """

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        """Return the map of the last `s * s` tokens, `s` the largest that is possible."""
        count = tf.shape(tokens)[1]
        side = tf.cast(tf.sqrt(tf.cast(count, tf.float32)), tf.int32)
        shape = (tf.shape(tokens)[0], side, side, tokens.shape[-1])
        return tf.reshape(tokens[:, count - side**2 :], shape)
