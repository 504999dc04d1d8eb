"""PyTorch's files: read without running code from them, and put into a model's weights.

Files in PyTorch's old serialisation, such as published ImageNet weights, are read here. PyTorch
itself is needed for newer ones, which you only have if you bring a checkpoint; it is used for
nothing else.
"""

from __future__ import annotations

import collections
import math
import pickle
import pickletools
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf

# A weight's kind in Keras, and its name in PyTorch.
KINDS = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

_COUNTERS = re.compile(r".*\.num_batches_tracked")  # PyTorch's counters of batches


class BackboneError(ValueError):
    """A backbone's name is unknown, or its weights are not there or do not fit."""


class CheckpointError(BackboneError):
    """A checkpoint cannot be read, or does not fit a model."""


@dataclass(frozen=True)
class Place:
    """A weight and where to find it in a checkpoint.

    Attributes:
        variable: the weight.
        name: its name in the checkpoint.
        kind: "kernel", "bias", "gamma" and so on for weights of layers; "table" for arrays that
            are taken as they are.
        convolution: whether it is the kernel of one of the backbone's convolutions.
    """

    variable: tf.Variable
    name: str
    kind: str
    convolution: bool = False

    def in_keras_layout(self, array: np.ndarray) -> np.ndarray:
        """Return the checkpoint's array in Keras' layout; as it is if it does not fit."""
        if self.convolution:
            return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array  # OIHW to HWIO
        if self.kind == "depthwise_kernel":
            return array.transpose(2, 3, 0, 1) if array.ndim == 4 else array  # O1HW to HWO1
        size = np.prod(self.variable.shape, dtype=int)
        fits = array.ndim > 0 and array.size == size == np.prod(array.shape[:2], dtype=int)
        if self.kind == "kernel" and fits:
            return array.reshape(array.shape[:2]).T  # a linear layer, or a 1x1 convolution
        return array


def torchvision_place(variable: tf.Variable, *, prefix: str, home: str = "") -> Place:
    """Return where torchvision's ResNets keep a backbone's weight.

    Args:
        variable: a weight of a backbone of `build_resnet`.
        prefix: of the backbone's layer names.
        home: goes before the name in the checkpoint.

    Example:
        `global_layer1_0_downsample_0/kernel:0` is `layer1.0.downsample.0.weight`, a "kernel".
    """
    layer, kind = variable.name.split(":")[0].removeprefix(prefix).rsplit("/", 1)
    layer = re.sub(r"^layer(\d+)_(\d+)_", r"layer\1.\2.", layer)
    layer = layer.replace("downsample_", "downsample.")
    return Place(variable, f"{home}{layer}.{KINDS[kind]}", kind, convolution=kind == "kernel")


def read_state(path: Path | str, *, under: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of a checkpoint.

    Args:
        path: a `.pth` or `.pth.tar` file, as `torch.save` writes them.
        under: names under which the arrays may be kept (the first one present counts); without
            any, the file itself is the dictionary of arrays, as torchvision's are.

    Returns:
        Arrays by their names in the checkpoint; a leading `module.` (of a model that was trained
        on several GPUs) is dropped.

    Raises:
        CheckpointError: PyTorch is not installed, the file is not a checkpoint, or it holds
            anything but numbers, texts and arrays: such a file could run code, and is not loaded.
    """
    path = Path(path)
    content = _load(path)
    for name in under:
        if isinstance(content, Mapping) and name in content:
            content = content[name]
            break
    else:
        if under:
            found = list(content) if isinstance(content, Mapping) else type(content).__name__
            raise CheckpointError(
                f"{path}: the arrays must be kept under {' or '.join(under)}; got {found}; is "
                "this a checkpoint of another kind?"
            )
    named = content if isinstance(content, Mapping) else {}
    arrays = {name: _array(value) for name, value in named.items()}
    strange = [name for name, array in arrays.items() if array is None or not isinstance(name, str)]
    if strange or not arrays:
        raise CheckpointError(
            f"{path}: a checkpoint holds arrays by name; got a {type(content).__name__} with "
            f"{strange[:5] or 'none'}; is this a checkpoint of another kind?"
        )
    return {name.removeprefix("module."): array for name, array in arrays.items()}


def fill(
    places: Iterable[Place],
    state: Mapping[str, np.ndarray],
    *,
    unused: re.Pattern[str],
    heading: str,
    faults: Iterable[str] = (),
) -> tuple[str, ...]:
    """Put a checkpoint's arrays into weights: all of them, or none if anything does not fit.

    Args:
        places: the weights to fill.
        state: the checkpoint's arrays.
        unused: matches the names of arrays that the checkpoint may hold and no weight takes.
        heading: what an error begins with: the file, and what it does not fit.
        faults: what the caller has found wrong already.

    Returns:
        The arrays that match `unused`, by name.

    Raises:
        CheckpointError: arrays are missing, unexpected or of another shape; all are listed.
    """
    wanted = {place.name: place for place in places}
    found = [f"missing: {name}" for name in wanted if name not in state]
    further = [name for name in state if name not in wanted and not _COUNTERS.fullmatch(name)]
    ignored = tuple(name for name in further if unused.fullmatch(name))
    found += [f"unexpected: {name}" for name in further if name not in ignored]
    arrays = {}
    for name, place in wanted.items():
        if name in state:
            arrays[name] = place.in_keras_layout(state[name])
            shape = tuple(place.variable.shape)
            if arrays[name].shape != shape:
                found.append(f"shape of {name}: {arrays[name].shape} does not fit {shape}")
    found += faults
    if found:
        raise CheckpointError("\n  ".join([f"{heading}:", *found]))
    for name, place in wanted.items():
        place.variable.assign(arrays[name])
    return ignored


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(
            "reading a PyTorch checkpoint needs PyTorch, which is not installed; install it: "
            "make install-torch"
        ) from error
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; check the path")
    # The score that the authors kept beside the arrays may be a NumPy number: plain data, too.
    plain = [np.core.multiarray.scalar, np.dtype, type(np.dtype(np.float64)), np.float64]
    try:
        with torch.serialization.safe_globals(plain):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: the file asks for more than arrays and plain values, so that loading it "
            f"could run code, or it is damaged; it is not loaded ({str(error).splitlines()[0]})"
        ) from error
    except Exception as error:  # PyTorch lets errors of several libraries through
        raise CheckpointError(
            f"{path}: not a readable checkpoint, or only a part of one ({type(error).__name__}: "
            f"{error}); fetch it again"
        ) from error


def _array(value: Any) -> np.ndarray | None:
    """Return a tensor as an array, None for anything else."""
    return np.asarray(value.detach()) if hasattr(value, "detach") else None


# === PyTorch's old serialisation ===

_MAGIC = 0x1950A86A20F9469CFC6C  # begins a file in the old serialisation
_PROTOCOL = 1001
_STORAGES = {  # element types by the names that PyTorch gives to runs of them
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def read_legacy_state(path: Path | str) -> dict[str, np.ndarray]:
    """Read the arrays of a file in PyTorch's old serialisation, without PyTorch.

    Such a file is a sequence of pickles (a magic number, a version, facts about the machine, a
    dictionary of tensors, the keys of their storages) and then the storages' bytes. A pickle may
    name any function to be called; here it may name three: the ordered dictionary, the function
    that makes a tensor from a storage, and the kinds of storages. All else is refused.

    Args:
        path: a `.pth` file, as `torch.save` wrote them before PyTorch 1.6.

    Returns:
        Arrays by name, each with memory of its own.

    Raises:
        CheckpointError: there is no such file, it is of another kind or damaged, or it asks for
            more than arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; check the path")
    try:
        with path.open("rb") as stream:
            return _read_legacy(stream, path.stat().st_size)
    except _RefusedError as error:
        raise CheckpointError(f"{path}: {error}; loading it could run code") from error
    except Exception as error:  # unpickling damaged bytes raises nearly every kind
        raise CheckpointError(
            f"{path}: not a file in PyTorch's old serialisation, or a damaged one ({error}); "
            "install the package that it came with again"
        ) from error


class _RefusedError(ValueError):
    """A pickle names something that arrays do not need."""


@dataclass(frozen=True)
class _Storage:
    """A run of numbers further on in the file."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor's numbers are in its storage; steps count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of named tensors, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, steps, *_: _Tensor(storage, offset, shape, steps)
        if module == "torch" and name in _STORAGES:
            return name  # a name, which nothing can be called by
        raise _RefusedError(f"the file asks for {module}.{name}, which arrays do not need")

    def persistent_load(self, identity: Any) -> _Storage:
        tag, kind, key, _, count, view = identity
        if tag != "storage" or kind not in _STORAGES or view is not None:
            raise _RefusedError(
                f"the file refers to {reprlib.repr(identity)}, which is not a storage"
            )
        return _Storage(kind, key, count)


def _read_legacy(stream: BinaryIO, size: int) -> dict[str, np.ndarray]:
    def unpickled() -> Any:  # each pickle ends where the next one begins
        start = stream.tell()
        for operation, argument, _ in pickletools.genops(stream):
            # Python makes a table as long as the largest number of an object that is kept.
            if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > size:
                raise ValueError(f"it keeps object {argument} of a file of {size} bytes")
        stream.seek(start)
        return _ArraysOnly(stream).load()

    if unpickled() != _MAGIC or unpickled() != _PROTOCOL:
        raise ValueError("it does not begin as such a file does")
    machine, tensors, keys = unpickled(), unpickled(), unpickled()
    if not machine["little_endian"]:
        raise ValueError("its numbers are big-endian")
    strange = [
        name
        for name, value in tensors.items()
        if not isinstance(name, str) or not isinstance(value, _Tensor)
    ]
    if strange or not tensors:
        raise ValueError(f"it must hold tensors by name; got {reprlib.repr(strange)}")
    kinds = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        dtype = np.dtype(_STORAGES[kinds[key].kind])
        if count != kinds[key].count or count * dtype.itemsize > size - stream.tell():
            raise ValueError(f"storage {key} has {count} numbers")
        numbers[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
    return {
        name: _array_of(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()
    }


def _array_of(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """Cut a tensor out of its storage; what lies outside is refused, and nothing is shared."""
    within = [*tensor.shape, *tensor.steps, tensor.offset]
    if len(tensor.shape) != len(tensor.steps) or min(within) < 0:
        raise ValueError(f"a tensor of shape {tensor.shape} and steps {tensor.steps}")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    sides = zip(tensor.shape, tensor.steps, strict=True)
    last = tensor.offset + sum((side - 1) * step for side, step in sides)
    if last >= len(numbers) or math.prod(tensor.shape) > len(numbers):  # steps of 0 repeat numbers
        raise ValueError(f"a tensor of {tensor.shape} goes beyond its {len(numbers)} numbers")
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :],
        tensor.shape,
        [step * numbers.itemsize for step in tensor.steps],
        writeable=False,
    )
    return view.copy()
