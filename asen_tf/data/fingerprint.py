"""One number that changes when the data does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from asen_tf.data.parsing import locate_images, parse_names, read_bytes
from asen_tf.data.reading import VALUES, read_meta, triplets_filename
from asen_tf.data.records import SPLITS, dataset_root, roles, rows_filename


def fingerprint(data_dir: Path | str, dataset: str) -> str:
    """Return the SHA-256 of a dataset, as 64 hexadecimal digits.

    It covers the entry in meta.json, the split files, the region files and values.json (line
    ends do not count), and the name and the size in bytes of every image that a split lists. It
    depends neither on where the data lies nor on the machine; it does not read the images.

    Raises:
        AnnotationError: the meta entry or a list of files breaks a rule.
    """
    root = dataset_root(data_dir, dataset)
    attributes = read_meta(data_dir, dataset)
    digest = hashlib.sha256()

    def add(name: str, content: bytes) -> None:
        # Names and lengths are hashed, too: no two datasets run together to the same bytes.
        digest.update(json.dumps([name, len(content)]).encode() + b"\n" + content)

    table = [attributes.names, [int(size) for size in attributes.sizes]]
    add("meta", json.dumps(table).encode())
    sizes: dict[str, int | None] = {}
    parts = [VALUES]
    for split in SPLITS:
        source = root / f"filenames_{split}.txt"
        if source.exists():
            names, lines = parse_names(source)
            entries = locate_images(root, names, source, lines)
            sizes |= {
                name: None if entry is None else entry.stat().st_size
                for name, entry in zip(names, entries, strict=True)
            }
        parts += [source.name, *(rows_filename(split, role) for role in roles(split))]
        parts += [triplets_filename(split), f"regions_{split}.csv"]
    for part in parts:
        if (root / part).exists():
            add(part, read_bytes(root / part))
    add("images", json.dumps(sorted(sizes.items())).encode())
    return digest.hexdigest()
