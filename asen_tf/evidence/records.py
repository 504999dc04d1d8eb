"""What an examination finds: similarities, each beside what is usual in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asen_tf.evidence.catalogue import Catalogue
from asen_tf.evidence.designs import Design
from asen_tf.evidence.tails import Tail

TOGETHER = "together"  # the view of all named attributes, beside their own


@dataclass(frozen=True)
class Similarity:
    """A similarity of the design and an item, and how unusual it is.

    Attributes:
        value: in [-1, 1]: a cosine, or the weighted mean of several.
        random: how many random pairs of the catalogue are at least as similar.
        nearest: how many items of the catalogue have a nearest neighbour at least as similar.
    """

    value: float
    random: Tail
    nearest: Tail


@dataclass(frozen=True)
class Found:
    """An item of the catalogue that is near to the design.

    Attributes:
        rank: 1 for the nearest.
        name: of its file, relative to the catalogue's folder.
        path: of its file.
        sha256: of its file's content.
        same_file: whether that is the design's own content.
        similarities: by the name of the view, the view in which it was found first.
    """

    rank: int
    name: str
    path: Path
    sha256: str
    same_file: bool
    similarities: Mapping[str, Similarity]


@dataclass(frozen=True)
class View:
    """The catalogue as one attribute sees it, or all named ones together.

    Attributes:
        name: the attribute's, or `TOGETHER`.
        attributes: those that it takes into account.
        random: similarities of random pairs of the catalogue.
        nearest: similarities of items of the catalogue to their nearest neighbours.
        found: the items nearest to the design, by rank.
    """

    name: str
    attributes: tuple[str, ...]
    random: np.ndarray
    nearest: np.ndarray
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Examination:
    """A design compared with a catalogue.

    Attributes:
        design: the design image.
        catalogue: all of it.
        compared: items of the catalogue that were compared.
        same_files: names of the items with the design's own content.
        weights: of each attribute in the view of all together; their sum is 1.
        views: of each attribute, then of all together where there are several.
        tells_attributes_apart: False if the model embeds an image alike for all of them.
        settings: what else decided the numbers.
    """

    design: Design
    catalogue: Catalogue
    compared: int
    same_files: tuple[str, ...]
    weights: Mapping[str, float]
    views: tuple[View, ...]
    tells_attributes_apart: bool
    settings: Mapping[str, Any]
