"""What a search says, as plain values: what the page draws and tests read.

Which test images a search compares, and what a reader has to know of that.

Where a model looks in the query, attribute by attribute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from asen_apps.explorer.catalogue import Catalogue, Verdict
from asen_study.figures.overlays import Box
from asen_tf.models import SimilarityModel
from asen_tf.models.base import attribute_index


@dataclass(frozen=True)
class Query:
    """The image that is searched with.

    Attributes:
        title: its name on the page.
        image: its file index in the test split; None for an uploaded one.
        content: the bytes of an uploaded file.
    """

    title: str
    image: int | None = None
    content: bytes = b""


@dataclass(frozen=True)
class Look:
    """The query as one attribute sees it.

    Attributes:
        attribute: the attribute's name.
        weight: its share of the score, in (0, 1].
        value: the names of the query's values; "" where they are not known.
        attention: `(h, w)` float32; None for a method without attention.
        region: the square that the local branch sees or would see; None likewise.
    """

    attribute: str
    weight: float
    value: str
    attention: np.ndarray | None
    region: Box | None


@dataclass(frozen=True)
class Found:
    """One of the nearest images.

    Attributes:
        image: its file index in the test split.
        score: the sum of weight times cosine.
        parts: cosine by attribute, in the order of the looks.
        verdicts: its values by attribute, and whether they are the query's.
    """

    image: int
    score: float
    parts: dict[str, float]
    verdicts: dict[str, Verdict]


@dataclass(frozen=True)
class Answer:
    """The result of a search.

    Attributes:
        method: the method's name on the page.
        query: what was searched with.
        pixels: `(S, S, 3)` uint8, the query's centre square.
        looks: the query as each attribute sees it, in the order of the attributes.
        found: the nearest images, best first.
        searched: the number of images that were compared.
        notes: sentences that a reader has to know.
        seconds: how long the search took.
    """

    method: str
    query: Query
    pixels: np.ndarray
    looks: tuple[Look, ...]
    found: tuple[Found, ...]
    searched: int
    notes: tuple[str, ...]
    seconds: float

    def shared(self, attribute: str) -> tuple[int, int]:
        """Return how many of those found share the query's value, and of how many that is known."""
        known = [one.verdicts[attribute].right for one in self.found]
        return sum(right is True for right in known), sum(right is not None for right in known)


_LISTED = 5  # numbers of lost images in a sentence


@dataclass(frozen=True)
class Pool:
    """The images that are compared with a query.

    Attributes:
        size: how many, the query itself not counted.
        filters: what finds them in an index; None when all of it is compared.
        notes: sentences for the reader.
    """

    size: int
    filters: dict[str, bool] | None
    notes: tuple[str, ...]


def pool_of(
    catalogue: Catalogue,
    indexed: Collection[int],
    query: Query,
    names: Collection[str],
    *,
    labelled_only: bool,
) -> Pool:
    """Choose the images of an index that are compared with a query.

    Args:
        catalogue: knows which labels there are.
        indexed: the images of the index; unreadable ones are not among them.
        query: what is searched with.
        names: the chosen attributes.
        labelled_only: take images with a label for every one of them, if there are any.
    """
    indexed, notes = set(indexed), []
    pool = indexed & set(catalogue.labelled(tuple(names))) if labelled_only else indexed
    if labelled_only and not pool - {query.image}:
        notes.append("No other image has a label for every chosen attribute: all are searched.")
        pool = indexed
    lost = [image for image in catalogue.ids if image not in indexed]
    if lost:
        notes.append(_sentence(lost))
    filters = dict.fromkeys(names, True) if len(pool) < len(indexed) else None
    return Pool(len(pool - {query.image}), filters, tuple(notes))


def _sentence(lost: list[int]) -> str:
    numbers = ", ".join(map(str, lost[:_LISTED])) + (", ..." if len(lost) > _LISTED else "")
    if len(lost) == 1:
        return f"1 test image cannot be read and is left out (number {numbers})."
    return f"{len(lost)} test images cannot be read and are left out (numbers {numbers})."


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
