"""A catalogue of images that can be searched by attribute."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from asen_apps.search.backend import Backend, SearchIndexError, best_first, check_k, exact_scores
from asen_apps.search.items import Items, matching
from asen_apps.search.storage import PAIRS, load_index, save_index
from asen_apps.search.vectors import LazyVectors, Skip, check_weights

if TYPE_CHECKING:
    from asen_tf.embedder import Embedder, ImageFile

# Proposals that an inexact backend is asked for: this many times k, and at least this many.
PROPOSALS_PER_HIT, FEWEST_PROPOSALS = 4, 64

# Random pairs, by which a score is judged: drawn among so many items, and kept to a step of cosine.
_SAMPLED, _PAIRS, _STEP = 500, 10_000, 1e-6


@dataclass(frozen=True)
class Hit:
    """One image that a search found.

    Attributes:
        id: of the item in the index.
        image: path of the file.
        score: the sum over attributes of weight times cosine; the cosine for a single attribute.
        parts: attribute name -> cosine, in [-1, 1], for every attribute that was asked for.
        metadata: of the item, a copy.
        reached_by: the share of random pairs of this catalogue that reach the score, in [0, 1]:
            how usual it is; NaN with fewer than two items.
    """

    id: int
    image: Path
    score: float
    parts: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    reached_by: float = math.nan


class AttributeIndex:
    """Finds the images of a catalogue that are most like a given one in chosen attributes.

    Nothing is embedded before an attribute is asked for: by `search`, `vectors` or `prepare`.

    Attributes:
        items: ids, images and metadata, row by row.
        store: the vectors, one backend per attribute that was asked for.
        embedder: of images and queries.
        notes: JSON values under text names, saved with the index: where its model and images are.

    Example:
        >>> index = AttributeIndex.build(Embedder.load("model.keras"), paths)
        >>> hits = index.search("photo.jpg", {"neckline_design": 0.7, "sleeve_length": 0.3}, k=5)
    """

    def __init__(self, items: Items, store: LazyVectors) -> None:
        self.items, self.store, self.embedder = items, store, store.embedder
        self.notes: dict[str, Any] = {}
        self._pairs: dict[str, list[int]] = {}

    @classmethod
    def build(
        cls,
        embedder: Embedder,
        images: Iterable[Path | str],
        metadata: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[int] | None = None,
        embedding: str | None = None,
        backend: str = "auto",
        dtype: str = "float32",
        skip: Skip | None = None,
    ) -> Self:
        """Make an index of image files; they are opened when an attribute is first asked for.

        Args:
            embedder: of the images, and of queries.
            images: N paths.
            metadata: one dict of JSON values per image, to filter by and to get back with hits.
            ids: N distinct integers from 0 up; 0 to N-1 when None.
            embedding: "global", "local" or "fused"; the best one that the model has when None.
            backend: "exact"; "hnsw": approximate and fast; "auto": exact below `HNSW_FROM` items;
                the address of a Milvus server, or a Milvus Lite file (`.db`): these change at
                once, so `save` after a change, or the saved index is refused from then on.
            dtype: of the stored vectors, "float32" or "float16": half the size, and scores off by
                up to 0.0005. A Milvus backend decides by itself.
            skip: called with the error of each image that cannot be read, which then leaves the
                index; when None, the first such image raises.

        Raises:
            SearchIndexError: an argument is invalid.
        """
        store = LazyVectors(embedder, embedding, backend, dtype)
        store.skip = skip
        return cls(Items().plan(images, metadata, ids), store)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    @property
    def ids(self) -> np.ndarray:
        """`(N,)` int64, in the order in which items were added."""
        return self.items.ids.copy()

    @property
    def images(self) -> list[Path]:
        """N paths, in the order of `ids`."""
        return list(self.items.images)

    @property
    def metadata(self) -> list[dict[str, Any]]:
        """N dicts, in the order of `ids`."""
        return [dict(fields) for fields in self.items.metadata]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes that can be searched by: all that the model knows."""
        return self.embedder.attribute_names

    def prepare(self, attributes: Iterable[str] | None = None, *, progress: bool = True) -> None:
        """Embed all images for attributes in one pass: the backbone sees each image once.

        Args:
            attributes: names; all that the model knows when None. Those that are there already
                cost nothing.
            progress: show a progress bar.

        Raises:
            asen_tf.data.ImageError: an image cannot be read, and `skip` is None; nothing changes.
            SearchIndexError: the model does not know an attribute.
        """
        if isinstance(attributes, str):
            raise SearchIndexError(f"attributes must be a sequence; write [{attributes!r}]")
        names = self.attribute_names if attributes is None else tuple(attributes)
        before = len(self)
        self.store.prepare(self.items, names, progress=progress)
        if len(self) < before:
            self._pairs = {}

    def vectors(self, attribute: str) -> np.ndarray:
        """Return `(N, D)` float32 of length 1, rows in the order of `ids`; embeds if need be."""
        self.prepare([attribute])
        if attribute not in self.store.backends:
            return np.zeros((0, 0), np.float32)  # no item, no dimension
        return self.store.backends[attribute].vectors(self.items.ids)

    def search(
        self,
        image: ImageFile,
        attribute: str | Mapping[str, float],
        k: int = 10,
        filters: Mapping[str, Any] | None = None,
        *,
        without: Iterable[int] = (),
    ) -> list[Hit]:
        """Find the items most like an image in one attribute, or in several with weights.

        Args:
            image: a path, a binary file opened for reading, a Pillow image, or pixels, `(H, W, 3)`
                or grey `(H, W)`, uint8.
            attribute: a name, or name -> weight. A negative weight asks for dissimilar items.
            k: how many.
            filters: metadata field -> a value that it must equal, a collection of values of which
                it must be one, or `Conditions`. An item must pass all of them.
            without: ids of items that are left out.

        Returns:
            At most k hits, best first, the lower id first among equals; fewer if fewer items pass
            the filters. With exact backends they are truly the best; with HNSW, some may be
            missed, but scores and order are exact.

        Raises:
            asen_tf.data.ImageError: the image cannot be read.
            SearchIndexError: an attribute, weight, k or field is invalid.
        """
        check_k(k)
        weights = check_weights(attribute, self.attribute_names)
        # The query first: if it cannot be read, do not embed the catalogue in vain.
        queries = self.store.query(image, list(weights))
        self.prepare(weights)
        passed = matching(self.items.metadata, filters or {}) & ~np.isin(self.ids, list(without))
        if not passed.any():
            return []
        allowed = None if passed.all() else self.items.ids[passed]
        scores, ids, parts = nearest_items(self.store.backends, queries, weights, k, allowed)
        usual = self.reached_by(weights, scores)
        return [
            Hit(
                id=int(ids[place]),
                image=self.items.images[row],
                score=float(scores[place]),
                parts={name: float(part[place]) for name, part in parts.items()},
                metadata=copy.deepcopy(self.items.metadata[row]),
                reached_by=float(usual[place]),
            )
            for place, row in enumerate(self.items.rows(ids))
        ]

    def reached_by(self, weights: Mapping[str, float], scores: np.ndarray) -> np.ndarray:
        """Return the share of random pairs of this catalogue that reach each score.

        The pairs are drawn among 500 random items, the same ones for every attribute, at most
        10,000 of them. They are saved with the index.

        Args:
            weights: attribute -> weight; all of them embedded.
            scores: `(n,)` sums of weight times cosine.

        Returns:
            `(n,)` float64 in [0, 1]; NaN with fewer than two items.
        """
        drawn = [name for name in weights if name not in self._pairs and len(self) > 1]
        if drawn:
            rng = np.random.default_rng(0)
            count = min(len(self), _SAMPLED)
            ids = rng.choice(np.sort(self.ids), count, replace=False)
            pairs = np.argwhere(np.triu(np.ones((count, count), bool), k=1))
            pairs = pairs[rng.permutation(len(pairs))[:_PAIRS]]
            for name in drawn:
                vectors = self.store.backends[name].vectors(ids)
                cosines = (vectors @ vectors.T)[pairs[:, 0], pairs[:, 1]]
                self._pairs[name] = np.round(cosines / _STEP).astype(int).tolist()
        if len(self) < 2:
            return np.full(len(scores), math.nan)
        totals = sum(weight * _STEP * np.array(self._pairs[n]) for n, weight in weights.items())
        slack = _STEP / 2 * sum(map(abs, weights.values()))  # of rounded cosines
        below = np.searchsorted(np.sort(totals), np.asarray(scores) - slack)
        return 1 - below / len(totals)

    def add(
        self,
        images: Iterable[Path | str],
        metadata: Iterable[Mapping[str, Any]] | None = None,
        ids: Iterable[int] | None = None,
    ) -> np.ndarray:
        """Add images, and embed them for the attributes that are there; arguments as for `build`.

        Returns:
            `(n,)` int64 ids of the new items; without `ids`, numbers that were never given before.

        Raises:
            asen_tf.data.ImageError: as for `prepare`; nothing is added.
            SearchIndexError: as for `build`; nothing is added.
        """
        new = self.items.plan(images, metadata, ids)
        self.store.add(new, progress=len(new) > 1)
        self.items.extend(new)
        self._pairs = {}
        return new.ids.copy()

    def remove(self, ids: Iterable[int]) -> None:
        """Remove items; SearchIndexError, and nothing is removed, if an id is not there."""
        rows = np.ones(len(self), bool)
        rows[self.items.rows(ids)] = False
        self.store.remove(self.items.ids[~rows])
        self.items.keep(rows)
        self._pairs = {}

    def save(self, folder: Path | str) -> None:
        """Write the index to a folder: if killed at any point, the old or the new one is there.

        The folder holds JSON, FAISS' files and `.npy` arrays, with checksums, and the fingerprint
        of the model. Attributes that were never asked for stay lazy.

        Vectors in Milvus that only the replaced index used are removed from there: anyone who has
        it open can no longer search it. They stay, with a warning, if their address is no longer
        trusted or Milvus refuses, and without one after a kill in between.

        Args:
            folder: created if need be; an index that is there is replaced.

        Raises:
            SearchIndexError: the folder holds something other than an index.
        """
        if len(self) > 1 and self.store.backends:
            self.reached_by(dict.fromkeys(self.store.backends, 1.0), np.zeros(1))
        save_index(Path(folder), self.items, self.store, {**self.notes, PAIRS: self._pairs})

    @classmethod
    def load(
        cls,
        folder: Path | str,
        embedder: Embedder,
        *,
        root: Path | str | None = None,
        mapped: bool = True,
        verify: bool = True,
        skip: Skip | None = None,
    ) -> Self:
        """Open an index that `save` wrote; no code from the folder is run.

        Args:
            folder: of the index.
            embedder: with the model that made the index.
            root: the folder of the images, if it has moved since the index was saved.
            mapped: leave vectors on disk and read them as they are needed; the operating system
                keeps in memory what is used. False reads them all at once.
            verify: compare checksums of all files, which reads them once. Without it only sizes
                are compared: for indexes that no one else can write to, as FAISS trusts what it
                reads.
            skip: as for `build`.

        Raises:
            SearchIndexError: there is no index, it is truncated, changed or foreign, a path leads
                out of its folder, an address is not trusted, or another model made it.
        """
        items, store, notes = load_index(
            Path(folder), embedder, root=root, mapped=mapped, verify=verify
        )
        store.skip = skip
        index = cls(items, store)
        index._pairs, index.notes = notes.pop(PAIRS, {}), notes
        return index

    def drop_unsaved(self) -> None:
        """Remove from Milvus what no saved index has; those attributes are lazy again."""
        self.store.drop_unsaved()


def nearest_items(
    backends: Mapping[str, Backend],
    queries: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    k: int,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the k items with the highest sum of weight times cosine over attributes.

    With exact backends the result is the true one, ties by lower id, by the threshold algorithm
    (Fagin, Lotem, Naor, PODS 2001): Each attribute proposes its best; an item that none proposed
    scores at most the weighted sum of the last proposals' cosines. As long as that could reach
    the k-th score found, four times as many are asked for. For a negative weight the proposals
    are the least similar items: those nearest to the opposite of the query.

    Inexact backends propose once, generously; what they propose is scored exactly.

    Args:
        backends: attribute -> its backend; all hold the same ids.
        queries: attribute -> `(D,)` float32, of length 1.
        weights: attribute -> finite weight, not all 0.
        k: how many, at least 1.
        allowed: `(n,)` int64 ids to choose among; all when None.

    Returns:
        `(m,)` float64 scores, best first, `(m,)` int64 ids, and attribute -> `(m,)` float64
        cosines, for every attribute of the weights; m is k, or fewer where fewer are allowed.
    """
    used = {name: weight for name, weight in weights.items() if weight}
    exact = all(backends[name].exact for name in used)
    signed = {name: np.sign(used[name]).astype(np.float32) * queries[name] for name in used}
    total = len(backends[next(iter(used))])
    fetch = k if exact else max(PROPOSALS_PER_HIT * k, FEWEST_PROPOSALS)
    while True:
        proposals, bound, complete = [], 0.0, False
        for name, weight in used.items():
            scores, ids = backends[name].search(signed[name][None], min(fetch, total), allowed)
            proposals.append(ids[0][ids[0] >= 0])
            bound += abs(weight) * scores[0, -1]
            complete |= len(proposals[-1]) < fetch  # then these are all that are allowed
        ids = np.unique(np.concatenate(proposals))
        parts = {name: exact_scores(backends[name].vectors(ids), queries[name]) for name in weights}
        totals = np.zeros(len(ids))
        for name, weight in used.items():
            totals += weight * parts[name]
        best = best_first(totals, ids, k)
        certain = len(best) == k and (len(used) == 1 or totals[best[-1]] > bound)
        if complete or certain or not exact:
            return totals[best], ids[best], {name: part[best] for name, part in parts.items()}
        fetch *= 4
