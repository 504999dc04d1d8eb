"""One search: from an image, weights and filters to hits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from asen_tf.retrieval.filters import matching
from asen_tf.retrieval.hits import Hit
from asen_tf.retrieval.items import Items
from asen_tf.retrieval.lazy_vectors import LazyVectors
from asen_tf.retrieval.queries import QueryImage
from asen_tf.retrieval.vector_checks import check_k
from asen_tf.retrieval.weighting import check_weights, nearest_items


def search_items(
    items: Items,
    store: LazyVectors,
    image: QueryImage,
    attribute: str | Mapping[str, float],
    k: int,
    filters: Mapping[str, Any] | None,
) -> list[Hit]:
    """Return the hits; arguments and errors as for `AttributeIndex.search`."""
    check_k(k)
    weights = check_weights(attribute)
    store.check(list(weights))
    # The query first: when it cannot be read, nobody should wait for the catalogue.
    queries = store.query(image, list(weights))
    store.prepare(items, list(weights), progress=True)
    passed = matching(items.metadata, filters or {})
    if not passed.any():
        return []
    allowed = None if passed.all() else items.ids[passed]
    scores, ids, parts = nearest_items(store.backends, queries, weights, k, allowed)
    return [
        Hit(
            id=int(ids[at]),
            image=items.images[row],
            score=float(scores[at]),
            parts={name: float(part[at]) for name, part in parts.items()},
            metadata=copy.deepcopy(items.metadata[row]),
        )
        for at, row in enumerate(items.rows(ids))
    ]
