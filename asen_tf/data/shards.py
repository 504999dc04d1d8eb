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
import math
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from asen_tf.data.fitting import check_fit, name_suffix
from asen_tf.data.images import ImageError, load_image
from asen_tf.data.reading import fingerprint, read_split
from asen_tf.data.records import SPLITS, Split
from asen_tf.files import file_digest, replacing, write_text

INDEX = "shards.json"
FORMAT = 1
HEAD = 12  # bytes before a record's data: its length, and the checksum of the length
TAIL = 4  # bytes after it: its checksum
_BLOCK = 128  # images that are decoded together
_BYTES_PER_PIXEL = 0.35  # of a typical JPEG; decides how many images share a shard


def shard_folder(root: Path, source_size: int, fit: str = "square") -> Path:
    """Return where the shards of a dataset's folder are, for a source size in pixels and a fit."""
    return root / f"shards-{source_size}{name_suffix(fit)}"


def labels_digest(root: Path) -> str:
    """Return the SHA-256 of a dataset's split files: shards made from others are stale."""
    digest = hashlib.sha256()
    for path in sorted([*root.glob("*.txt"), root.parent / "meta.json"]):
        if path.exists():
            digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def read_index(root: Path, source_size: int, fit: str = "square") -> dict[str, Any]:
    """Return the content of `shards.json`, after checking that it fits the split files.

    Raises:
        ImageError: there are no shards of this size and fit, or the split files have changed since.
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
    index = json.loads(path.read_text(encoding="utf-8"))
    packed_fit = index.get("fit", "square")
    if packed_fit != fit:
        raise ImageError(
            f"{path}: its images must be of fit {fit!r}; got {packed_fit!r}; run {command}"
        )
    if index["format"] != FORMAT or index["split_files"] != labels_digest(root):
        raise ImageError(f"{path}: made from other split files than there are now; run {command}")
    return index


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
                stream.seek(offset + HEAD)
                record = stream.read(length - HEAD - TAIL)
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


def pack(
    data_dir: Path | str,
    dataset: str,
    *,
    source_size: int,
    fit: str = "square",
    quality: int = 95,
    shard_mib: float = 128,
) -> Path:
    """Write a dataset's images into shards; a repeated call writes only those that are missing.

    Images go through `load_image`, as for training, and are stored as JPEG without chroma
    subsampling. The same images give the same bytes.

    Args:
        data_dir: the folder of meta.json and the datasets.
        dataset: its name.
        source_size: px, side of the square images; training with `packed` needs the same.
        fit: how an image becomes a square, as for `load_image`; training needs the same.
        quality: of the JPEG, 1 to 100.
        shard_mib: approximate size of a shard, if its images are of average size.

    Returns:
        The path of the index, `shards.json`, which is written last.

    Raises:
        ValueError: a size or quality outside its range, or an unknown fit.
        asen_tf.data.AnnotationError, ImageError: the dataset cannot be read.
    """
    if source_size < 1 or not 1 <= quality <= 100 or not 0 < shard_mib < math.inf:
        raise ValueError(
            "source_size must be 1 or more, quality 1 to 100, and shard_mib a number above 0; got "
            f"source_size={source_size}, quality={quality}, shard_mib={shard_mib}"
        )
    check_fit(fit)
    root = Path(data_dir) / dataset
    folder = shard_folder(root, source_size, fit)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "format": FORMAT,
        "source_size": source_size,
        "quality": quality,
        "shard_mib": shard_mib,
        "data_fingerprint": fingerprint(data_dir, dataset),
        "split_files": labels_digest(root),
    }
    if fit != "square":  # the only one that shards packed before it was a choice can have
        settings["fit"] = fit
    splits = {}
    for name in SPLITS:
        split = read_split(data_dir, dataset, name)
        per_shard = max(1, int(shard_mib * 2**20 / (_BYTES_PER_PIXEL * source_size**2)))
        count = max(1, -(-len(split.files) // per_shard))
        bounds = np.linspace(0, len(split.files), count + 1).astype(int).tolist()
        shards = []
        title = f"packing {name}"
        with tqdm(total=len(split.files), desc=title, unit="image", mininterval=1.0) as bar:
            for at, (first, last) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
                path = folder / f"{name}-{at:05d}-of-{count:05d}.tfrecord"
                shards.append(_shard(path, split, range(first, last), settings))
                bar.update(last - first)
        splits[name] = shards
    write_text(folder / INDEX, json.dumps({**settings, "splits": splits}) + "\n")
    return folder / INDEX


def _shard(path: Path, split: Split, images: range, settings: dict[str, Any]) -> dict[str, Any]:
    """Write one shard, unless an earlier call with the same settings has written it."""
    note = path.with_suffix(".json")
    if note.exists() and path.exists():
        written = json.loads(note.read_text())
        if written["settings"] == settings and written["shard"]["sha256"] == file_digest(path):
            return written["shard"]
    labels = _labels(split, images)
    offsets, position = [], 0
    with (
        replacing(path) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for start in range(images.start, images.stop, _BLOCK):
            block = range(start, min(start + _BLOCK, images.stop))
            for record in pool.map(lambda index: _record(split, index, labels, settings), block):
                writer.write(record)
                offsets.append(position)
                position += HEAD + len(record) + TAIL
    shard = {"file": path.name, "offsets": offsets, "bytes": position, "sha256": file_digest(path)}
    write_text(note, json.dumps({"settings": settings, "shard": shard}) + "\n")
    return shard


def _labels(split: Split, images: range) -> dict[int, list[int]]:
    """Return alternating attribute and value indices, by image."""
    found: dict[int, list[int]] = {index: [] for index in images}
    of_shard = (split.labels[:, 0] >= images.start) & (split.labels[:, 0] < images.stop)
    for image, attribute, value in split.labels[of_shard].tolist():
        found[image] += [attribute, value]
    return found


def _record(
    split: Split, index: int, labels: Mapping[int, list[int]], settings: Mapping[str, Any]
) -> bytes:
    stream = io.BytesIO()
    fit = settings.get("fit", "square")
    pixels = load_image(split.path(index), settings["source_size"], fit=fit)
    Image.fromarray(pixels).save(stream, "JPEG", quality=settings["quality"], subsampling=0)
    image = stream.getvalue()
    feature = {
        "image": _bytes(image),
        "checksum": _integers([zlib.crc32(image)]),
        "path": _bytes(split.files[index].encode()),
        "index": _integers([index]),
        "labels": _integers(labels[index]),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integers(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
