"""How fast images are read from files and from shards: `python benchmarks/packed_images.py`.

Draws images (once, into the folder given), packs them, and reads all of them in random order, by
turns; the best of three turns counts. The files are in the memory of the operating system by then:
what is compared is decoding and bookkeeping, not a disk.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from asen_tf.data import read_split
from asen_tf.data.images import FileImages, ImageSource
from asen_tf.data.shards import PackedImages, shard_folder
from data_prep.pack import pack
from data_prep.synthetic import make_dataset

TURNS, BATCH = 3, 48


def seconds(images: ImageSource) -> float:
    """Return how long it takes to read all images once, in batches, in random order."""
    order = np.random.default_rng(0).permutation(len(images))
    began = time.perf_counter()
    for first in range(0, len(order), BATCH):
        images[order[first : first + BATCH]]
    return time.perf_counter() - began


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to draw; a temporary one by default")
    parser.add_argument("--images", type=int, default=500, help="how many to draw")
    parser.add_argument("--file-size", type=int, default=800, help="px, side of the drawn images")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    make_dataset(folder, images=options.images, size=options.file_size)
    print("| source size | files | shards | ratio | bytes per image, files | shards |")
    print("|---:|---:|---:|---:|---:|---:|")
    for side in (320, 640):
        pack(folder, "Garments", source_size=side)
        split = read_split(folder, "Garments", "train")
        paths = [split.path(index) for index in range(len(split.files))]
        sources = {"files": FileImages(paths, side)}
        sources["shards"] = PackedImages(split.root, "train", side)
        best = {
            name: min(seconds(images) for _ in range(TURNS)) for name, images in sources.items()
        }
        rates = {name: len(paths) / spent for name, spent in best.items()}
        file_bytes = np.mean([path.stat().st_size for path in paths])
        shards = shard_folder(split.root, side).glob("train-*.tfrecord")
        shard_bytes = sum(path.stat().st_size for path in shards) / len(paths)
        print(
            f"| {side} px | {rates['files']:.0f}/s | {rates['shards']:.0f}/s "
            f"| {rates['shards'] / rates['files']:.1f} | {file_bytes:,.0f} | {shard_bytes:,.0f} |"
        )
    print(
        f"\n{options.images} images of {options.file_size} px; {os.cpu_count()} cores, "
        f"{platform.platform(terse=True)}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
