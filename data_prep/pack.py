"""Optional TFRecord shards of a dataset, for network disks and GPUs.

`python -m data_prep.pack DATA_DIR --dataset NAME [--source-size 640] [--fit square]
[--quality 95]`; train with `packed=True` and the same source size and fit to use them.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from asen_tf.config import FITS
from asen_tf.data import SPLITS, Split, fingerprint, read_split
from asen_tf.data.fitting import check_fit
from asen_tf.data.images import load_image
from asen_tf.data.shards import (
    CHECKSUM_BYTES,
    FORMAT,
    HEADER_BYTES,
    INDEX,
    labels_digest,
    shard_folder,
)
from asen_tf.files import file_digest, replacing, write_text
from data_prep.command import ended

_BLOCK = 128  # images that are decoded together
_SAMPLE = 8  # images that tell how much room all of them need
_BYTES_PER_PIXEL = 0.35  # of a typical JPEG; decides how many images share a shard
_WRITTEN = re.compile(rf"({'|'.join(SPLITS)})-\d{{5,}}-of-\d{{5,}}\.(tfrecord|json)")


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
        The path of the index, `shards.json`, which is written last. Then shards that it does not
        list are removed: an earlier call wrote them, with another `shard_mib`.

    Raises:
        ValueError: a size or quality outside its range, or an unknown fit.
        asen_tf.data.AnnotationError, ImageError: the dataset cannot be read.
        asen_tf.files.DiskFullError: there is no room for what is missing, as far as the first
            images tell; nothing has been written then.
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
    for left in folder.glob(".tmp-*"):  # of a call that was killed
        left.unlink()
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
    read = {name: read_split(data_dir, dataset, name) for name in SPLITS}
    total = _expected_bytes(list(read.values()), settings)
    planned: dict[str, dict[Path, range]] = {}
    for name, split in read.items():
        per_shard = max(1, int(shard_mib * 2**20 / (_BYTES_PER_PIXEL * source_size**2)))
        count = max(1, -(-len(split.files) // per_shard))
        bounds = np.linspace(0, len(split.files), count + 1).astype(int).tolist()
        planned[name] = {
            folder / f"{name}-{at:05d}-of-{count:05d}.tfrecord": range(first, last)
            for at, (first, last) in enumerate(pairwise(bounds))
        }
    paths = [path for shards in planned.values() for path in shards]
    splits: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
    for name, split in read.items():
        title = f"packing {name}"
        with tqdm(total=len(split.files), desc=title, unit="image", mininterval=1.0) as bar:
            for path, images in planned[name].items():
                there = sum(one.stat().st_size for one in paths if one.exists())
                needed = max(0, total - there)
                splits[name].append(_shard(path, split, images, settings, needed))
                bar.update(len(images))
    write_text(folder / INDEX, json.dumps({**settings, "splits": splits}) + "\n")
    for left in folder.glob("*-of-*"):
        if _WRITTEN.fullmatch(left.name) and left.with_suffix(".tfrecord") not in paths:
            left.unlink()
    return folder / INDEX


def _expected_bytes(splits: Sequence[Split], settings: Mapping[str, Any]) -> int:
    """Return how many bytes all images will take, by those that the first ones take."""
    first = range(min(_SAMPLE, len(splits[0].files)))
    no_labels = dict.fromkeys(first, [])
    sizes = [len(_record(splits[0], index, no_labels, settings)) for index in first]
    return int(sum(sizes) / max(len(sizes), 1) * sum(len(split.files) for split in splits))


def _shard(
    path: Path, split: Split, images: range, settings: dict[str, Any], needed: int
) -> dict[str, Any]:
    """Write one shard, unless an earlier call with the same settings has written it."""
    note = path.with_suffix(".json")
    if note.exists() and path.exists():
        written = json.loads(note.read_text())
        if written["settings"] == settings and written["shard"]["sha256"] == file_digest(path):
            return written["shard"]
    labels = _labels(split, images)
    offsets, position = [], 0
    with (
        replacing(path, needed=needed) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for start in range(images.start, images.stop, _BLOCK):
            block = range(start, min(start + _BLOCK, images.stop))
            for record in pool.map(lambda index: _record(split, index, labels, settings), block):
                writer.write(record)
                offsets.append(position)
                position += HEADER_BYTES + len(record) + CHECKSUM_BYTES
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.pack", description=__doc__)
    parser.add_argument("data_dir", type=Path, help="the folder of meta.json and the datasets")
    parser.add_argument("--dataset", required=True, help="the dataset's name in meta.json")
    parser.add_argument(
        "--source-size", type=int, default=640, help="side of the images, px (default: %(default)s)"
    )
    parser.add_argument(
        "--fit",
        default="square",
        choices=FITS,
        help="how they become squares (default: %(default)s)",
    )
    parser.add_argument(
        "--quality", type=int, default=95, help="of the JPEG, 1 to 100 (default: %(default)s)"
    )
    parser.add_argument(
        "--shard-mib",
        type=float,
        default=128,
        help="about the size of a shard (default: %(default)s)",
    )
    options = vars(parser.parse_args(arguments))

    def run() -> None:
        path = pack(options.pop("data_dir"), options.pop("dataset"), **options)
        print(f"{path.parent}: {len(list(path.parent.glob('[!.]*.tfrecord')))} shards")

    return ended(run)


if __name__ == "__main__":
    sys.exit(main())
