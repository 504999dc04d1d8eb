"""Residual backbones: ResNet-50 and ResNet-34 in torchvision's layout, and a compact one."""

from __future__ import annotations

import keras
import tensorflow as tf

from asen_tf.layers import PositionGate

# torchvision's constants; Keras counts momentum the other way round (0.9 here is 0.1 there).
_EPSILON, _MOMENTUM = 1e-5, 0.9

_STAGES = {"resnet34": (3, 4, 6), "resnet50": (3, 4, 6)}  # blocks of stages 1 to 3


def build_resnet(name: str, image: tf.Tensor, prefix: str) -> tf.Tensor:
    """Apply ResNet-34 or ResNet-50 up to its third stage (stride 16).

    Padding is explicit and symmetric and the stride sits in the 3x3 convolution of a bottleneck,
    as in torchvision; `keras.applications` differs in both, so that weights could not be shared.
    Layers are named as torchvision's, with underscores: `layer1_0_conv1`, `layer2_0_downsample_0`.

    Args:
        name: "resnet34" or "resnet50".
        image: `(B, H, W, 3)`, normalised by ImageNet's mean and standard deviation.
        prefix: goes before every layer's name.

    Returns:
        `(B, H / 16, W / 16, C)`: 256 channels for ResNet-34, 1024 for ResNet-50.

    References:
        He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385.
    """
    block = bottleneck_block if name == "resnet50" else basic_block
    x = _convolve(image, 64, 7, 2, f"{prefix}conv1", f"{prefix}bn1")
    x = keras.layers.ReLU(name=f"{prefix}relu")(x)
    x = keras.layers.ZeroPadding2D(1, name=f"{prefix}maxpool_pad")(
        x
    )  # inputs are >= 0, so 0 acts as -inf
    x = keras.layers.MaxPooling2D(3, strides=2, name=f"{prefix}maxpool")(x)
    for stage, blocks in enumerate(_STAGES[name], start=1):
        for index in range(blocks):
            stride = 2 if stage > 1 and index == 0 else 1
            x = block(x, 32 * 2**stage, stride, f"{prefix}layer{stage}_{index}_")
    return x


def basic_block(x: tf.Tensor, width: int, stride: int, prefix: str) -> tf.Tensor:
    """Two 3x3 convolutions around a shortcut; `width` channels out."""
    y = _convolve(x, width, 3, stride, f"{prefix}conv1", f"{prefix}bn1")
    y = keras.layers.ReLU(name=f"{prefix}relu1")(y)
    y = _convolve(y, width, 3, 1, f"{prefix}conv2", f"{prefix}bn2")
    return _join(x, y, stride, prefix)


def bottleneck_block(x: tf.Tensor, width: int, stride: int, prefix: str) -> tf.Tensor:
    """1x1, 3x3 (strided) and 1x1 convolutions around a shortcut; `4 * width` channels out."""
    y = _convolve(x, width, 1, 1, f"{prefix}conv1", f"{prefix}bn1")
    y = keras.layers.ReLU(name=f"{prefix}relu1")(y)
    y = _convolve(y, width, 3, stride, f"{prefix}conv2", f"{prefix}bn2")
    y = keras.layers.ReLU(name=f"{prefix}relu2")(y)
    y = _convolve(y, 4 * width, 1, 1, f"{prefix}conv3", f"{prefix}bn3")
    return _join(x, y, stride, prefix)


def build_compact(image: tf.Tensor, prefix: str) -> tf.Tensor:
    """Apply a small residual network for small inputs on a CPU (stride 8, about 0.5 M weights).

    Two strided convolutions keep the costly high resolutions thin; two residual blocks of 128
    channels do the work at stride 8. The features of a deep network trained on ImageNet tell how a
    pattern is arranged; those of so small a network do not, and the branches pool them over all
    positions, which forgets it. So the last layer gives each channel a place (see `PositionGate`).

    Args:
        image: `(B, H, W, 3)`, normalised.
        prefix: goes before every layer's name.

    Returns:
        `(B, H / 8, W / 8, 256)`.
    """
    x = image
    for index, width in enumerate((16, 48), start=1):
        x = _convolve(x, width, 3, 2, f"{prefix}stem{index}_conv", f"{prefix}stem{index}_bn")
        x = keras.layers.ReLU(name=f"{prefix}stem{index}_relu")(x)
    for index, stride in enumerate((2, 1)):
        x = basic_block(x, 128, stride, f"{prefix}layer1_{index}_")
    x = _convolve(x, 256, 1, 1, f"{prefix}place_conv", f"{prefix}place_bn")
    x = keras.layers.ReLU(name=f"{prefix}place_relu")(x)
    return PositionGate(name=f"{prefix}place_gate")(x)


def _join(x: tf.Tensor, y: tf.Tensor, stride: int, prefix: str) -> tf.Tensor:
    if stride != 1 or x.shape[-1] != y.shape[-1]:
        downsample = f"{prefix}downsample_0", f"{prefix}downsample_1"
        x = _convolve(x, y.shape[-1], 1, stride, *downsample)
    joined = keras.layers.Add(name=f"{prefix}add")([x, y])
    return keras.layers.ReLU(name=f"{prefix}out")(joined)


def _convolve(
    x: tf.Tensor, width: int, kernel: int, stride: int, conv: str, norm: str
) -> tf.Tensor:
    """Convolution without bias, padded by half the kernel on every side, then batch norm."""
    padding: str = "same"
    if stride > 1 and kernel > 1:  # Keras' "same" would pad a strided convolution unevenly
        x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{conv}_pad")(x)
        padding = "valid"
    x = keras.layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=conv,
    )(x)
    return keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=norm)(x)
