"""The attributes that a person names, and the weight of each."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.records import TOGETHER


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
