"""Scores and orders that are the same on every run: the definition all backends answer to.

The nearest items for several attributes at once: one weighted sum of cosines per item.

Choosing items by their metadata.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from asen_apps.search.backends import Backend
from asen_apps.search.errors import RetrievalError, best_first, exact_scores, nearest

# Proposals that a backend that is not exact is asked for: so many times k, and at least so many.
PROPOSALS_PER_HIT, FEWEST_PROPOSALS = 4, 64


def check_weights(attributes: str | Mapping[str, float]) -> dict[str, float]:
    """Return attribute -> weight, 1 for a single name.

    Raises:
        RetrievalError: no attribute, a weight that is no finite number, or only zeros.
    """
    if isinstance(attributes, str):
        return {attributes: 1.0}
    if not isinstance(attributes, Mapping) or not attributes:
        raise RetrievalError(
            "ask for an attribute by its name, or for several as {name: weight}; "
            f"got {attributes!r}"
        )
    for name, weight in attributes.items():
        if isinstance(weight, bool) or not isinstance(weight, Real) or not math.isfinite(weight):
            raise RetrievalError(f"a weight must be a finite number; got {weight!r} for {name!r}")
    if not any(attributes.values()):
        raise RetrievalError(f"a weight at least must not be 0; got {dict(attributes)!r}")
    return {name: float(weight) for name, weight in attributes.items()}


def nearest_items(
    backends: Mapping[str, Backend],
    queries: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    k: int,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the k items with the highest sum of weight times cosine over attributes.

    With exact backends the result is the true one, ties by lower id: this is the threshold
    algorithm (Fagin, Lotem, Naor, PODS 2001). Each attribute proposes its best; an item that none
    proposed scores at most the weighted sum of the last proposals' cosines. As long as that could
    reach the k-th score found, four times as many are asked for. For a negative weight the
    proposals are the least similar items: those nearest to the opposite of the query.

    Backends that are not exact propose once, generously; what they propose is scored exactly.

    Args:
        backends: attribute -> its backend; all hold the same ids.
        queries: attribute -> `(D,)` float32, of length 1.
        weights: attribute -> finite weight, not all 0.
        k: how many, at least 1.
        allowed: `(n,)` int64 ids to choose among; all when None.

    Returns:
        `(m,)` float64 scores, best first, `(m,)` int64 ids, and attribute -> `(m,)` float64
        cosines, for every attribute of the weights; m is k, or fewer where fewer are allowed.
    """
    used = {name: weight for name, weight in weights.items() if weight}
    exact = all(backends[name].exact for name in used)
    signed = {name: np.sign(used[name]).astype(np.float32) * queries[name] for name in used}
    total = len(backends[next(iter(used))])
    fetch = k if exact else max(PROPOSALS_PER_HIT * k, FEWEST_PROPOSALS)
    while True:
        proposals, bound, complete = [], 0.0, False
        for name, weight in used.items():
            scores, ids = backends[name].search(signed[name][None], min(fetch, total), allowed)
            proposals.append(ids[0][ids[0] >= 0])
            bound += abs(weight) * scores[0, -1]
            complete |= len(proposals[-1]) < fetch  # then these are all that are allowed
        ids = np.unique(np.concatenate(proposals))
        parts = {name: exact_scores(backends[name].vectors(ids), queries[name]) for name in weights}
        totals = np.zeros(len(ids))
        for name, weight in used.items():
            totals += weight * parts[name]
        best = best_first(totals, ids, k)
        certain = len(best) == k and (len(used) == 1 or totals[best[-1]] > bound)
        if complete or certain or not exact:
            return totals[best], ids[best], {name: part[best] for name, part in parts.items()}
        fetch *= 4


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
