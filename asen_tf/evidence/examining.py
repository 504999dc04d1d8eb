"""Comparing a design with a catalogue, and both with what is usual there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from asen_tf.embedder import Embedder
from asen_tf.evidence.background import nearest_similarities, pair_similarities, random_pairs
from asen_tf.evidence.catalogue import Catalogue
from asen_tf.evidence.designs import Design
from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.records import TOGETHER, Examination, Found, Similarity, View
from asen_tf.evidence.tails import similarities, tail
from asen_tf.evidence.wishes import check
from asen_tf.retrieval import AttributeIndex


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
    `asen_tf.evidence.tails.DECIMALS` decimals; of equal ones the first in the catalogue is first.

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
