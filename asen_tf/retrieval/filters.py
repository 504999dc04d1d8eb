"""Choosing items by their metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asen_tf.retrieval.errors import RetrievalError, nearest


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
        RetrievalError: no item has a field of that name, or a value is none of JSON's, such as a
            function.
    """
    passed = np.ones(len(metadata), bool)
    for name, wanted in filters.items():
        if callable(wanted):
            raise RetrievalError(
                f"a filter must be a value or a collection of values; got a function for {name!r}"
            )
        if metadata and not any(name in fields for fields in metadata):
            known = {field for fields in metadata for field in fields}
            hint = nearest(name, known)
            raise RetrievalError(f"no item has a field {name!r} to filter by; {hint}")
        several = isinstance(wanted, list | tuple | set | frozenset)
        try:
            keys = {_key(value) for value in (wanted if several else [wanted])}
        except TypeError as error:
            raise RetrievalError(
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
