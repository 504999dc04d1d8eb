"""The items of an index (ids, image files and metadata, row by row), and filters on them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from asen_apps.search.backend import SearchIndexError, check_ids, check_new_ids, find_ids
from asen_tf.config import did_you_mean
from asen_tf.data.images import ImageError, find_images


class Items:
    """Rows in the order in which they were added.

    Attributes:
        ids: `(N,)` int64, distinct.
        images: N paths.
        metadata: N dicts of JSON values.
        next_id: what the next item without an id gets: above all ids that there ever were.
    """

    def __init__(self) -> None:
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
        """Return new items, not added yet, checked so that `extend` by them cannot fail.

        Raises:
            SearchIndexError: lengths differ, an id is taken, an argument is not a sequence, or
                metadata cannot be stored as JSON.
        """
        if isinstance(images, str | Path):
            raise SearchIndexError(
                f"images must be a sequence of paths; got {images!r}; write [...]"
            )
        new = Items()
        new.images = [_path(image) for image in _listed("images", images)]
        count = len(new.images)
        rows = [{}] * count if metadata is None else _listed("metadata", metadata)
        new.ids = check_ids(range(self.next_id, self.next_id + count) if ids is None else ids)
        for name, found in (("metadata", rows), ("ids", new.ids)):
            if len(found) != count:
                raise SearchIndexError(
                    f"{name} must have one entry per image; got {len(found)} for {count} images"
                )
        check_new_ids(new.ids, self.ids)
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
        """Keep only the items where `(N,)` bool rows are true."""
        kept = np.flatnonzero(rows)
        self.ids = self.ids[kept]
        self.images = [self.images[row] for row in kept]
        self.metadata = [self.metadata[row] for row in kept]

    def rows(self, ids: Iterable[int]) -> np.ndarray:
        """Return `(n,)` rows of ids; SearchIndexError for one that is not there."""
        order = np.argsort(self.ids)
        return order[find_ids(ids, self.ids[order])]


def image_files(arguments: Iterable[Path | str]) -> tuple[list[Path], list[ImageError], list[str]]:
    """Return the image files that a command line names.

    Args:
        arguments: image files; folders, whose images are found by content, also in the folders
            inside them; files that end in `.txt` and name an image per line; `-` for names on
            standard input, separated by line ends or by zero bytes, as `find -print0` does. Names
            in a list start from the current folder, or from the list's own if the first one is
            there. They may be in any encoding.

    Returns:
        The images, in the order of the arguments and sorted in a folder; files of a folder that
        are called like images and are none; and notes on its other files.

    Raises:
        ImageError: a folder or a list cannot be read, or there is no name.
    """
    images: list[Path] = []
    broken: list[ImageError] = []
    notes: list[str] = []
    suffixes = Image.registered_extensions()
    for argument in map(Path, arguments):
        if argument.is_dir():
            names, others = find_images(argument)
            images += [argument / name for name in names]
            for name, why in others.items():
                line = f"{argument / name}: {why}"
                if Path(name).suffix.lower() in suffixes:
                    broken.append(ImageError(f"{line}; replace or remove it"))
                else:
                    notes.append(f"{line}; left out")
        elif str(argument) == "-" or argument.suffix.lower() == ".txt":
            images += _names_in(argument)
        else:
            images.append(argument)
    if not images and not broken:
        raise ImageError("there must be an image; got none; name image files, a folder or a list")
    return images, broken, notes


def _names_in(listing: Path) -> list[Path]:
    """Return the paths that a file names, or standard input for `-`."""
    try:
        data = sys.stdin.buffer.read() if str(listing) == "-" else listing.read_bytes()
    except OSError as error:
        raise ImageError(f"{listing}: cannot be read ({error.strerror}); check the path") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = data.split(b"\0") if b"\0" in data else data.replace(b"\r\n", b"\n").split(b"\n")
    names = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    beside = str(listing) != "-" and names and (listing.parent / names[0]).exists()
    return [listing.parent / name if beside else name for name in names]


def _listed(name: str, rows: Iterable[Any]) -> list[Any]:
    if not isinstance(rows, Iterable):
        raise SearchIndexError(f"{name} must have one entry per image; got {rows!r:.200}")
    return list(rows)


def _path(image: Path | str) -> Path:
    try:
        return Path(image)
    except TypeError as error:
        raise SearchIndexError(f"images must be paths; got {image!r:.200}") from error


def _checked(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a copy of an item's metadata, as JSON gives it back."""
    remedy = "give text, numbers, true, false, null, lists and objects of these, under text names"
    try:
        if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
            raise TypeError("not an object with text as names")
        return json.loads(json.dumps(dict(fields), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise SearchIndexError(
            f"metadata of {path} cannot be stored as JSON ({error}); got {fields!r:.200}; {remedy}"
        ) from error


def matching(metadata: Sequence[Mapping[str, Any]], filters: Mapping[str, Any]) -> np.ndarray:
    """Return which items pass all filters.

    Args:
        metadata: one mapping per item.
        filters: field -> a value that an item's must equal, or a list, tuple or set of values of
            which it must be one. True and 1 are different, as in JSON. An item without the field
            does not pass. No filters, all items.

    Returns:
        `(N,)` bool.

    Raises:
        SearchIndexError: no item has a field of that name, or a value is not one of JSON's types,
            such as a function.
    """
    passed = np.ones(len(metadata), bool)
    for name, wanted in filters.items():
        if callable(wanted):
            raise SearchIndexError(
                f"a filter must be a value or a collection of values; got a function for {name!r}"
            )
        if metadata and not any(name in fields for fields in metadata):
            known = {field for fields in metadata for field in fields}
            hint = did_you_mean(name, sorted(known))
            raise SearchIndexError(f"no item has a field {name!r} to filter by; {hint}")
        several = isinstance(wanted, list | tuple | set | frozenset)
        try:
            keys = {_key(value) for value in (wanted if several else [wanted])}
        except TypeError as error:
            raise SearchIndexError(
                f"a filter's values must be JSON's: text, numbers, ...; got {wanted!r:.200} "
                f"for {name!r}"
            ) from error
        passed &= np.fromiter(
            (name in fields and _key(fields[name]) in keys for fields in metadata),
            bool,
            len(metadata),
        )
    return passed


def _key(value: Any) -> Any:
    """Return something that can be hashed, and is equal where values are equal in JSON."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, Mapping):
        return "object", frozenset((name, _key(entry)) for name, entry in value.items())
    if isinstance(value, list | tuple):
        return "array", tuple(_key(entry) for entry in value)
    return "scalar", value
