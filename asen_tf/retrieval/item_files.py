"""Ids, image paths and metadata of an index as a JSON file."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.items import Items

ITEMS = "items.json"


def write_items(items: Items, folder: Path) -> None:
    """Write `items.json`: image paths relative to the folder `root` that all of them are in."""
    paths = [os.path.abspath(image) for image in items.images]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else os.getcwd()
    content = {
        "root": root,
        "ids": items.ids.tolist(),
        "images": [Path(path).relative_to(root).as_posix() for path in paths],
        "metadata": items.metadata,
    }
    with open(folder / ITEMS, "w", encoding="ascii", newline="\n") as stream:
        json.dump(content, stream, separators=(",", ":"))


def read_items(folder: Path, *, count: int, next_id: int, root: Path | str | None) -> Items:
    """Read what `write_items` wrote.

    Args:
        folder: where `items.json` lies.
        count: how many items there must be.
        next_id: as in `Items`.
        root: the folder of the images, if it is another now than when the index was saved.

    Raises:
        RetrievalError: the file does not hold such items, or a path leads out of the root.
    """
    path = folder / ITEMS
    try:
        content = json.loads(path.read_bytes())
        entries = [content[name] for name in ("ids", "images", "metadata")]
        if any(type(entry) is not list or len(entry) != count for entry in entries):
            raise ValueError(f"ids, images and metadata must be lists of {count}")
        ids, images, metadata = entries
        if any(type(number) is not int for number in ids) or type(content["root"]) is not str:
            raise ValueError("ids must be integers, and root a path")
        home = Path(content["root"] if root is None else root)
        items = Items()
        items.extend(items.plan([home / _inside(name) for name in images], metadata, ids))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise RetrievalError(
            f"{path}: not the items of an index ({error}); build it again"
        ) from error
    items.next_id = max(items.next_id, next_id)
    return items


def _inside(name: Any) -> str:
    """Return a path that stays below the folder that it is relative to; ValueError otherwise."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"an image path must stay inside the root; got {name!r:.200}")
    return name
