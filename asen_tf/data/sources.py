"""Where a pipeline takes its pixels from: files, views of other images, or a cache on the disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from asen_tf.data.images import load_image
from asen_tf.layers.global_view import global_view

_BLOCK = 256  # images that are decoded or shrunk together


class ImageSource(Protocol):
    """Anything that gives `(n, side, side, 3)` uint8 images for `n` integer indices."""

    side: int

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`."""


class FileImages:
    """Images decoded from their files at every use.

    Args:
        paths: image files.
        side: px, side of the source square.
        absent: indices of files that are known to be missing; no label refers to them, and they
            are black if asked for.
    """

    def __init__(
        self, paths: Sequence[Path], side: int, *, absent: frozenset[int] = frozenset()
    ) -> None:
        """Keep the paths; nothing is read yet."""
        self.paths, self.side, self.absent = tuple(paths), side, absent
        self._threads = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8; raises `asen_tf.data.ImageError` for a bad file."""
        images = np.zeros((len(indices), self.side, self.side, 3), np.uint8)
        for position, image in enumerate(self._threads.map(self._load, indices)):
            if image is not None:
                images[position] = image
        return images

    def _load(self, index: int) -> np.ndarray | None:
        return None if index in self.absent else load_image(self.paths[index], self.side)


class GlobalViews:
    """The global inputs of other images, shrunk by the models' own `global_view`.

    Args:
        source: the images to shrink.
        side: px, side of the global input.
    """

    def __init__(self, source: ImageSource, side: int) -> None:
        """Keep the source; nothing is computed yet."""
        self.source, self.side = source, side

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8 views."""
        return global_view(self.source[indices], self.side).numpy()


class CachedImages:
    """Images computed once, kept in a file, and mapped into memory.

    The file is written beside its place and renamed when complete: a killed run leaves no half of
    a cache. The name must identify the content; the caller puts the data's fingerprint into it.

    Args:
        images: where the images come from.
        path: the `.npy` file.
        description: what the progress bar says.
    """

    def __init__(self, images: ImageSource, path: Path, *, description: str) -> None:
        """Compute the images unless the file is there."""
        if not path.exists():
            _write(images, path, description)
        self.array = np.load(path, mmap_mode="r")
        self.side = images.side

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.array)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8 images."""
        return self.array[indices]


def _write(images: ImageSource, path: Path, description: str) -> None:
    shape = (len(images), images.side, images.side, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        target = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        with tqdm(total=len(images), desc=description, unit="image", mininterval=1.0) as bar:
            for start in range(0, len(images), _BLOCK):
                block = np.arange(start, min(start + _BLOCK, len(images)))
                target[block] = images[block]
                bar.update(len(block))
        target.flush()
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
