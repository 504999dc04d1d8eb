"""From two finished runs to the lists that the one makes and the other re-sorts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asen_apps.rerank.measures import Items, Shortlists, shortlist
from asen_apps.rerank.tables import check
from asen_study.production import open_dataset
from asen_study.runs import Run
from asen_tf.config import ConfigError
from asen_tf.data import Split, read_value_names
from asen_tf.data.dataset import SplitImages
from asen_tf.evaluation import normalise
from asen_tf.evaluation.embedding import PairEmbeddings


@dataclass(frozen=True)
class Reranking:
    """A general run's lists of the test split, and a specific run's view of what is in them.

    Attributes:
        general: the run that makes the lists.
        specific: the run that re-sorts them; by its fused embedding where it has one.
        lists: by the name of each attribute that has queries.
        queries: by attribute, its queries.
        candidates: by attribute, its candidates.
        images: the test split, with its images.
        names: names of the values by attribute, where they are known.
    """

    general: Run
    specific: Run
    lists: dict[str, Shortlists]
    queries: dict[str, Items]
    candidates: dict[str, Items]
    images: SplitImages
    names: dict[str, list[str]]

    @classmethod
    def of(
        cls,
        general: Run,
        specific: Run,
        data_dir: str | Path,
        *,
        depth: int,
        progress: bool = False,
    ) -> Reranking:
        """Rank the candidates of every attribute for each of its queries by the general run.

        As queries and candidates of an attribute each image counts once, whatever number of its
        values the split's files list.

        Args:
            general: a run of the method `triplet`.
            specific: a run on the same data.
            data_dir: the directory of meta.json and the datasets.
            depth: how much of each list to keep: the largest K, or k, that will be asked for.
            progress: show a progress bar.

        Raises:
            ConfigError: see `asen_apps.rerank.check`; also when the runs saw different data.
        """
        check(general.config, data_dir)
        dataset = open_dataset(specific.config, data_dir)
        made_from = [run.manifest["data_fingerprint"] for run in (general, specific)]
        if set(made_from) != {dataset.fingerprint}:
            raise ConfigError(
                f"both runs must come from the data in {data_dir}, {dataset.fingerprint[:16]}; got "
                f"{made_from[0][:16]} ({general.path.name}) and {made_from[1][:16]} "
                f"({specific.path.name}); train again what differs"
            )
        images = dataset.split("test")
        embedded = [run.test_pairs() for run in (general, specific)]
        vectors = [normalise(pairs.arrays[last_embedding(pairs)]) for pairs in embedded]
        found: tuple[dict, dict] = ({}, {})
        lists = {}
        attributes = tqdm(
            list(enumerate(dataset.attributes.names)),
            desc="ranking by general similarity",
            unit="attribute",
            disable=not progress,
        )
        for index, name in attributes:
            if not (images.split.queries[:, 1] == index).any():
                continue
            for side, rows in zip(
                found, (images.split.queries, images.split.candidates), strict=True
            ):
                side[name] = _items(images.split, rows, index, embedded, vectors)
            lists[name] = shortlist(found[0][name], found[1][name], depth=depth)
        names = read_value_names(data_dir, dataset.name) or {}
        return cls(general, specific, lists, *found, images, names)


def last_embedding(embedded: PairEmbeddings) -> str:
    """Return the name of what a method retrieves by: "fused", or "global" where that is all."""
    return "fused" if "fused" in embedded.arrays else "global"


def _items(
    split: Split,
    rows: np.ndarray,
    attribute: int,
    embedded: list[PairEmbeddings],
    vectors: list[np.ndarray],
) -> Items:
    """Return the distinct images of an attribute's rows, with all their values of it."""
    images = np.unique(rows[rows[:, 1] == attribute, 0])
    labels = split.labels[split.labels[:, 1] == attribute]
    last = int(max(labels[:, 0].max(initial=0), images.max(initial=0)))
    holds = np.zeros((last + 1, split.attributes.sizes[attribute]), bool)
    holds[labels[:, 0], labels[:, 2]] = True
    pairs = np.stack([images, np.full_like(images, attribute)], axis=1)
    # The general embedding of an image is the same under all its attributes: any row serves.
    general, specific = (
        part[pairs_of.rows(pairs)] for part, pairs_of in zip(vectors, embedded, strict=True)
    )
    return Items(images, holds[images], general, specific)
