"""Saving and loading an index: whole, checked, and never by running code from a file.

What a saved index has in Milvus, and what becomes of it when the index is replaced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asen_apps.search.backends import (
    OUTSIDE,
    Backend,
    drop_saved,
    load_backend,
)
from asen_apps.search.errors import RetrievalError, check_trusted, is_address
from asen_apps.search.items import ITEMS, Items, read_items, write_items
from asen_apps.search.manifest import (
    current_version,
    model_fingerprint,
    new_version,
    read_manifest,
    write_manifest,
)
from asen_apps.search.vectors import LazyVectors, Skip

Settings = dict[str, Any]


def owned_outside(folder: Path) -> list[Settings]:
    """Return the settings of the vectors that a saved index has outside its folder, and owns.

    It owns what was saved with it first. A copy of the folder, or an index that was loaded from it
    and saved to another place, uses the same vectors and does not own them; nor does a folder that
    was moved.

    Args:
        folder: of the saved index; where there is none that can be read, nothing is owned.
    """
    try:
        content = read_manifest(*current_version(folder), verify=False)
    except (RetrievalError, OSError):
        return []
    home = str(folder.resolve())
    entries = [entry for entry in content["attributes"].values() if isinstance(entry, dict)]
    owned = [e for e in entries if e.get("kind") in OUTSIDE and e.get("owner") == home]
    return [entry["settings"] for entry in owned if isinstance(entry.get("settings"), dict)]


def drop_unused(
    folder: Path, before: Iterable[Settings], after: Iterable[Settings], *, trusted: str
) -> None:
    """Remove what an index owned before it was replaced and no longer uses; warn if that fails.

    Args:
        folder: of the saved index.
        before: what `owned_outside` returned.
        after: settings of the vectors that the index uses now.
        trusted: an address that needs no check: the user named it.
    """
    used = [settings["collection"] for settings in after]
    for settings in before:
        if settings.get("collection") in used:
            continue
        try:
            drop_saved(current_version(folder)[0], settings, trusted=trusted)
        except RetrievalError as error:
            warnings.warn(
                f"{folder}: saved, but vectors of the index that was there before are left in "
                f"Milvus: {error}",
                stacklevel=2,
            )


if TYPE_CHECKING:
    from asen_tf.embedder import Embedder


def save_index(folder: Path, items: Items, store: LazyVectors) -> None:
    """Write an index to a folder: killed at any point, the old index is there, or the new one.

    See `asen_apps.search.manifest` for how. The folder holds JSON, FAISS' files and `.npy`
    arrays, with checksums, and the fingerprint of the model. Attributes that nobody asked for yet
    stay lazy.

    Vectors in Milvus that only the replaced index used are removed from there: whoever has it open
    can no longer search it. They stay, with a warning, if their address is not trusted any more
    (see `asen_apps.search.backends`) or Milvus refuses, and without one after a kill in between.

    Args:
        folder: made if need be; an index that is there is replaced.
        items: of the index.
        store: of the index.

    Raises:
        RetrievalError: the folder holds other things than an index.
    """
    owners = {
        name: store.owners.get(name, str(folder.resolve()))
        for name, backend in store.backends.items()
        if backend.kind in OUTSIDE
    }
    with new_version(folder) as version:
        before = owned_outside(folder)
        write_items(items, version)
        attributes = {}
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
    after = [attributes[name]["settings"] for name in owners]
    drop_unused(folder, before, after, trusted=store.backend)


def load_index(
    folder: Path,
    embedder: Embedder,
    *,
    root: Path | str | None,
    mapped: bool,
    verify: bool,
    skip: Skip | None,
) -> tuple[Items, LazyVectors]:
    """Open an index that `save_index` wrote.

    Args:
        folder: of the index.
        embedder: with the model that made the index.
        root: the folder of the images, if it is another now than when the index was saved.
        mapped: leave vectors on disk and read them as they are needed; the operating system
            keeps in memory what is used. False reads them all at once.
        verify: compare checksums of all files, which reads them once. Without it only sizes are
            compared: for indexes that nobody else can write to, as FAISS trusts what it reads.
        skip: as for `AttributeIndex.build`.

    Raises:
        RetrievalError: there is no index, it is truncated, changed or foreign, a path leads out of
            its folder, or another model made it.
    """
    while True:
        version, digest = current_version(folder)
        try:
            return _load(version, digest, embedder, root, mapped, verify, skip)
        except (RetrievalError, OSError) as error:
            if current_version(folder) == (version, digest):
                if isinstance(error, RetrievalError):
                    raise
                raise RetrievalError(f"{version}: unreadable ({error}); save it again") from error
            # Somebody saved meanwhile, and removed the version that was being read: once more.


def _load(
    version: Path,
    digest: str,
    embedder: Embedder,
    root: Path | str | None,
    mapped: bool,
    verify: bool,
    skip: Skip | None,
) -> tuple[Items, LazyVectors]:
    content = read_manifest(version, digest, verify=verify)
    found = model_fingerprint(embedder.model)
    if content["model"] != found:
        raise RetrievalError(
            f"{version.parent}: made with another model ({content['model']:.12}) than the one "
            f"given ({found:.12}); load that model, or build the index again with this one"
        )
    if ITEMS not in content["files"]:
        raise RetrievalError(f"{version}: lists no {ITEMS}; build the index again")
    items = read_items(version, count=content["count"], next_id=content["next_id"], root=root)
    store = LazyVectors(embedder, content["embedding"], content["backend"], content["dtype"], skip)
    if is_address(store.backend):  # attributes that are asked for later go there
        check_trusted(store.backend, version)
    store.check(list(content["attributes"]))
    for name, entry in content["attributes"].items():
        store.backends[name] = _backend(version, name, entry, items, content["files"], mapped)
        if store.backends[name].kind in OUTSIDE:
            owner = entry.get("owner")
            store.owners[name] = owner if isinstance(owner, str) else ""
    return items, store


def _backend(
    version: Path, name: str, entry: Any, items: Items, files: dict[str, Any], mapped: bool
) -> Backend:
    """Return the backend of one attribute; it may read listed files only."""
    fit = isinstance(entry, dict) and isinstance(entry.get("settings"), dict)
    kind, stem = (entry.get("kind"), entry.get("stem")) if fit else (None, None)
    if not isinstance(kind, str) or not isinstance(stem, str) or not stem.isdigit():
        raise RetrievalError(f"{version}: unusable entry of {name!r}; build the index again")
    unlisted = {path.name for path in version.glob(f"{stem}.*")} - set(files)
    if unlisted:
        raise RetrievalError(f"{version}: {min(unlisted)} is not listed; build the index again")
    backend = load_backend(kind, version, stem, entry["settings"], mapped=mapped)
    if not np.array_equal(backend.ids, np.sort(items.ids)):
        why = ", or was it changed and not saved?" if kind in OUTSIDE else ""
        raise RetrievalError(
            f"{version}: the {len(backend)} vectors of {name!r} are not those of the {len(items)} "
            f"items{why}; build the index again"
        )
    return backend
