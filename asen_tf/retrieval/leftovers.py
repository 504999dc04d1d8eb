"""What a saved index has in Milvus, and what becomes of it when the index is replaced."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asen_tf.retrieval.choosing import OUTSIDE, drop_saved
from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.manifest import read_manifest
from asen_tf.retrieval.versions import current_version

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
