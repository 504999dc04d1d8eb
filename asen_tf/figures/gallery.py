"""Examples from the test split: what a finished run saw and found, chosen at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asen_tf.annotations import read_regions, read_value_names
from asen_tf.data import boxes_in_square
from asen_tf.overlays import Box
from asen_tf.production import open_dataset
from asen_tf.ranking import average_precision, normalise
from asen_tf.results import Run


@dataclass(frozen=True)
class AttentionExample:
    """An image as one attribute sees it.

    Attributes:
        image: `(S, S, 3)` uint8, the source image.
        value: name of the image's value.
        attention: `(h, w)` float, the global branch's map.
        region: the square that the local branch sees.
        truth: the true box of the part, or None where it is not known.
    """

    image: np.ndarray
    value: str
    attention: np.ndarray
    region: Box
    truth: Box | None


@dataclass(frozen=True)
class RetrievalExample:
    """A query and the candidates that rank highest.

    Attributes:
        images: `(1 + k, g, g, 3)` uint8, the query first, then by rank.
        values: `1 + k` names of the images' values.
        precision: the query's average precision over the full ranking, a fraction.
    """

    images: np.ndarray
    values: tuple[str, ...]
    precision: float


class Gallery:
    """Examples of a run, the same ones for the same seed: no best and no worst ones.

    Args:
        run: a finished run.
        data_dir: the directory of meta.json and the datasets.

    Attributes:
        attributes: names of the attributes that have queries, or listed triplets, in the test
            split.
        split: the test split's labels.
        names: names of the values by attribute, where they are known.
    """

    def __init__(self, run: Run, data_dir: str | Path) -> None:
        """Read what the run said of the test split; images are read when asked for."""
        self.config = run.config
        dataset = open_dataset(self.config, data_dir)
        self._images = dataset.split("test")
        self.split = self._images.split
        self._pairs = run.test_pairs()
        regions = read_regions(data_dir, dataset.name, "test") or {}
        self._truths = boxes_in_square(self.split, regions)
        self.names = read_value_names(data_dir, dataset.name) or {}
        asking = self.split.queries if self.split.triplets is None else self.split.labels
        asked = set(asking[:, 1].tolist())
        names = dataset.attributes.names
        self.attributes = tuple(name for index, name in enumerate(names) if index in asked)

    @property
    def has_attention(self) -> bool:
        """Whether the run's method has attention maps."""
        return "attention" in self._pairs.arrays

    def attention(self, attribute: str, *, count: int = 3, seed: int = 0) -> list[AttentionExample]:
        """Return random images of an attribute; where true boxes are known, those with one.

        Raises:
            KeyError: the run's method has no attention.
        """
        rows = self._rows(self.split.labels, attribute)
        boxed = np.array([tuple(pair) in self._truths for pair in rows[:, :2].tolist()], bool)
        rows = self._sample(rows[boxed] if boxed.any() else rows, count, seed)
        found = self._pairs.rows(rows)
        sources = self._images.sources[rows[:, 0]]
        boxes = self._pairs.arrays["boxes"][found] / self.config.global_size
        return [
            AttentionExample(
                image=image,
                value=self._value(attribute, row[2]),
                attention=attention,
                region=(left, top, right, bottom),
                truth=self._truths.get((int(row[0]), int(row[1]))),
            )
            for image, row, attention, (top, left, bottom, right) in zip(
                sources, rows, self._pairs.arrays["attention"][found], boxes.tolist(), strict=True
            )
        ]

    def retrieval(
        self,
        attribute: str,
        *,
        embedding: str | None = None,
        count: int = 3,
        top: int = 8,
        seed: int = 0,
    ) -> list[RetrievalExample]:
        """Return random queries of an attribute with the candidates that rank highest.

        By the embedding of that name; by default the fused one, or else the global one. Of listed
        triplets, which know no queries, there are none.
        """
        if embedding is None:
            embedding = "fused" if "fused" in self._pairs.arrays else "global"
        candidates = self._rows(self.split.candidates, attribute)
        vectors = normalise(self._pairs.arrays[embedding])
        among = vectors[self._pairs.rows(candidates)]
        examples = []
        for query in self._sample(self._rows(self.split.queries, attribute), count, seed):
            scores = among @ vectors[self._pairs.rows(query[None])[0]]
            ranked = candidates[np.argsort(-scores, kind="stable")]
            shown = np.concatenate([query[None], ranked[:top]])
            examples.append(
                RetrievalExample(
                    images=self._images.views[shown[:, 0]],
                    values=tuple(self._value(attribute, value) for value in shown[:, 2]),
                    precision=float(average_precision(ranked[:, 2] == query[2])),
                )
            )
        return examples

    def _rows(self, labels: np.ndarray, attribute: str) -> np.ndarray:
        return labels[labels[:, 1] == self.split.attributes.names.index(attribute)]

    def _sample(self, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
        order = np.random.default_rng(seed).permutation(len(rows))
        return rows[order[:count]]

    def _value(self, attribute: str, value: int) -> str:
        if self.split.triplets is not None:
            return ""  # listed triplets know no values
        names = self.names.get(attribute)
        return names[int(value)] if names else f"value {value}"
