"""What a person asks for: attributes, the weight of each, how many items, a name for the files."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence

from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.records import TOGETHER


def check(
    known: Sequence[str],
    attributes: Sequence[str] | Mapping[str, float],
    *,
    weights: Sequence[float] | None = None,
    top: int = 1,
    name: str | None = None,
) -> dict[str, float]:
    """Return the weight of each attribute; to be asked before a large catalogue is read.

    Args:
        known: the attributes that the model knows.
        attributes: names, or weights by name.
        weights: one per name, positive; equal ones when None or empty.
        top: items that are shown of each view.
        name: of the files, see `asen_tf.evidence.write`; None is the sheet's own.

    Raises:
        EvidenceError: one of them cannot be used.
    """
    shares = weighted(attributes, known, weights)
    if top < 1:
        raise EvidenceError(f"top, the number of items shown, must be 1 or more; got {top}")
    if name is not None:
        check_name(name)
    return shares


def check_name(name: str) -> None:
    """Raise EvidenceError unless a name is one of a plain file."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        raise EvidenceError(
            "a sheet's name must be made of letters, digits, dots, hyphens and underscores, up to "
            f"100, and begin with no dot or hyphen; got {name!r}"
        )


def weighted(
    attributes: Sequence[str] | Mapping[str, float],
    known: Sequence[str],
    weights: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return the weight of each attribute; their sum is 1.

    Args:
        attributes: names, or weights by name.
        known: the attributes that the model knows.
        weights: one per name, positive; equal ones when None or empty.

    Raises:
        EvidenceError: no attribute, an unknown or repeated one, or weights that do not fit.
    """
    names = [attributes] if isinstance(attributes, str) else list(attributes)
    if not names:
        raise EvidenceError(f"name at least one attribute, of {', '.join(known)}")
    for place, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(known)}"
            raise EvidenceError(f"the model does not know the attribute {name!r}; {hint}")
        if name in names[:place]:
            raise EvidenceError(f"each attribute is named once; got {name!r} twice")
    if TOGETHER in names and len(names) > 1:
        raise EvidenceError(f"{TOGETHER!r} is the name of all attributes' view; name it alone")
    if isinstance(attributes, Mapping):
        weights = list(attributes.values())
    weights = list(weights) if weights else [1.0] * len(names)
    numbers = all(isinstance(weight, (int, float)) for weight in weights)
    if (
        len(weights) != len(names)
        or not numbers
        or not all(math.isfinite(weight) and weight > 0 for weight in weights)
    ):
        raise EvidenceError(
            f"there must be one weight above 0 for each of {', '.join(names)}; got {weights}"
        )
    total = math.fsum(weights)
    return {name: weight / total for name, weight in zip(names, weights, strict=True)}
