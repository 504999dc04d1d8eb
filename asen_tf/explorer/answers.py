"""What a search says, as plain values: what the page draws and tests read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asen_tf.explorer.catalogue import Verdict
from asen_tf.overlays import Box


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
