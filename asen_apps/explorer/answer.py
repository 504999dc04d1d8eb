"""What a search of the explorer returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asen_apps.explorer.gallery import Query, Verdict
from asen_tf.data.fitting import Box


@dataclass(frozen=True)
class QueryAttention:
    """What the model attends to in the query for one attribute.

    Attributes:
        attribute: the attribute's name.
        weight: its share of the score, in (0, 1].
        value: the names of the query's values; "" where they are not known.
        map: `(h, w)` float32; None for a method without attention.
        region: the square that the local branch sees or would see; None likewise.
        extent: where the map starts and ends on the query; see `asen_tf.backbones.map_extent`.
    """

    attribute: str
    weight: float
    value: str
    map: np.ndarray | None
    region: Box | None
    extent: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Neighbour:
    """One of the most similar images.

    Attributes:
        image: its file index in the test split.
        score: the sum of weight times cosine.
        parts: cosine by attribute, in the order of the answer's attention.
        verdicts: its values by attribute, and whether they are the query's.
        reached_by: the share of random pairs of the images that reach the score.
        title: what the image is called.
        details: what else is known of it.
    """

    image: int
    score: float
    parts: dict[str, float]
    verdicts: dict[str, Verdict]
    reached_by: float
    title: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The result of a search.

    Attributes:
        method: the method's name on the page.
        query: what was searched with.
        pixels: `(S, S, 3)` uint8, the query as the model sees it.
        fit: how the method's images become squares.
        attention: what the model attends to for each attribute, in the order of the attributes.
        neighbours: the most similar images, best first.
        searched: the number of images that were compared.
        notes: sentences that the reader should see.
        noun: what an image is called.
    """

    method: str
    query: Query
    pixels: np.ndarray
    fit: str
    attention: tuple[QueryAttention, ...]
    neighbours: tuple[Neighbour, ...]
    searched: int
    notes: tuple[str, ...]
    noun: str

    def shared(self, attribute: str) -> tuple[int, int]:
        """Return how many neighbours share the query's value, and for how many that is known."""
        known = [one.verdicts[attribute].right for one in self.neighbours]
        return sum(right is True for right in known), sum(right is not None for right in known)
