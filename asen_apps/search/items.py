"""The items of an index: ids, image files and metadata, row by row.

Ids, image paths and metadata of an index as a JSON file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from asen_apps.search.errors import RetrievalError, check_ids


class Items:
    """Rows in the order in which they were added.

    Attributes:
        ids: `(N,)` int64, distinct.
        images: N paths.
        metadata: N dicts of JSON values.
        next_id: what the next item gets that brings no id: above all that there ever were.
    """

    def __init__(self) -> None:
        """Start without items."""
        self.ids = np.zeros(0, np.int64)
        self.images: list[Path] = []
        self.metadata: list[dict[str, Any]] = []
        self.next_id = 0

    def __len__(self) -> int:
        """Return N."""
        return len(self.images)

    def plan(
        self,
        images: Iterable[Path | str],
        metadata: Iterable[Mapping[str, Any]] | None,
        ids: Iterable[int] | None,
    ) -> Items:
        """Return new items apart, checked so that `extend` by them cannot fail.

        Raises:
            RetrievalError: lengths differ, an id is taken, an argument is no sequence, or metadata
                is not JSON's.
        """
        if isinstance(images, str | Path):
            raise RetrievalError(f"images must be a sequence of paths; got {images!r}; write [...]")
        new = Items()
        new.images = [_path(image) for image in _listed("images", images)]
        count = len(new.images)
        rows = [{}] * count if metadata is None else _listed("metadata", metadata)
        new.ids = check_ids(range(self.next_id, self.next_id + count) if ids is None else ids)
        for name, found in (("metadata", rows), ("ids", new.ids)):
            if len(found) != count:
                raise RetrievalError(
                    f"{name} must have one entry per image; got {len(found)} for {count} images"
                )
        taken = np.intersect1d(new.ids, self.ids)
        if len(taken):
            raise RetrievalError(f"id {taken[0]} is in the index already; remove it first")
        new.metadata = [_checked(row, path) for row, path in zip(rows, new.images, strict=True)]
        new.next_id = max(self.next_id, int(new.ids.max(initial=-1)) + 1)
        return new

    def extend(self, new: Items) -> None:
        """Take items that `plan` returned."""
        self.ids = np.concatenate([self.ids, new.ids])
        self.images = self.images + new.images
        self.metadata = self.metadata + new.metadata
        self.next_id = max(self.next_id, new.next_id)

    def keep(self, rows: np.ndarray) -> None:
        """Keep the items of `(N,)` bool rows only."""
        kept = np.flatnonzero(rows)
        self.ids = self.ids[kept]
        self.images = [self.images[row] for row in kept]
        self.metadata = [self.metadata[row] for row in kept]

    def rows(self, ids: Iterable[int]) -> np.ndarray:
        """Return `(n,)` rows of ids; RetrievalError for one that is not there."""
        order = np.argsort(self.ids)
        ids = check_ids(ids)
        at = np.searchsorted(self.ids, ids, sorter=order)
        found = order[np.minimum(at, len(self) - 1)] if len(self) else np.zeros(len(ids), np.int64)
        known = self.ids[found] == ids if len(self) else np.zeros(len(ids), bool)
        if not known.all():
            raise RetrievalError(f"id {ids[~known][0]} is not in the index; `ids` lists those")
        return found


def _listed(name: str, rows: Iterable[Any]) -> list[Any]:
    if not isinstance(rows, Iterable):
        raise RetrievalError(f"{name} must have one entry per image; got {rows!r:.200}")
    return list(rows)


def _path(image: Path | str) -> Path:
    try:
        return Path(image)
    except TypeError as error:
        raise RetrievalError(f"images must be paths; got one that is {image!r:.200}") from error


def _checked(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a copy of an item's metadata, as JSON would give it back."""
    remedy = "give text, numbers, true, false, null, lists and objects of these, under text names"
    try:
        if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
            raise TypeError("not an object with text as names")
        return json.loads(json.dumps(dict(fields), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RetrievalError(
            f"metadata of {path} cannot be stored as JSON ({error}); got {fields!r:.200}; {remedy}"
        ) from error


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
