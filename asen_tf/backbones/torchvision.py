"""Names and layouts of torchvision's ResNets, which the authors' checkpoints share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones.errors import BackboneError
from asen_tf.checkpoints import CheckpointError, read_state

# A weight's kind in Keras: its name in PyTorch, and how an array from there is turned.
KINDS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "kernel": ("weight", lambda array: array.transpose(2, 3, 1, 0)),  # OIHW to HWIO
    "gamma": ("weight", lambda array: array),
    "beta": ("bias", lambda array: array),
    "moving_mean": ("running_mean", lambda array: array),
    "moving_variance": ("running_var", lambda array: array),
}

# What torchvision's files hold beyond the third stage, and PyTorch's counters of batches.
_UNUSED = re.compile(r"(layer4\.|fc\.).*|.*\.num_batches_tracked")


def torchvision_name(variable: tf.Variable, prefix: str) -> tuple[str, str]:
    """Return the name of a backbone's weight in torchvision's ResNets, and its kind in Keras.

    Example:
        `global_layer1_0_downsample_0/kernel:0` is `layer1.0.downsample.0.weight`, a "kernel".
    """
    layer, kind = variable.name.split(":")[0].removeprefix(prefix).rsplit("/", 1)
    layer = re.sub(r"^layer(\d+)_(\d+)_", r"layer\1.\2.", layer)
    layer = layer.replace("downsample_", "downsample.")
    return f"{layer}.{KINDS[kind][0]}", kind


def load_torchvision(backbone: keras.Model, path: Path, *, prefix: str) -> None:
    """Put ImageNet weights of a torchvision file into a ResNet-34 or ResNet-50.

    Args:
        backbone: of `build_backbone("resnet50")` or `("resnet34")`.
        path: torchvision's file, such as `resnet50-19c8e357.pth`.
        prefix: of the backbone's layer names.

    Raises:
        BackboneError: the file cannot be read, or an array is missing, unexpected or of another
            shape: all of them are listed.
    """
    try:
        state = read_state(path)
    except CheckpointError as error:
        raise BackboneError(str(error)) from error
    wanted = {}
    for variable in backbone.weights:
        name, kind = torchvision_name(variable, prefix)
        wanted[name] = (variable, KINDS[kind][1])
    faults = [f"missing: {name}" for name in wanted if name not in state]
    faults += [
        f"unexpected: {name}"
        for name in state
        if name not in wanted and not _UNUSED.fullmatch(name)
    ]
    turned = {}
    for name, (variable, turn) in wanted.items():
        if name in state:
            try:
                turned[name] = turn(state[name])
            except ValueError:  # of another rank
                turned[name] = state[name]
            if turned[name].shape != tuple(variable.shape):
                faults.append(
                    f"shape of {name}: {turned[name].shape} instead of {tuple(variable.shape)}"
                )
    if faults:
        raise BackboneError(f"{path}: not weights of this backbone:\n  " + "\n  ".join(faults))
    for name, (variable, _) in wanted.items():
        variable.assign(turned[name])
