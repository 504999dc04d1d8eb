"""Comparing a design with a catalogue, and both with what is usual there.

What a person asks for: attributes, the weight of each, how many items, a name for the files.

What similarities are usual in a catalogue: of random pairs, and of nearest neighbours.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from asen_apps.evidence.catalogue import Catalogue, Design, EvidenceError
from asen_apps.evidence.records import (
    TOGETHER,
    Examination,
    Found,
    Similarity,
    View,
    rounded,
    similarities,
    tail,
)
from asen_apps.search import AttributeIndex
from asen_tf.embedder import Embedder


def check(
    known: Sequence[str],
    attributes: Sequence[str] | Mapping[str, float],
    *,
    weights: Sequence[float] | None = None,
    top: int = 1,
    name: str | None = None,
) -> dict[str, float]:
    """Return the weight of each attribute; to be asked before a large catalogue is read.

    Args:
        known: the attributes that the model knows.
        attributes: names, or weights by name.
        weights: one per name, positive; equal ones when None or empty.
        top: items that are shown of each view.
        name: of the files, see `asen_apps.evidence.write`; None is the sheet's own.

    Raises:
        EvidenceError: one of them cannot be used.
    """
    shares = weighted(attributes, known, weights)
    if top < 1:
        raise EvidenceError(f"top, the number of items shown, must be 1 or more; got {top}")
    if name is not None:
        check_name(name)
    return shares


def check_name(name: str) -> None:
    """Raise EvidenceError unless a name is one of a plain file."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        raise EvidenceError(
            "a sheet's name must be made of letters, digits, dots, hyphens and underscores, up to "
            f"100, and begin with no dot or hyphen; got {name!r}"
        )


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


_ROWS = 512  # images, or pairs, whose similarities are computed together


def random_pairs(images: int, number: int, *, seed: int) -> np.ndarray:
    """Draw distinct unordered pairs of distinct images, each pair with the same chance.

    Args:
        images: images of the catalogue, at least 2.
        number: pairs wanted; where the catalogue has no more, all of them are taken, and nothing
            is left to chance.
        seed: the same seed, the same pairs.

    Returns:
        `(n, 2)` int64 rows, the larger one first, in increasing order.

    Raises:
        EvidenceError: fewer than 2 images, or no pair wanted.
    """
    if images < 2 or number < 1:
        raise EvidenceError(
            "random pairs need a catalogue of 2 images or more, and 1 pair or more; got "
            f"{images} images and {number} pairs"
        )
    possible = images * (images - 1) // 2
    if number >= possible:
        codes = np.arange(possible)
    else:
        drawn = np.random.default_rng(seed).choice(possible, number, replace=False, shuffle=False)
        codes = np.sort(drawn)
    # Pair (i, j), i > j, has the code i (i - 1) / 2 + j: undo that, and what rounding did to it.
    larger = ((1.0 + np.sqrt(1.0 + 8.0 * codes)) / 2.0).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > codes
    larger += larger * (larger + 1) // 2 <= codes
    return np.stack([larger, codes - larger * (larger - 1) // 2], axis=1)


def pair_similarities(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the similarity of each pair of rows.

    Args:
        vectors: `(N, D)`, of unit length.
        pairs: `(n, 2)` rows.

    Returns:
        `(n,)` float64.
    """
    parts = [
        similarities(vectors[some[:, 0]], vectors[some[:, 1]])
        for some in np.array_split(pairs, len(pairs) // _ROWS + 1)
    ]
    return np.concatenate(parts)


def nearest_similarities(vectors: np.ndarray, number: int, *, seed: int) -> np.ndarray:
    """Return the similarity of images to their nearest neighbours in the rest of the catalogue.

    Args:
        vectors: `(N, D)`, of unit length, N at least 2.
        number: images that are asked; where the catalogue has no more, all of them are.
        seed: of the choice among more.

    Returns:
        `(min(number, N),)` float64, in the order of the rows.

    Raises:
        EvidenceError: fewer than 2 images, or none to be asked.
    """
    if len(vectors) < 2 or number < 1:
        raise EvidenceError(
            "nearest neighbours need a catalogue of 2 images or more, and 1 image that is asked; "
            f"got {len(vectors)} images, {number} asked"
        )
    asked = np.arange(len(vectors))
    if number < len(vectors):
        asked = np.sort(np.random.default_rng(seed).choice(len(vectors), number, replace=False))
    vectors = np.asarray(vectors, np.float64)
    best = []
    for rows in np.array_split(asked, len(asked) // _ROWS + 1):
        products = vectors[rows] @ vectors.T
        products[np.arange(len(rows)), rows] = -np.inf  # the image itself
        best.append(products.max(axis=1))
    return rounded(np.concatenate(best))


def examine(
    embedder: Embedder,
    catalogue: Catalogue,
    design: Path | str,
    attributes: Sequence[str] | Mapping[str, float],
    *,
    weights: Sequence[float] | None = None,
    top: int = 5,
    leave_out_same: bool = True,
    pairs: int = 10_000,
    neighbours: int = 2_000,
    seed: int = 0,
    embedding: str | None = None,
    index: AttributeIndex | None = None,
    progress: bool = False,
) -> Examination:
    """Find the items of a catalogue that are nearest to a design, and say how unusual that is.

    The ranking is exact, whatever the backend of the index. An item's similarity in one attribute
    is the cosine of the embeddings, and together the weighted mean of the cosines, with
    `DECIMALS` decimals; of equal ones the first in the catalogue is first.

    Args:
        embedder: the model.
        catalogue: what the design is compared with.
        design: an image file.
        attributes: names, or weights by name.
        weights: one per name; equal ones when None or empty.
        top: items that are shown of each view.
        leave_out_same: leave files with the design's own content out of everything but the
            record that they are there. Otherwise they are compared and marked.
        pairs: random pairs of the catalogue; all pairs where there are no more.
        neighbours: items whose nearest neighbours are looked for; all where there are no more.
        seed: of both choices.
        embedding: "global", "local" or "fused"; the best one that the model has by default.
        index: of the catalogue's files in their order, by the same model and embedding; built
            here when None.
        progress: show a progress bar.

    Raises:
        EvidenceError: an attribute or weight that cannot be used, a design that is no readable
            image, fewer than 2 items to compare with, or an index of other files.
    """
    shares = check(embedder.attribute_names, attributes, weights=weights, top=top)
    read = Design.read(design)
    same = np.array([digest == read.sha256 for digest in catalogue.digests], bool)
    rows = np.flatnonzero(~same) if leave_out_same else np.arange(len(catalogue))
    if len(rows) < 2:
        without = " besides the design's own file" if leave_out_same and same.any() else ""
        raise EvidenceError(
            f"a catalogue must hold 2 images or more{without}, or nothing can be said of what is "
            f"usual in it; got {len(rows)} in {catalogue.root}"
        )
    if index is None:
        index = AttributeIndex.build(
            embedder, catalogue.paths, embedding=embedding, backend="exact"
        )
    if _absolute(index.images) != _absolute(catalogue.paths):  # a saved index names no others
        raise EvidenceError("the index must hold the catalogue's files, in their order")
    index.prepare(list(shares), progress=progress)
    first = embedder.embed(catalogue.paths[0], next(iter(shares)), embedding=embedding)
    if similarities(first, index.vectors(next(iter(shares)))[:1])[0] < 0.999:
        raise EvidenceError("the index must hold this model's vectors of this embedding")
    items = {name: index.vectors(name)[rows] for name in shares}
    asked = {name: embedder.embed(read.path, name, embedding=embedding) for name in shares}
    apart = len(shares) == 1 or not _all_equal(list(items.values()))
    if len(shares) > 1:
        items[TOGETHER], asked[TOGETHER] = _joined(items, shares), _joined(asked, shares)
    chosen = random_pairs(len(rows), pairs, seed=seed)
    random = {name: pair_similarities(vectors, chosen) for name, vectors in items.items()}
    near = {
        name: nearest_similarities(vectors, neighbours, seed=seed)
        for name, vectors in items.items()
    }
    observed = {name: similarities(asked[name], vectors) for name, vectors in items.items()}

    def found(view: str, rank: int, place: int) -> Found:
        row = int(rows[place])
        values = {name: float(observed[name][place]) for name in (view, *items)}
        return Found(
            rank,
            catalogue.names[row],
            catalogue.paths[row],
            catalogue.digests[row],
            bool(same[row]),
            {
                name: Similarity(value, tail(value, random[name]), tail(value, near[name]))
                for name, value in values.items()
            },
        )

    views = []
    for name in items:
        best = np.argsort(-observed[name], kind="stable")[:top]
        nearest = tuple(found(name, rank, place) for rank, place in enumerate(best, start=1))
        seen = tuple(shares) if name == TOGETHER else (name,)
        views.append(View(name, seen, random[name], near[name], nearest))
    names = embedder.model.embedding_names
    return Examination(
        design=read,
        catalogue=catalogue,
        compared=len(rows),
        same_files=tuple(np.array(catalogue.names, object)[same]),
        weights=shares,
        views=tuple(views),
        tells_attributes_apart=apart,
        settings={
            "embedding": names[-1] if embedding is None else embedding,
            "top": top,
            "leave_out_same": leave_out_same,
            "pairs": len(chosen),
            "pairs_possible": len(rows) * (len(rows) - 1) // 2,
            "neighbours": len(near[next(iter(near))]),
            "seed": seed,
        },
    )


def _absolute(paths: Iterable[Path | str]) -> list[str]:
    return [os.path.abspath(path) for path in paths]


def _joined(vectors: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Return vectors whose dot products are the weighted means of the attributes' cosines."""
    parts = [np.sqrt(weight) * vectors[name] for name, weight in weights.items()]
    return np.concatenate(parts, axis=-1)


def _all_equal(arrays: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(arrays[0], other) for other in arrays[1:])
