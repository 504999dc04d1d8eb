"""Saving and loading an index: whole, checked, and never by running code from a file."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from asen_apps.search.backend import Backend, SearchIndexError, check_trusted, is_address
from asen_apps.search.items import Items
from asen_apps.search.vectors import OUTSIDE, LazyVectors, check_attributes, load_backend, milvus
from asen_apps.search.versions import current_version, new_version, read_manifest, write_manifest
from asen_tf.files import file_digest

if TYPE_CHECKING:
    from asen_tf.embedder import Embedder
    from asen_tf.models import SimilarityModel

_Read = TypeVar("_Read")
ITEMS = "items.json"
MODEL, SOURCES, FILES = "model", "sources", "files"  # in the notes of `asen index`
NOTES = "notes.json"  # an object, absent from older indexes
# Settings that models had not at first, which keep their fingerprint with these values.
_LATER = {
    **{"fit": "square", "preprocessing": "ours", "map_reading": "released", "networks": 1},
    **{"alignment": "cosine", "region_rule": "threshold", "region_share": 0.7},
    **{"least_region": 0.0, "region_jitter": 0.0},
}
PAIRS = "pairs"  # in the notes: attribute -> cosines of random pairs, in steps of 1e-6


def model_fingerprint(model: SimilarityModel) -> str:
    """Return the SHA-256, in hexadecimal, of a model's class, settings and weights.

    Weights count in their order, with shape and dtype, but not by name: Keras numbers the names
    of layers anew in every process. A model that is saved and loaded keeps its fingerprint.
    """
    if known := getattr(model, "fingerprint", None):  # of a frozen model
        return known
    config = model.get_config()
    for name, default in _LATER.items():
        if config.get(name) == default:
            del config[name]
    settings = json.dumps(config, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{type(model).__name__}\n{settings}\n".encode())
    for weight in model.weights:
        values = np.ascontiguousarray(weight.numpy())
        digest.update(f"{values.shape} {values.dtype}\n".encode())
        digest.update(memoryview(values).cast("B") if values.size else b"")
    return digest.hexdigest()


# === Saving ===


def save_index(folder: Path, items: Items, store: LazyVectors, notes: dict[str, Any]) -> None:
    """Write an index to a folder; see `AttributeIndex.save`."""
    home = str(folder.resolve())
    owners = {
        name: store.owners.get(name, home)
        for name, backend in store.backends.items()
        if backend.kind in OUTSIDE
    }
    attributes: dict[str, dict[str, Any]] = {}
    inside = [backend for backend in store.backends.values() if backend.kind not in OUTSIDE]
    width = np.dtype(store.dtype).itemsize
    needed = sum(len(one) * (one.dimension * width + 8) for one in inside)  # with ids of 8 bytes
    with new_version(folder, needed) as version:
        before = _owned_outside(folder)
        _write_items(items, version)
        with open(version / NOTES, "w", encoding="ascii", newline="\n") as stream:
            json.dump(notes, stream, separators=(",", ":"))
        for number, (name, backend) in enumerate(store.backends.items()):
            stem = f"{number:03d}"
            settings = backend.save(version, stem)
            attributes[name] = {"stem": stem, "kind": backend.kind, "settings": settings}
            if name in owners:
                attributes[name]["owner"] = owners[name]
        content = {
            "model": model_fingerprint(store.embedder.model),
            "embedding": store.embedding,
            "backend": store.backend,
            "dtype": store.dtype,
            "count": len(items),
            "next_id": items.next_id,
            "attributes": attributes,
        }
        write_manifest(version, content)
    store.owners = owners
    used = {attributes[name]["settings"]["collection"] for name in owners}
    _drop_unused(folder, before, used, trusted=store.backend)


def _write_items(items: Items, folder: Path) -> None:
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


def _owned_outside(folder: Path) -> list[dict[str, Any]]:
    """Return the settings of the vectors that a saved index has outside its folder, and owns.

    It owns what was saved with it first. A copy of the folder, or an index that was loaded from it
    and saved to another place, uses the same vectors and does not own them; nor does a folder that
    was moved. Where no index can be read, nothing is owned.
    """
    try:
        content = read_manifest(*current_version(folder), verify=False)
    except (SearchIndexError, OSError):
        return []
    home = str(folder.resolve())
    entries = [entry for entry in content["attributes"].values() if isinstance(entry, dict)]
    owned = [e for e in entries if e.get("kind") in OUTSIDE and e.get("owner") == home]
    return [entry["settings"] for entry in owned if isinstance(entry.get("settings"), dict)]


def _drop_unused(
    folder: Path, before: list[dict[str, Any]], used: set[str], *, trusted: str
) -> None:
    """Drop the collections of those settings that are not used any more; warn if that fails."""
    for settings in before:
        if settings.get("collection") in used:
            continue
        try:
            milvus().drop_saved(current_version(folder)[0], settings, trusted=trusted)
        except SearchIndexError as error:
            warnings.warn(
                f"{folder}: saved, but vectors of the index that was there before are left in "
                f"Milvus: {error}",
                stacklevel=4,  # where `AttributeIndex.save` is called
            )


# === Loading ===


def load_index(
    folder: Path, embedder: Embedder, *, root: Path | str | None, mapped: bool, verify: bool
) -> tuple[Items, LazyVectors, dict[str, Any]]:
    """Open an index that `save_index` wrote; see `AttributeIndex.load`. Notes come last."""
    return _reading(
        folder, lambda version, content: _opened(version, content, embedder, root, mapped), verify
    )


def _reading(
    folder: Path, read: Callable[[Path, dict[str, Any]], _Read], verify: bool = False
) -> _Read:
    """Return what is read of the version that counts; again if a save removes it meanwhile."""
    while True:
        version, digest = current_version(folder)
        try:
            return read(version, read_manifest(version, digest, verify=verify))
        except (SearchIndexError, OSError) as error:
            if current_version(folder) != (version, digest):
                continue
            if isinstance(error, SearchIndexError):
                raise
            raise SearchIndexError(f"{version}: unreadable ({error}); save it again") from error


def _opened(
    version: Path,
    content: dict[str, Any],
    embedder: Embedder,
    root: Path | str | None,
    mapped: bool,
) -> tuple[Items, LazyVectors, dict[str, Any]]:
    found = model_fingerprint(embedder.model)
    if content["model"] != found:
        raise SearchIndexError(
            f"{version.parent}: made with another model ({content['model']:.12}) than the one "
            f"given ({found:.12}); load that model, or build the index again with this one"
        )
    if ITEMS not in content["files"]:
        raise SearchIndexError(f"{version}: lists no {ITEMS}; build the index again")
    items = _read_items(version, count=content["count"], next_id=content["next_id"], root=root)
    store = LazyVectors(embedder, content["embedding"], content["backend"], content["dtype"])
    if is_address(store.backend):  # attributes that are asked for later go there
        check_trusted(store.backend, version)
    check_attributes(list(content["attributes"]), embedder.attribute_names)
    for name, entry in content["attributes"].items():
        store.backends[name] = _backend(version, name, entry, items, content["files"], mapped)
        if store.backends[name].kind in OUTSIDE:
            owner = entry.get("owner")
            store.owners[name] = owner if isinstance(owner, str) else ""
    return items, store, read_notes(version, content)


def read_notes(version: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the notes of a version whose manifest, `content`, has been checked.

    Raises:
        SearchIndexError: they are not as `save_index` writes them.
    """
    if NOTES not in content["files"]:
        return {}
    try:
        notes = json.loads((version / NOTES).read_bytes())
        pairs = notes[PAIRS]
        lengths = {len(cosines) for cosines in pairs.values()}
        if len(lengths) > 1 or any(type(n) is not int for row in pairs.values() for n in row):
            raise ValueError("pairs must be lists of integers, of one length")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SearchIndexError(
            f"{version / NOTES}: not the notes of an index ({error}); build it again"
        ) from error
    return notes


def index_notes(folder: Path) -> dict[str, Any]:
    """Return a saved index's notes without opening it, its count and embedding among them.

    Errors are as for `load_index`.
    """

    def read(version: Path, content: dict[str, Any]) -> dict[str, Any]:
        known = {name: content[name] for name in ("count", "embedding")}
        return {**read_notes(version, content), **known}

    return _reading(folder, read)


def index_fields(folder: Path) -> list[str]:
    """Return the names of a saved index's metadata without opening it; errors as `load_index`."""

    def read(version: Path, content: dict[str, Any]) -> Items:
        return _read_items(version, count=content["count"], next_id=content["next_id"], root=None)

    items = _reading(folder, read)
    return list(dict.fromkeys(name for fields in items.metadata for name in fields))


def model_of(
    notes: dict[str, Any],
    folder: Path | str,
    model: Path | str | None = None,
    *,
    remedy: str = "give it by --model",
) -> Path:
    """Return the model's file that an index remembers, or the one given, if it is still that one.

    Args:
        notes: of `index_notes`.
        folder: of the index, for messages.
        model: the one given.
        remedy: how the user names another one.

    Raises:
        SearchIndexError: the index remembers none, or the file is missing or has changed.
    """
    known = notes.get(MODEL)
    fit = isinstance(known, dict) and all(isinstance(known.get(k), str) for k in ("path", "sha256"))
    if model is not None:
        from asen_tf.embedder import model_file  # TensorFlow

        return model_file(model)
    if not fit:
        raise SearchIndexError(f"{folder}: remembers no model; {remedy}")
    path = Path(known["path"])
    if not path.is_file():
        raise SearchIndexError(f"{path}: the model of {folder} is gone; {remedy}")
    if file_digest(path) != known["sha256"]:
        raise SearchIndexError(
            f"{path}: not the model that made {folder} (wrong checksum); if that one is "
            f"elsewhere, {remedy}, or build the index again"
        )
    return path


def run_settings(model: Path) -> dict[str, Any] | None:
    """Return the settings of the run whose model a file is; None if no run's lie beside it."""
    try:
        found = json.loads(model.with_name("config.json").read_text("utf-8"))
        fit = all(isinstance(found[name], str) for name in ("method", "dataset"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if fit else None


def copies(notes: dict[str, Any], digest: str) -> list[int]:
    """Return the ids of the items whose file had this content when it was embedded.

    Raises:
        SearchIndexError: the notes are not of `asen index`, which keeps the digests of contents.
    """
    if FILES not in notes:
        raise SearchIndexError(
            "copies of an image can be left out of an index that `asen index` made, which knows "
            "the content of its files; this one was saved from Python: make it by `asen index`, or "
            "leave out --not-itself"
        )
    return [int(number) for number, about in notes.get(FILES, {}).items() if about[2] == digest]


def _backend(
    version: Path, name: str, entry: Any, items: Items, files: dict[str, Any], mapped: bool
) -> Backend:
    """Return the backend of one attribute; it may read only files that the manifest lists."""
    fit = isinstance(entry, dict) and isinstance(entry.get("settings"), dict)
    kind, stem = (entry.get("kind"), entry.get("stem")) if fit else (None, None)
    if not isinstance(kind, str) or not isinstance(stem, str) or not stem.isdigit():
        raise SearchIndexError(f"{version}: unusable entry of {name!r}; build the index again")
    unlisted = {path.name for path in version.glob(f"{stem}.*")} - set(files)
    if unlisted:
        raise SearchIndexError(f"{version}: {min(unlisted)} is not listed; build the index again")
    backend = load_backend(kind, version, stem, entry["settings"], mapped=mapped)
    if not np.array_equal(backend.ids, np.sort(items.ids)):
        why = ", or was it changed and not saved?" if kind in OUTSIDE else ""
        raise SearchIndexError(
            f"{version}: the {len(backend)} vectors of {name!r} are not those of the {len(items)} "
            f"items{why}; build the index again"
        )
    return backend


def _read_items(folder: Path, *, count: int, next_id: int, root: Path | str | None) -> Items:
    """Read what `_write_items` wrote.

    Args:
        folder: where `items.json` lies.
        count: how many items there must be.
        next_id: as in `Items`.
        root: the folder of the images, if it has moved since the index was saved.

    Raises:
        SearchIndexError: the file does not hold such items, or a path leads out of the root.
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
        home = Path(content["root"] if root is None else os.path.abspath(root))
        items = Items()
        items.extend(items.plan([home / _inside(name) for name in images], metadata, ids))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise SearchIndexError(
            f"{path}: not the items of an index ({error}); build it again"
        ) from error
    items.next_id = max(items.next_id, next_id)
    if root is not None and images and not any(map(os.path.exists, items.images)):
        raise SearchIndexError(
            f"{home}: none of the index's images is there, such as {items.images[0]}; give the "
            f"folder that {content['root']} has become"
        )
    return items


def _inside(name: Any) -> str:
    """Return a path that stays below the folder that it is relative to; ValueError otherwise."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"an image path must stay inside the root; got {name!r:.200}")
    return name
