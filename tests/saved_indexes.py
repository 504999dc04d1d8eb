"""An index with two attributes to save, and a check that it is the same after loading."""

from __future__ import annotations

import numpy as np
from known_vectors import KnownEmbedder, paths, random_vectors

from asen_apps.search import AttributeIndex

COUNT, DIMENSION = 300, 16
EMBEDDER = KnownEmbedder(
    sleeve=random_vectors(COUNT, DIMENSION), neckline=random_vectors(COUNT, DIMENSION, seed=1)
)


def built(**choice: str) -> AttributeIndex:
    metadata = [{"brand": "abc"[at % 3], "naïve \ud800": [at, None]} for at in range(COUNT)]
    index = AttributeIndex.build(EMBEDDER, paths(COUNT), metadata, **choice)
    index.prepare()
    return index


def same(first: AttributeIndex, second: AttributeIndex) -> bool:
    weights = {"sleeve": 0.7, "neckline": -0.3}
    filters = {"brand": ["a", "c"]}
    return (
        np.array_equal(first.ids, second.ids)
        and (first.images, first.metadata) == (second.images, second.metadata)
        and first.search("3.png", weights, 20, filters)
        == second.search("3.png", weights, 20, filters)
        and np.array_equal(first.vectors("sleeve"), second.vectors("sleeve"))
    )
