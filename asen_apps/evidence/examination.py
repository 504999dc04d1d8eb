"""A design compared with a catalogue, and each similarity with what is usual there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asen_apps.evidence.catalogue import CatalogueFiles, Design, EvidenceError
from asen_apps.evidence.statistics import (
    EmpiricalP,
    empirical_p,
    nearest_similarities,
    pair_similarities,
    random_pairs,
    similarities,
)
from asen_apps.search import AttributeIndex, SearchIndexError, check_attributes, check_weights
from asen_apps.search.backend import Backend
from asen_tf.data import label
from asen_tf.embedder import Embedder
from asen_tf.evaluation import ranked

TOGETHER = "together"  # the view of all named attributes, beside their own
# What is usual is counted on so many random pairs and nearest neighbours, or on all of fewer.
_PAIRS, _NEIGHBOURS, _SEED = 10_000, 2_000, 0


# === What is asked for ===


def check(
    known: Sequence[str],
    attributes: Sequence[str] | Mapping[str, float],
    *,
    weights: Sequence[float] | None = None,
    top: int = 1,
    name: str | None = None,
) -> dict[str, float]:
    """Return the weight of each attribute, their sum 1; call it before reading a large catalogue.

    Args:
        known: the attributes that the model knows.
        attributes: names, or weights by name.
        weights: one per name, positive; equal ones when None or empty.
        top: items that are shown of each view.
        name: of the files, see `asen_apps.evidence.write`; None takes the sheet's own.

    Raises:
        EvidenceError: no attribute, an unknown or repeated one, or another invalid argument.
    """
    names = [attributes] if isinstance(attributes, str) else list(attributes)
    if not names:
        raise EvidenceError(f"name at least one attribute, of {', '.join(known)}")
    try:
        check_attributes(names, known)
    except SearchIndexError as error:
        raise EvidenceError(str(error)) from None
    for place, attribute in enumerate(names):
        if attribute in names[:place]:
            raise EvidenceError(f"name each attribute once; got {attribute!r} twice")
    if TOGETHER in names and len(names) > 1:
        raise EvidenceError(f"{TOGETHER!r} is the name of all attributes' view; name it alone")
    if isinstance(attributes, Mapping):
        weights = list(attributes.values())
    weights = list(weights) if weights else [1.0] * len(names)
    try:
        checked = check_weights(dict(zip(names, weights, strict=True)), names, positive=True)
    except ValueError as error:
        raise EvidenceError(
            f"there must be one weight above 0 for each of {', '.join(names)}; got {weights}"
        ) from error
    if top < 1:
        raise EvidenceError(f"top, the number of items shown, must be 1 or more; got {top}")
    if name is not None:
        check_name(name)
    total = math.fsum(checked.values())
    return {name: weight / total for name, weight in checked.items()}


def check_name(name: str) -> None:
    """Raise EvidenceError unless a name is that of a plain file."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        raise EvidenceError(
            "a sheet's name must be made of letters, digits, dots, hyphens and underscores, up to "
            f"100, and must not begin with a dot or hyphen; got {name!r}"
        )


# === The comparison ===


@dataclass(frozen=True)
class Similarity:
    """A similarity of the design and an item, and how unusual it is.

    Attributes:
        value: in [-1, 1]: a cosine, or the weighted mean of several.
        random: how many random pairs of the catalogue are at least as similar.
        nearest: how many items of the catalogue have a nearest neighbour at least as similar.
    """

    value: float
    random: EmpiricalP
    nearest: EmpiricalP


@dataclass(frozen=True)
class NearItem:
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
    found: tuple[NearItem, ...]


@dataclass(frozen=True)
class Examination:
    """A design compared with a catalogue.

    Attributes:
        design: the design image.
        catalogue: all of its usable files.
        compared: items of the catalogue that were compared.
        same_files: names of the items with the design's own content.
        weights: of each attribute in the view of all together; their sum is 1.
        views: of each attribute, then of all together if there are several.
        tells_attributes_apart: False if the model embeds an image alike for all of them.
        settings: what else decided the numbers.
    """

    design: Design
    catalogue: CatalogueFiles
    compared: int
    same_files: tuple[str, ...]
    weights: Mapping[str, float]
    views: tuple[View, ...]
    tells_attributes_apart: bool
    settings: Mapping[str, Any]


def examine(
    embedder: Embedder,
    catalogue: CatalogueFiles,
    design: Path | str,
    attributes: Sequence[str] | Mapping[str, float],
    *,
    weights: Sequence[float] | None = None,
    top: int = 5,
    leave_out_same: bool = True,
    progress: bool = False,
) -> Examination:
    """Find the items of a catalogue that are nearest to a design, and say how unusual that is.

    The ranking is exact. An item's similarity in one attribute is the cosine of the model's best
    embedding, and together the weighted mean of the cosines, with `statistics.DECIMALS` decimals;
    ties keep the catalogue's order. It is compared with 10,000 random pairs of the catalogue, and
    with the nearest neighbours of 2,000 random items, or with all if there are no more.

    Args:
        embedder: the model.
        catalogue: what the design is compared with.
        design: an image file.
        attributes: names, or weights by name.
        weights: one per name; equal ones when None or empty.
        top: items that are shown of each view.
        leave_out_same: leave files with the design's own content out of everything but the
            record that they are there. Otherwise they are compared and marked.
        progress: show a progress bar.

    Raises:
        EvidenceError: an invalid attribute or weight, an unreadable design image, or fewer than 2
            items to compare with.
    """
    shares = check(embedder.attribute_names, attributes, weights=weights, top=top)
    read = Design.read(design)
    same = np.array([digest == read.sha256 for digest in catalogue.digests], bool)
    rows = np.flatnonzero(~same) if leave_out_same else np.arange(len(catalogue))
    if len(rows) < 2:
        without = " besides the design's own file" if leave_out_same and same.any() else ""
        raise EvidenceError(
            f"a catalogue must hold 2 images or more{without}, or nothing can be said about what "
            f"is usual in it; got {len(rows)} in {catalogue.root}"
        )
    paths, first = catalogue.paths, next(iter(shares))
    index = AttributeIndex.build(embedder, paths, backend="exact")
    index.prepare(list(shares), progress=progress)
    items = {
        name: _Vectors([(1.0, index.store.backends[name])], index.ids[rows]) for name in shares
    }
    query = {name: embedder.embed(read.path, name) for name in shares}
    alike = all(items[first].equals(vectors) for vectors in items.values())
    if len(shares) > 1:
        items[TOGETHER] = _Vectors(
            [(weight, index.store.backends[name]) for name, weight in shares.items()],
            index.ids[rows],
        )
        parts = [np.sqrt(weight) * query[name] for name, weight in shares.items()]
        query[TOGETHER] = np.concatenate(parts, axis=-1)
    drawn = random_pairs(len(rows), _PAIRS, seed=_SEED)
    random, near, observed = {}, {}, {}
    for name, vectors in items.items():
        random[name] = pair_similarities(vectors, drawn)
        near[name] = nearest_similarities(vectors, _NEIGHBOURS, seed=_SEED)
        observed[name] = similarities(query[name], vectors)

    def similarity(name: str, place: int) -> Similarity:
        value = float(observed[name][place])
        return Similarity(value, empirical_p(value, random[name]), empirical_p(value, near[name]))

    views = []
    for name in items:
        found = []
        for place in ranked(observed[name], top=top):
            row = rows[place]
            file = catalogue.names[row], paths[row], catalogue.digests[row], bool(same[row])
            measured = {each: similarity(each, place) for each in (name, *items)}
            found.append(NearItem(len(found) + 1, *file, measured))
        considered = tuple(shares) if name == TOGETHER else (name,)
        views.append(View(name, considered, random[name], near[name], tuple(found)))
    return Examination(
        design=read,
        catalogue=catalogue,
        compared=len(rows),
        same_files=tuple(np.array(catalogue.names, object)[same]),
        weights=shares,
        views=tuple(views),
        tells_attributes_apart=len(shares) == 1 or not alike,
        settings={
            "embedding": index.store.embedding,
            "top": top,
            "leave_out_same": leave_out_same,
            "pairs": len(drawn),
            "pairs_possible": len(rows) * (len(rows) - 1) // 2,
            "neighbours": len(near[first]),
            "seed": _SEED,
        },
    )


class _Vectors:
    """Vectors of items, fetched from the index as they are needed: see `statistics.Rows`.

    Their dot products are the weighted means of the attributes' cosines.

    Args:
        parts: weight and backend of each attribute.
        ids: of the items.
    """

    def __init__(self, parts: Sequence[tuple[float, Backend]], ids: np.ndarray) -> None:
        self.parts, self.ids = parts, ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        ids, places = np.unique(self.ids[rows], return_inverse=True)  # rows may repeat
        parts = [np.sqrt(weight) * backend.vectors(ids) for weight, backend in self.parts]
        return np.concatenate(parts, axis=-1)[places]

    def equals(self, other: _Vectors) -> bool:
        """Return whether all vectors are those of another attribute."""
        blocks = (slice(start, start + 1024) for start in range(0, len(self), 1024))
        return all(np.array_equal(self[block], other[block]) for block in blocks)


def in_words(examination: Examination) -> list[str]:
    """Say for each view which item is nearest to the design, and how unusual that is there.

    Args:
        examination: of `examine`.
    """
    said = []
    for view in examination.views:
        item = next((one for one in view.found if not one.same_file), None)
        if item is None:
            said.append(f"{label(view.name)}: no other item was found.")
            continue
        near = item.similarities[view.name]
        said.append(
            f"{label(view.name)}: {item.name} is nearest, with a similarity of {near.value:.3f}; "
            f"{near.nearest.at_least} of {near.nearest.of} items have a neighbour as near."
        )
    return said
