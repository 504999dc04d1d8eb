"""Names of attributes as people read them."""

from __future__ import annotations


def label(name: str) -> str:
    """Return an identifier as words: `sleeve_length` is "sleeve length"."""
    return name.replace("_", " ")
