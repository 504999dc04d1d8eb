"""What goes wrong with a search index, said in one kind of error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RetrievalError(ValueError):
    """An index cannot be built, searched, saved or loaded as asked; the message has the remedy."""


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: "did you mean 'brand'?", or the names there are."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"
