"""Labelled images that vote on a value, and images that show how often such votes are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search.catalogue_table import value
from asen_apps.search.storage import FILES
from asen_study.voting import Calibration, calibrate, vote
from asen_tf.data import AnnotationError, read_meta, read_split, read_value_names
from asen_tf.files import file_digest

if TYPE_CHECKING:
    from asen_tf.data.images import ImageError

Skip = Callable[["ImageError | AnnotationError"], None]

_MOST_KNOWN = 2000  # labelled images that a calibration without validation uses


@dataclass(frozen=True)
class Filling:
    """The outcome for one attribute's cells.

    Attributes:
        attribute: its name.
        labelled: images whose value is known; they vote.
        filled: cells that the votes filled.
        left_empty: cells for which no vote was sure enough.
        expected_accuracy: the mean confidence of the filled cells, NaN if none was filled.
        majority: the most frequent value of the labelled images.
        majority_share: how many of them have it, in (0, 1]: the accuracy of always saying it.
        calibration: what a share of the votes is worth, and from how many images that is known.
    """

    attribute: str
    labelled: int
    filled: int
    left_empty: int
    expected_accuracy: float
    majority: str
    majority_share: float
    calibration: Calibration


class Voters:
    """The labelled images of one attribute.

    Attributes:
        attribute: its name.
        rows: `(n,)` int, theirs in the index.
        texts: n values.
        values: the different ones, sorted.
        codes: `(n,)` int, the place of each among `values`.
    """

    def __init__(self, attribute: str, vectors: np.ndarray, labels: Sequence[str]) -> None:
        self.attribute, self.vectors = attribute, vectors
        self.rows = np.array([row for row, text in enumerate(labels) if text], int)
        self.texts = [labels[row] for row in self.rows]
        self.values = np.array(sorted(set(self.texts)), object)
        if len(self.values) < 2:
            got = f"{self.values[0]!r} alone" if len(self.values) else "no labelled image"
            raise SearchIndexError(
                f"labelled images must have two different values of {attribute!r} for a vote; got "
                f"{got}; label some in the table or in the index's metadata, or choose other "
                "attributes"
            )
        place = {text: code for code, text in enumerate(self.values)}
        self.codes = np.array([place[text] for text in self.texts])

    def votes(self, rows: np.ndarray, fitted: Calibration) -> tuple[np.ndarray, np.ndarray]:
        """Return `(Q,)` values for rows of the index, and `(Q,)` confidences."""
        votes = vote(
            self.vectors[rows],
            labelled=self.vectors[self.rows],
            values=self.codes,
            count=len(self.values),
            neighbours=fitted.neighbours,
        )
        return self.values[votes.values], fitted.confidence(votes.shares)

    def filling(self, chances: np.ndarray, filled: np.ndarray, fitted: Calibration) -> Filling:
        """Return the outcome for cells that were voted on, by `(Q,)` confidences."""
        majority, count = Counter(self.texts).most_common(1)[0]
        return Filling(
            attribute=self.attribute,
            labelled=len(self.texts),
            filled=int(filled.sum()),
            left_empty=int((~filled).sum()),
            expected_accuracy=float(chances[filled].mean()) if filled.any() else float("nan"),
            majority=majority,
            majority_share=count / len(self.texts),
            calibration=fitted,
        )

    def calibrated(self) -> Calibration:
        """Calibrate on the labelled images themselves."""
        if len(self.rows) <= _MOST_KNOWN:
            vectors = self.vectors[self.rows]
            return self._fit(vectors, self.codes, np.ones(len(self.rows), bool), leave_out=True)
        most = min(_MOST_KNOWN, len(self.rows) // 2)  # as many others, or more, are left to vote
        drawn = np.random.default_rng(0).permutation(len(self.rows))[:most]
        others = np.ones(len(self.rows), bool)
        others[drawn] = False
        return self._fit(self.vectors[self.rows[drawn]], self.codes[drawn], others)

    def calibrated_on(
        self, vectors: np.ndarray, texts: Sequence[str], same: np.ndarray
    ) -> Calibration:
        """Calibrate on other images; those of the index that are the same (`(N,)` bool) abstain."""
        place = {text: code for code, text in enumerate(self.values)}
        if not set(texts) & set(place):
            raise SearchIndexError(
                f"the validation images must have values of {self.attribute!r} that the catalogue "
                f"has, too: {', '.join(self.values[:5])}; got {', '.join(sorted(set(texts))[:5])}"
            )
        others = ~same[self.rows]
        if not others.any():
            raise SearchIndexError(
                f"every labelled image of {self.attribute!r} is a validation image; label others, "
                "too, or calibrate without validation"
            )
        # A value that no voter has is never voted for: such a vote is wrong.
        truth = np.array([place.get(text, -1) for text in texts])
        return self._fit(vectors, truth, others)

    def _fit(
        self, vectors: np.ndarray, truth: np.ndarray, others: np.ndarray, leave_out: bool = False
    ) -> Calibration:
        return calibrate(
            vectors,
            truth,
            labelled=self.vectors[self.rows[others]],
            values=self.codes[others],
            count=len(self.values),
            leave_out=leave_out,
        )


class Validation:
    """The labelled images of a dataset's split `valid`, embedded.

    Attributes:
        same: `(N,)` bool, which images of the index are among them, by content.
    """

    def __init__(
        self, folder: Path, index: AttributeIndex, attributes: Sequence[str], skip: Skip | None
    ) -> None:
        data, dataset = folder.parent, folder.name
        scheme = read_meta(data, dataset)
        for name in attributes:
            if name not in scheme.names:
                raise AnnotationError(
                    f"the validation dataset must have the attribute {name!r}",
                    path=folder,
                    got=list(scheme.names),
                    remedy="choose the attributes that it has, or another dataset",
                )
        split = read_split(data, dataset, "valid", missing="skip")
        if split.triplets is not None:
            raise AnnotationError(
                "a validation dataset must list values",
                path=folder,
                got="triplets",
                remedy="choose another dataset, or calibrate without validation",
            )
        wanted = [scheme.names.index(name) for name in attributes]
        labels = split.labels[np.isin(split.labels[:, 1], wanted)]
        files = np.unique(labels[:, 0])
        paths = [split.path(int(file)) for file in files]
        vectors = index.embedder.embed_all(
            paths,
            attributes=list(attributes),
            embedding=index.store.embedding,
            progress=True,
            skip=skip,
        )
        named = read_value_names(data, dataset)
        self.folder, self._vectors, self._texts = folder, {}, {}
        for column, name in enumerate(attributes):
            own = labels[labels[:, 1] == scheme.names.index(name)]
            own = own[np.unique(own[:, 0], return_index=True)[1]]  # one value per image
            rows = np.searchsorted(files, own[:, 0])
            usable = np.isfinite(vectors[rows, column]).all(axis=1) & bool(vectors.shape[2])
            self._vectors[name] = vectors[rows[usable], column]
            values = own[usable, 2]
            self._texts[name] = [value(named[name][v]) if named else str(v) for v in values]
        self.same = _same_content(index, paths)

    def calibrated(self, voters: Voters) -> Calibration:
        """Calibrate the votes of one attribute on these images."""
        name = voters.attribute
        if not self._texts[name]:
            raise AnnotationError(
                f"the split valid must have labelled images of {name!r}",
                path=self.folder,
                got="none",
                remedy="choose other attributes, or calibrate without validation",
            )
        return voters.calibrated_on(self._vectors[name], self._texts[name], self.same)


def _same_content(index: AttributeIndex, others: Sequence[Path]) -> np.ndarray:
    """Return which images of an index had the bytes of one of the others, `(N,)` bool.

    What they had when they were embedded counts; of an index that does not remember it, what the
    files have now.
    """
    known = index.notes.get(FILES, {})
    there = [path for path in others if path.is_file()]
    sizes = {path.stat().st_size for path in there}
    digests = {file_digest(path) for path in there}

    def same(number: int, path: Path) -> bool:
        if str(number) in known:
            return known[str(number)][2] in digests
        try:
            return path.stat().st_size in sizes and file_digest(path) in digests
        except OSError:  # its vectors are in the index, so the file itself may be elsewhere
            return False

    return np.fromiter(map(same, index.ids.tolist(), index.images), bool, len(index))
