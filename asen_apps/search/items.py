"""The items of an index (ids, image files and metadata, row by row), and filters on them."""

from __future__ import annotations

import json
import operator
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from asen_apps.search.backend import SearchIndexError, check_ids, check_new_ids, find_ids
from asen_tf.config import did_you_mean
from asen_tf.data.images import ImageError
from asen_tf.data.tables import attribute_name


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


class UnusableError(ImageError):
    """An image of a catalogue cannot be used, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def find_images(folder: str | Path) -> tuple[list[str], dict[str, str]]:
    """List the image files in a folder and the folders inside it, by content, whatever their names.

    Hidden files and folders are skipped. Links to folders, which may lead in circles, are not
    followed.

    Args:
        folder: where to look.

    Returns:
        Paths relative to the folder, with forward slashes, sorted; and why other files, and links
        to folders, are not among them, by path. Only the beginning of a file is read: one that is
        cut short is listed. Nothing else, such as a named pipe, is opened.

    Raises:
        ImageError: the folder is missing or cannot be read.
    """
    found, others = [], {}
    root = Path(folder)
    for place, folders, files in os.walk(root, onerror=_unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place) / name for name in folders):
            if path.is_symlink():
                why = "a link to a folder, which is not followed; name that folder itself"
                others[path.relative_to(root).as_posix()] = why
        for name in files:
            if name.startswith("."):
                continue
            path = Path(place) / name
            if os.path.exists(path) and not os.path.isfile(path):  # a pipe is never ready
                others[path.relative_to(root).as_posix()] = "not a file"
                continue
            try:
                with warnings.catch_warnings():  # about its size: raised when it is decoded
                    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                    with Image.open(path):
                        found.append(path.relative_to(root).as_posix())
            except UnidentifiedImageError:
                empty = not path.stat().st_size
                others[path.relative_to(root).as_posix()] = "empty" if empty else "not an image"
            except Exception as error:  # Pillow's decoders raise errors of many kinds
                others[path.relative_to(root).as_posix()] = str(error)
    return sorted(found), dict(sorted(others.items()))


def _unlisted(error: OSError) -> None:
    raise ImageError(f"{error.filename}: cannot be listed ({error.strerror}); check the path")


def image_files(
    arguments: Iterable[Path | str], start: str = ""
) -> tuple[list[Path], list[UnusableError], list[str]]:
    """Return the image files that a command line names.

    Args:
        arguments: image files; folders, whose images are found by content, also in the folders
            inside them; files that end in `.txt` and name an image per line; `-` for names on
            standard input, separated by line ends or by zero bytes, as `find -print0` does. Names
            in a list start from the list's own folder if any of them is there, otherwise from
            `start`. They may be in any encoding.
        start: a folder; the current one by default.

    Returns:
        The images, in the order of the arguments and sorted in a folder; files of a folder that
        are named like images but are not; and notes on its other files.

    Raises:
        ImageError: a folder or a list cannot be read, or there is no name.
    """
    images: list[Path] = []
    broken: list[UnusableError] = []
    notes: list[str] = []
    suffixes = Image.registered_extensions()
    for argument in map(Path, arguments):
        if argument.is_dir():
            names, others = find_images(argument)
            images += [argument / name for name in names]
            for name, why in others.items():
                if Path(name).suffix.lower() in suffixes and not (argument / name).is_dir():
                    broken.append(UnusableError(argument / name, f"{why}; replace or remove it"))
                else:
                    notes.append(f"{argument / name}: {why}; left out")
        elif str(argument) == "-" or argument.suffix.lower() == ".txt":
            images += _names_in(argument, Path(start))
        else:
            images.append(argument)
    if not images and not broken:
        raise ImageError("there must be an image; got none; name image files, a folder or a list")
    return images, broken, notes


def _names_in(listing: Path, start: Path) -> list[Path]:
    """Return the paths that a file names, or standard input for `-`."""
    try:
        data = sys.stdin.buffer.read() if str(listing) == "-" else listing.read_bytes()
    except OSError as error:
        raise ImageError(f"{listing}: cannot be read ({error.strerror}); check the path") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = data.split(b"\0") if b"\0" in data else data.replace(b"\r\n", b"\n").split(b"\n")
    names = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    beside = str(listing) != "-" and any((listing.parent / name).exists() for name in names)
    return [(listing.parent if beside else start) / name for name in names]


def _listed(name: str, rows: Iterable[Any]) -> list[Any]:
    if not isinstance(rows, Iterable):
        raise SearchIndexError(f"{name} must have one entry per image; got {rows!r:.200}")
    return list(rows)


def _path(image: Path | str) -> Path:
    try:
        return Path(image)
    except TypeError as error:
        raise SearchIndexError(
            f"images must be paths, which hits name; got {type(image).__name__}; save pictures and "
            "pixels to files first (a query may be any of them)"
        ) from error


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
            which it must be one, or `Conditions`. True and 1 are different, as in JSON. An item
            without the field does not pass. No filters, all items.

    Returns:
        `(N,)` bool.

    Raises:
        SearchIndexError: no item has a field of that name, or a value is not one of JSON's types,
            such as a function; or no item has what a condition compares.
    """
    passed = np.ones(len(metadata), bool)
    for name, wanted in filters.items():
        if callable(wanted):
            raise SearchIndexError(
                f"a filter must be a value or a collection of values; got a function for {name!r}"
            )
        if metadata and not any(name in fields for fields in metadata):
            known = sorted({field for fields in metadata for field in fields})
            alike = [one for one in known if attribute_name(one) == attribute_name(name)]
            if not isinstance(wanted, Conditions) or len(alike) != 1:
                hint = did_you_mean(name, known) if known else "the items have no metadata"
                raise SearchIndexError(f"no item has a field {name!r} to filter by; {hint}")
            name = alike[0]
        if isinstance(wanted, Conditions):
            wanted.check(name, [fields[name] for fields in metadata if name in fields])
            passed &= np.fromiter(
                (name in fields and wanted.hold(fields[name]) for fields in metadata),
                bool,
                len(metadata),
            )
            continue
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


# === Conditions as a person types them ===

_CONDITION = re.compile(r"\s*(.+?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")
_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True)
class Conditions:
    """What a field's value must fulfil: one of the values after `=`, and all other comparisons.

    Numbers are compared as numbers, also where a cell says `49,90 €`; other text as text.

    Attributes:
        parts: operator and text, such as `("<", "50")`.
    """

    parts: tuple[tuple[str, str], ...]

    def hold(self, value: Any) -> bool:
        """Return whether a value fulfils them."""
        equal = [_same(value, text) for sign, text in self.parts if sign == "="]
        others = [(sign, text) for sign, text in self.parts if sign != "="]
        return (not equal or any(equal)) and all(_compare(value, *part) for part in others)

    def check(self, name: str, values: Sequence[Any]) -> None:
        """Raise SearchIndexError if no value can be compared, or none is the one wanted."""
        for sign, text in self.parts:
            number = as_number(text) is not None
            if sign in _ORDERED and number and all(as_number(value) is None for value in values):
                some = sorted({str(value) for value in values})[:3]
                raise SearchIndexError(
                    f"{name}{sign}{text}: no item's {name!r} is a number; got {', '.join(some)}"
                )
            if sign == "=" and not any(_same(value, text) for value in values):
                known = sorted({str(value) for value in values})
                hint = did_you_mean(text, known) if len(known) <= _LISTED else "see the table"
                raise SearchIndexError(f"no item has {name}={text}; {hint}")


_LISTED = 50  # values of a field that a message may list


def read_conditions(texts: Iterable[str]) -> dict[str, Conditions]:
    """Return filters from texts like `brand=Acme` and `price<50`, for `matching`.

    The comparisons are =, !=, <, <=, > and >=; several of one field belong together.

    Raises:
        SearchIndexError: a text is no comparison.
    """
    found: dict[str, Conditions] = {}
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None or not match[3]:
            raise SearchIndexError(
                f"a condition is a field, a comparison (= != < <= > >=) and a value, like "
                f"'price<50'; got {text!r}"
            )
        before = found[match[1]].parts if match[1] in found else ()
        found[match[1]] = Conditions((*before, (match[2], match[3])))
    return found


def as_number(value: Any) -> float | None:
    """Return what a cell says as a number: `49.90`, `49,90 €`, `1,299.00`; None for other text.

    Points between groups of three are thousands in euros (`1.299 €`), otherwise a decimal point.

    What begins with zeros, such as `007`, is text, as in a table.
    """
    if isinstance(value, bool) or value is None:
        return None
    text = re.sub(r"[\s€$£¥']|EUR|USD|GBP|CHF", "", str(value))
    if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    elif re.search("€|EUR", str(value)) and re.fullmatch(r"-?[1-9]\d{0,2}(\.\d{3})+", text):
        text = text.replace(".", "")
    elif re.fullmatch(r"-?\d{1,3}(\.\d{3})+,\d+|-?\d+,\d+", text):
        text = text.replace(".", "").replace(",", ".")
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?", text) else None


def _same(value: Any, text: str) -> bool:
    numbers = as_number(value), as_number(text)
    if None not in numbers:
        digits = [re.fullmatch(r"-?\d+", str(one).strip()) for one in (value, text)]
        # Article numbers may have more digits than a float keeps.
        return int(value) == int(text) if all(digits) else numbers[0] == numbers[1]
    return (value if isinstance(value, str) else json.dumps(value)) == text


def _compare(value: Any, sign: str, text: str) -> bool:
    if sign == "!=":
        return not _same(value, text)
    numbers = as_number(value), as_number(text)
    if numbers[1] is None and isinstance(value, str):
        return _ORDERED[sign](value, text)  # dates as 2024-05-31, sizes, names
    return None not in numbers and _ORDERED[sign](*numbers)


def _key(value: Any) -> Any:
    """Return something that can be hashed, and is equal where values are equal in JSON."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, Mapping):
        return "object", frozenset((name, _key(entry)) for name, entry in value.items())
    if isinstance(value, list | tuple):
        return "array", tuple(_key(entry) for entry in value)
    return "scalar", value
