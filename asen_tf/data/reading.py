"""From a dataset's folder to its attributes, its splits and its fingerprint.

A dataset that lists triplets instead of values, as Zappos50k does (Veit et al., CVPR 2017), has
`triplets_{split}.txt` in place of label, query and candidate files.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asen_tf.config import did_you_mean
from asen_tf.data.parsing import (
    load_json_object,
    parse_names,
    parse_rows,
    parse_triplets,
    read_bytes,
)
from asen_tf.data.records import (
    SPLITS,
    AnnotationError,
    AttributeTable,
    Split,
    check_split_name,
    dataset_root,
    regions_filename,
    roles,
    rows_filename,
    triplets_filename,
)
from asen_tf.files import file_digest, write_text

META = "meta.json"
VALUES = "values.json"
MISSING_CHOICES = ("error", "skip", "ignore")


def read_meta(data_dir: Path | str, dataset: str) -> AttributeTable:
    """Return a dataset's attributes from `data_dir/meta.json`.

    Raises:
        AnnotationError: the file is absent, is not JSON, lacks the dataset, or its entry is wrong.
    """
    dataset_root(data_dir, dataset)
    path = Path(data_dir) / META
    meta = load_json_object(path)
    if dataset not in meta:
        rule = "the dataset must have an entry"
        remedy = f"{did_you_mean(dataset, sorted(meta))}; data_prep/README.md has the commands"
        raise AnnotationError(rule, path=path, got=dataset, remedy=remedy)
    entry = meta[dataset]
    try:
        names, numbers = tuple(entry["ATTRIBUTES"]), entry["ATTRIBUTES_NUM"]
        if not isinstance(entry["ATTRIBUTES"], list) or not isinstance(numbers, dict):
            raise ValueError("the first is a list, the second an object")
        if set(numbers) != set(names):
            raise ValueError("the two name different attributes")
        return AttributeTable(names, tuple(numbers[name] for name in names))
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"the entry of {dataset!r} must hold ATTRIBUTES, a list of names, and "
            f"ATTRIBUTES_NUM, the number of values of each ({error})",
            path=path,
            got=entry,
            remedy="docs/data.md has the format",
        ) from None


def read_value_names(data_dir: Path | str, dataset: str) -> dict[str, list[str]] | None:
    """Return the names of each attribute's values in index order, or None without values.json.

    Raises:
        AnnotationError: the file does not name exactly the values that meta.json counts.
    """
    path = dataset_root(data_dir, dataset) / VALUES
    if not path.exists():
        return None
    names = load_json_object(path)
    check_value_names(names, read_meta(data_dir, dataset), path)
    return names


def check_value_names(names: Any, attributes: AttributeTable, path: Path) -> None:
    """Raise unless `names` maps every attribute to as many strings as it has values."""
    expected = dict(zip(attributes.names, attributes.sizes, strict=True))
    if not isinstance(names, dict) or set(names) != set(expected):
        rule = f"value names must be given for the attributes {list(expected)}"
        remedy = "name the attributes as meta.json does, or remove the file"
        raise AnnotationError(rule, path=path, got=names, remedy=remedy)
    for attribute, values in names.items():
        strings = isinstance(values, list) and all(isinstance(value, str) for value in values)
        if not strings or len(values) != expected[attribute]:
            rule = f"{attribute!r} must have {expected[attribute]} value names, all strings"
            remedy = "give one name per value, in the order of the indices, or remove the file"
            raise AnnotationError(rule, path=path, got=values, remedy=remedy)


def read_split(data_dir: Path | str, dataset: str, split: str, *, missing: str = "error") -> Split:
    """Read one split of a dataset.

    Args:
        data_dir: the folder of meta.json and of one folder per dataset.
        dataset: the dataset's name.
        split: "train", "valid" or "test".
        missing: what to do about images that are not on disk. "error" raises; "skip" drops their
            rows and lists them in `Split.missing`; "ignore" does not look for images at all, and
            lets the list of files be absent (then `files` is empty).

    Returns:
        The split. Repeated rows are kept; `data_prep.check` counts them. Where the dataset lists
        triplets (`triplets_{split}.txt`), these are read instead of labels.

    Raises:
        AnnotationError: a rule is broken; the message names the file and the line.
    """
    check_split_name(split)
    if missing not in MISSING_CHOICES:
        rule = f"missing must be one of {', '.join(MISSING_CHOICES)}"
        raise AnnotationError(rule, got=missing, remedy=did_you_mean(missing, MISSING_CHOICES))
    root = dataset_root(data_dir, dataset)
    attributes = read_meta(data_dir, dataset)
    source = root / f"filenames_{split}.txt"
    listed = source.exists()
    if not listed and missing != "ignore":
        remedy = 'restore it, or read only the labels with missing="ignore"'
        raise AnnotationError("the list of image files is missing", path=source, remedy=remedy)
    files, lines = parse_names(source) if listed else ((), ())
    count = len(files) if listed else None
    triplets = None
    if (root / triplets_filename(split)).exists():
        triplets = parse_triplets(root / triplets_filename(split), attributes, count)
        rows = {"label": _labels_of(triplets)}
    else:
        rows = {
            role: parse_rows(root / rows_filename(split, role), attributes, count)
            for role in roles(split)
        }
    nothing = np.zeros((0, 3), np.int64)
    queries, candidates = rows.get("query", nothing), rows.get("candidate", nothing)
    labels = rows.get("label", np.unique(np.concatenate([queries, candidates]), axis=0))
    result = Split(
        root, dataset, split, attributes, files, labels, queries, candidates, (), triplets
    )
    if missing != "ignore":
        entries = locate_images(root, files, source, lines)
        absent = tuple(index for index, entry in enumerate(entries) if entry is None)
        if absent and missing == "error":
            rule = f"{len(absent)} of {len(files)} image files are missing"
            got = f"no {', no '.join(files[index] for index in absent[:5])}"
            remedy = 'add them, or go on without them with missing="skip"'
            line = lines[absent[0]]
            raise AnnotationError(rule, path=source, line=line, got=got, remedy=remedy)
        result = _without(result, absent)
    for array in (result.labels, result.queries, result.candidates):
        array.setflags(write=False)
    return result


def _labels_of(triplets: np.ndarray) -> np.ndarray:
    """Return `(n, 3)` rows for the images of each attribute; the value 0 is a placeholder."""
    pairs = np.concatenate([triplets[:, [column, 0]] for column in (1, 2, 3)])
    distinct = np.unique(pairs, axis=0)
    return np.concatenate([distinct, np.zeros_like(distinct[:, :1])], axis=1)


def _without(split: Split, absent: tuple[int, ...]) -> Split:
    def keep(rows: np.ndarray, images: slice) -> np.ndarray:
        return rows[~np.isin(rows[:, images], absent).any(axis=1)]

    image = slice(0, 1)
    return replace(
        split,
        labels=keep(split.labels, image),
        queries=keep(split.queries, image),
        candidates=keep(split.candidates, image),
        missing=absent,
        triplets=None if split.triplets is None else keep(split.triplets, slice(1, 4)),
    )


def locate_images(
    root: Path, names: tuple[str, ...], source: Path, lines: tuple[int, ...]
) -> list[os.DirEntry[str] | None]:
    """Return the directory entry of each image, or None where there is no such file.

    Each folder is listed once, so 180,000 files in a few folders take well under a second.
    The dataset's folder itself may be a symbolic link; links inside it may not lead out of it.

    Args:
        root: the dataset's folder.
        names: image paths relative to it, already free of `..` and not absolute.
        source: the file that lists them, and `lines`, their lines in it, for the message.
        lines: 1-based line of each name.

    Raises:
        AnnotationError: a symbolic link leads out of the folder.
    """
    home = os.path.realpath(root)
    folders: dict[str, dict[str, os.DirEntry[str]] | None] = {}
    found: list[os.DirEntry[str] | None] = []
    for name, line in zip(names, lines, strict=True):
        folder, _, base = name.rpartition("/")
        if folder not in folders:
            path = os.path.join(home, folder)
            folders[folder] = _entries(path) if _is_inside(path, home) else None
        entries = folders[folder]
        entry = None if entries is None else entries.get(base)
        escapes = entry is not None and entry.is_symlink() and not _is_inside(entry.path, home)
        if entries is None or escapes:
            rule = "an image path must not leave the dataset's folder through a symbolic link"
            remedy = "copy the images into the folder, or make the whole folder the link"
            raise AnnotationError(rule, path=source, line=line, got=name, remedy=remedy)
        found.append(entry if entry is not None and _is_file(entry) else None)
    return found


def _is_inside(path: str, home: str) -> bool:
    real = os.path.realpath(path)
    return real == home or real.startswith(home.rstrip(os.sep) + os.sep)


def _entries(folder: str) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return {entry.name: entry for entry in listing}
    except OSError:  # absent, not a folder, or not readable: its images are missing
        return {}


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a cycle of links
        return False


def cache_folder(root: Path, elsewhere: Path | None = None) -> Path | None:
    """Return where to keep what is computed from a dataset's images; None for nowhere.

    Args:
        root: the dataset's folder: `.cache` in it, if it may be written to.
        elsewhere: the parent of the folder for datasets that may only be read.
    """
    if os.access(root, os.W_OK):
        return root / ".cache"
    return None if elsewhere is None else elsewhere / root.name


def fingerprint(data_dir: Path | str, dataset: str, cache_dir: Path | None = None) -> str:
    """Return the SHA-256 of a dataset, as 64 hexadecimal digits.

    It covers the entry in meta.json, the split files, the region files and values.json (line
    ends do not count), and name and content of every image that a split lists. It depends neither
    on where the data lies nor on the machine. An image is read once: its digest is kept with its
    size and times, in `contents.json` in the `cache_folder`.

    Args:
        data_dir: the folder of meta.json and of one folder per dataset.
        dataset: the dataset's name.
        cache_dir: `elsewhere` of `cache_folder`.

    Raises:
        AnnotationError: the meta entry or a list of files breaks a rule.
    """
    root = dataset_root(data_dir, dataset)
    digest = annotations_digest(data_dir, dataset)
    images: dict[str, os.DirEntry[str] | None] = {}
    for split in SPLITS:
        source = root / f"filenames_{split}.txt"
        if source.exists():
            names, lines = parse_names(source)
            images |= zip(names, locate_images(root, names, source, lines), strict=True)
    contents = _contents(root, images, cache_folder(root, cache_dir))
    _add(digest, "images", json.dumps(sorted(contents.items())).encode())
    return digest.hexdigest()


def annotations_digest(
    data_dir: Path | str, dataset: str, *, split_files_alone: bool = False
) -> hashlib._Hash:
    """Return the SHA-256 of a dataset's annotations, to which more may be added.

    Args:
        data_dir: the folder of meta.json and of one folder per dataset.
        dataset: the dataset's name.
        split_files_alone: leave out values.json and the region files, which say nothing about
            which images there are and what their labels are.

    Raises:
        AnnotationError: the meta entry breaks a rule, or a file cannot be read.
    """
    root = dataset_root(data_dir, dataset)
    attributes = read_meta(data_dir, dataset)
    digest = hashlib.sha256()
    table = [attributes.names, [int(size) for size in attributes.sizes]]
    _add(digest, "meta", json.dumps(table).encode())
    parts = [] if split_files_alone else [VALUES]
    for split in SPLITS:
        parts += [f"filenames_{split}.txt", *(rows_filename(split, role) for role in roles(split))]
        parts += [triplets_filename(split)]
        parts += [] if split_files_alone else [regions_filename(split)]
    for part in parts:
        if (root / part).exists():
            _add(digest, part, read_bytes(root / part))
    return digest


def _add(digest: hashlib._Hash, name: str, content: bytes) -> None:
    # With names and lengths, no two datasets can be concatenated to the same bytes.
    digest.update(json.dumps([name, len(content)]).encode() + b"\n" + content)


_contents_read: dict[Path, dict[str, list[Any]]] = {}  # what was found before, by folder


def _contents(
    root: Path, images: dict[str, os.DirEntry[str] | None], folder: Path | None
) -> dict[str, str | None]:
    """Return the SHA-256 of each image, None if it is missing; read only what has changed."""
    record = None if folder is None else folder / "contents.json"
    kept: Any = _contents_read.get(root)
    if kept is None and record is not None:
        with suppress(OSError, ValueError, RecursionError):  # none yet, or damaged
            kept = json.loads(record.read_bytes())
    kept, found = kept if isinstance(kept, dict) else {}, {}
    there = {name: entry for name, entry in images.items() if entry is not None}
    for name, entry in tqdm(there.items(), desc="reading new images", unit="image", delay=2.0):
        stat, before = entry.stat(), kept.get(name)
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        if not isinstance(before, list) or before[:-1] != state:
            try:
                before = [*state, file_digest(entry.path)]
            except OSError as error:
                remedy = "check its permissions"
                raise AnnotationError(
                    "the image cannot be read", path=entry.path, got=str(error), remedy=remedy
                ) from error
        found[name] = before
    _contents_read[root] = found
    if record is not None and (found != kept or not record.exists()):
        with suppress(OSError):  # a full disk: they are read again next time
            write_text(record, json.dumps(found))
    return {name: found[name][-1] if name in found else None for name in images}
