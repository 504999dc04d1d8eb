"""Images in TFRecord shards: a few large files instead of many small ones.

For network disks, where opening a file costs more than reading it, and for copying a dataset to a
machine with GPUs. A record is a `tf.train.Example` with `image` (JPEG at source size), `checksum`
(its CRC-32), `path`, `index`, and `labels` (alternating attribute and value indices), so other
programs can read the shards, too. `shards.json` says where each image begins.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from asen_tf.data.fitting import name_suffix
from asen_tf.data.images import ImageError
from asen_tf.data.reading import annotations_digest

INDEX = "shards.json"
FORMAT = 1
HEADER_BYTES = 12  # before a record's data: its length, and the checksum of the length
CHECKSUM_BYTES = 4  # after it: its own checksum


def shard_folder(root: Path, source_size: int, fit: str = "square") -> Path:
    """Return where the shards of a dataset's folder are, for a source size in pixels and a fit."""
    return root / f"shards-{source_size}{name_suffix(fit)}"


def labels_digest(root: Path) -> str:
    """Return the SHA-256 of a dataset's split files, and of its own entry in meta.json.

    Shards made from others are stale.
    """
    return annotations_digest(root.parent, root.name, split_files_alone=True).hexdigest()


def _wider_digest(root: Path) -> str:
    """Return what `labels_digest` was once: of all text files, and of all entries in meta.json.

    Shards that were made then are good as long as nothing of these has changed.
    """
    digest = hashlib.sha256()
    for path in sorted([*root.glob("*.txt"), root.parent / "meta.json"]):
        if path.exists():
            digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def read_index(root: Path, source_size: int, fit: str = "square") -> dict[str, Any]:
    """Return the content of `shards.json`, after checking that it fits the split files.

    Raises:
        ImageError: there are no shards of this size and fit, the split files have changed since,
            or the index is damaged.
        AnnotationError: the dataset's entry in meta.json breaks a rule.
    """
    path = shard_folder(root, source_size, fit) / INDEX
    command = (
        f"python -m data_prep.pack {root.parent} --dataset {root.name} --source-size {source_size}"
    ) + ("" if fit == "square" else f" --fit {fit}")
    if not path.exists():
        others = sorted(found.parent.name for found in root.glob(f"shards-*/{INDEX}"))
        there = f" (there are {', '.join(others)})" if others else ""
        raise ImageError(
            f"{path}: no shards of fit {fit!r} at {source_size} px{there}; make them: {command}, "
            "or set packed=False"
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        packed_fit, made_from = index.get("fit", "square"), index["split_files"]
        version, _ = index["format"], index["splits"]
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ImageError(
            f"{path}: it must be a JSON object with format, split_files and splits; got {error!r}; "
            f"it is damaged: run {command}"
        ) from error
    if packed_fit != fit:
        raise ImageError(
            f"{path}: its images must be of fit {fit!r}; got {packed_fit!r}; run {command}"
        )
    changed = made_from != labels_digest(root) and made_from != _wider_digest(root)
    if version != FORMAT or changed:
        raise ImageError(f"{path}: made from split files that have changed since; run {command}")
    return index


def packed_fingerprint(root: Path, source_size: int, fit: str = "square") -> str:
    """Return the SHA-256 of a packed dataset, as 64 hexadecimal digits.

    It covers the annotations as they are now, which training reads beside the shards, and
    `shards.json`: how the images were packed, and the digests of the images and of the shards. What
    it says of the split files is left out: they count themselves, so that packing again because of
    them alone changes nothing. The images' own files need not be there.

    Raises:
        ImageError: as for `read_index`.
        AnnotationError: a file of the annotations breaks a rule.
    """
    index = read_index(root, source_size, fit)
    del index["split_files"]
    digest = annotations_digest(root.parent, root.name)
    digest.update(json.dumps(index, sort_keys=True).encode())
    return digest.hexdigest()


class PackedImages:
    """The images of one split, decoded from shards at every use.

    Args:
        root: the dataset's folder.
        split: "train", "valid" or "test".
        side: px, the source size that the shards were made for.
        fit: what they were made with.

    Raises:
        ImageError: as for `read_index`; and at use, for a shard that is missing or damaged.
    """

    def __init__(self, root: Path, split: str, side: int, fit: str = "square") -> None:
        self.side = side
        folder = shard_folder(root, side, fit)
        shards = read_index(root, side, fit)["splits"][split]
        self._places = [
            (folder / shard["file"], offset, end - offset)
            for shard in shards
            for offset, end in zip(
                shard["offsets"], [*shard["offsets"][1:], shard["bytes"]], strict=True
            )
        ]
        self._threads = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._places)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return `(n, side, side, 3)` uint8."""
        images = np.zeros((len(indices), self.side, self.side, 3), np.uint8)
        for position, image in enumerate(self._threads.map(self._load, indices)):
            images[position] = image
        return images

    def _load(self, index: int) -> np.ndarray:
        path, offset, length = self._places[index]
        try:
            with open(path, "rb") as stream:
                stream.seek(offset + HEADER_BYTES)
                record = stream.read(length - HEADER_BYTES - CHECKSUM_BYTES)
            feature = tf.train.Example.FromString(record).features.feature
            image = feature["image"].bytes_list.value[0]
            if zlib.crc32(image) != feature["checksum"].int64_list.value[0]:
                raise ValueError("its checksum is wrong")
            with Image.open(io.BytesIO(image)) as opened:
                return np.asarray(opened.convert("RGB"))
        except Exception as error:  # protobuf, Pillow and the disk raise many kinds
            raise ImageError(
                f"{path}: image {index} cannot be read ({error}); delete the file and pack again"
            ) from error
