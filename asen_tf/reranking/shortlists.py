"""The initial list: what a general similarity ranks first, before anything is re-sorted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK = 64  # queries ranked together


@dataclass(frozen=True)
class Items:
    """Images labelled for one attribute, as queries or as candidates.

    Attributes:
        images: `(n,)` int, image indices, distinct.
        holds: `(n, V)` bool, which of the attribute's values an image holds.
        general: `(n, D)` float, embeddings that know no attribute, of unit length.
        specific: `(n, E)` float, embeddings for the attribute, of unit length.
    """

    images: np.ndarray
    holds: np.ndarray
    general: np.ndarray
    specific: np.ndarray

    def __post_init__(self) -> None:
        """Check the shapes once, so that everybody may rely on them."""
        shapes = {name: np.shape(getattr(self, name)) for name in self.__dataclass_fields__}
        count = len(self.images)
        fits = shapes.pop("images") == (count,)
        if not fits or any(len(shape) != 2 or shape[0] != count for shape in shapes.values()):
            raise ValueError(
                "items need images of shape (n,), and holds, general and specific of shape "
                f"(n, width); got {np.shape(self.images)} and {shapes}"
            )
        if len(np.unique(self.images)) < count:
            raise ValueError("the images of items must be distinct; got one of them twice")


@dataclass(frozen=True)
class Shortlists:
    """The first M of each query's list by general similarity, best first.

    Attributes:
        places: `(Q, M)` int64, rows of the candidates.
        listed: `(Q, M)` bool; False behind the end of a list that is shorter than M, because the
            query's own image is no candidate of it. What the others say there means nothing.
        relevant: `(Q, M)` bool, whether a candidate shares a value with the query.
        general: `(Q, M)` float, cosine by the general embedding, falling.
        specific: `(Q, M)` float, cosine by the attribute's embedding.
        anywhere: `(Q,)` float64, mean general cosine over all candidates of the query.
        candidates: how many candidates there are.
    """

    places: np.ndarray
    listed: np.ndarray
    relevant: np.ndarray
    general: np.ndarray
    specific: np.ndarray
    anywhere: np.ndarray
    candidates: int

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.places)

    @property
    def lengths(self) -> np.ndarray:
        """`(Q,)`, how many candidates each list holds."""
        return self.listed.sum(axis=1)


def shortlist(queries: Items, candidates: Items, *, depth: int, block: int = _BLOCK) -> Shortlists:
    """Rank all candidates of one attribute by the general embedding and keep the first ones.

    A candidate is relevant when it shares any of the query's values; the query's own image is no
    candidate of it. Candidates with equal cosines keep their order.

    Args:
        queries: Q images.
        candidates: N images.
        depth: how many of each list to keep, 1 or more; M is this, or N if that is less.
        block: queries ranked together; memory beside the arguments is about
            `block * (12 N + 4 M E)` bytes.

    Raises:
        ValueError: widths that differ between queries and candidates, `depth` or `block` below 1,
            or cosines that are not finite.
    """
    for name in ("holds", "general", "specific"):
        widths = [getattr(items, name).shape[1] for items in (queries, candidates)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"{name} of queries and candidates must have one width; got {widths[0]} and "
                f"{widths[1]}"
            )
    if depth < 1 or block < 1:
        raise ValueError(f"depth and block must be 1 or more; got {depth} and {block}")

    def first(start: int) -> tuple[np.ndarray, ...]:
        part = slice(start, start + block)
        scores = queries.general[part] @ candidates.general.T
        if not np.isfinite(scores).all():
            raise ValueError("embeddings must give finite cosines; got NaN or infinity")
        others = queries.images[part, None] != candidates.images
        total = scores.sum(axis=1, where=others, dtype=np.float64)
        anywhere = total / np.maximum(others.sum(axis=1), 1)
        ranked = np.where(others, -scores, np.inf)
        places = np.argsort(ranked, axis=1, kind="stable")[:, :depth]
        listed = np.take_along_axis(others, places, axis=1)
        general = np.take_along_axis(scores, places, axis=1)
        specific = np.einsum("qe,qme->qm", queries.specific[part], candidates.specific[places])
        if not np.isfinite(specific).all():
            raise ValueError("embeddings must give finite cosines; got NaN or infinity")
        shared = (queries.holds[part, None] & candidates.holds[places]).any(axis=2)
        return places, listed, shared & listed, general, specific, anywhere

    blocks = [first(start) for start in range(0, max(len(queries.images), 1), block)]
    arrays = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    return Shortlists(*arrays, candidates=len(candidates.images))
