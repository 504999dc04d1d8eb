"""Where a model looks in the query, attribute by attribute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asen_tf.explorer.answers import Look, Query
from asen_tf.explorer.catalogue import Catalogue
from asen_tf.models import SimilarityModel
from asen_tf.models.pairs import attribute_index


def looks(
    model: SimilarityModel,
    catalogue: Catalogue,
    query: Query,
    pixels: np.ndarray,
    shares: Mapping[str, float],
) -> tuple[Look, ...]:
    """Return the query as each attribute sees it.

    Args:
        model: any method; one without attention has no map and no region.
        catalogue: knows the values of test images.
        query: what is looked at.
        pixels: `(S, S, 3)` uint8, its square at the model's source size.
        shares: weight by attribute.
    """
    indices = [attribute_index(model.attribute_names, name) for name in shares]
    seen = model.embed_pairs(pixels[None], np.zeros(len(indices), int), np.array(indices))
    found = []
    for row, (name, share) in enumerate(shares.items()):
        value = "" if query.image is None else catalogue.value(query.image, name)
        attention = region = None
        if "attention" in seen:
            attention = seen["attention"][row]
            top, left, bottom, right = (seen["boxes"][row] / model.global_size).tolist()
            region = (left, top, right, bottom)
        found.append(Look(name, share, value, attention, region))
    return tuple(found)
