"""Reading PyTorch checkpoints without running code from them.

PyTorch is used for nothing else, and only where somebody has such a file.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or does not fit a model."""


def read_state(path: Path | str, *, under: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of a checkpoint.

    Args:
        path: a `.pth` or `.pth.tar` file, as `torch.save` writes them.
        under: names under which the arrays may be kept (the first that is there counts); without
            any, the file itself is the dictionary of arrays, as torchvision's are.

    Returns:
        Arrays by their names in the checkpoint; a leading `module.` (of a model that was trained
        on several GPUs) is dropped.

    Raises:
        CheckpointError: PyTorch is not installed, the file is no checkpoint, or it holds anything
            but numbers, texts and arrays: such a file could run code, and is not loaded.
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
    arrays = {name: _array(value) for name, value in content.items()}
    strange = [name for name, array in arrays.items() if array is None]
    if strange or not arrays:
        raise CheckpointError(
            f"{path}: a checkpoint holds arrays by name; got {strange[:5] or 'none'}"
        )
    return {name.removeprefix("module."): array for name, array in arrays.items()}


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
        raise CheckpointError(f"{path}: not a readable checkpoint ({error})") from error


def _array(value: Any) -> np.ndarray | None:
    """Return a tensor as an array, None for anything else."""
    return np.asarray(value.detach()) if hasattr(value, "detach") else None
