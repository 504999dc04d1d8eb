"""From two finished runs to the lists that one makes and the other re-sorts, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from asen_apps.rerank.measures import LabelledImages, Shortlists, shortlist
from asen_apps.rerank.tables import RANKS
from asen_study import provenance
from asen_study.production import open_dataset
from asen_study.runs import Places, Run
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.data import Split, read_split, read_value_names
from asen_tf.data.dataset import SplitImages
from asen_tf.evaluation import normalise
from asen_tf.evaluation.retrieval import PairEmbeddings
from asen_tf.files import write_json, write_text


def check(
    general: ExperimentConfig,
    data_dir: str | Path,
    *,
    top: int = 1,
    tops: Sequence[int] = (),
    blend: float = 1.0,
    rank: int = RANKS[0],
    strips: int = 1,
) -> None:
    """Check the arguments of a re-ranking, before anything is trained.

    Args:
        general: the settings of the run that makes the initial lists.
        data_dir: the directory of meta.json and the datasets.
        top: K, how many are re-sorted.
        tops: other K.
        blend: t, the weight of the attribute.
        rank: the k of the tables and figures of one k.
        strips: queries shown of each attribute.

    Raises:
        ConfigError: a number out of range, a method that takes the attribute, or a dataset
            without queries.
        asen_tf.data.AnnotationError: a file of the dataset breaks a rule.
    """
    counts = [("top", top), *(("tops", size) for size in tops), ("strips", strips)]
    for name, value in counts:
        if not _is_number(value, int) or value < 1:
            raise ConfigError(f"{name} must be whole numbers of 1 or more; got {value!r}")
    if not _is_number(blend, (int, float)) or not 0.0 <= blend <= 1.0:
        raise ConfigError(f"blend must lie between 0 and 1; got {blend!r}")
    if not _is_number(rank, int) or rank not in RANKS:
        raise ConfigError(f"rank must be one of {RANKS}, the k of the table; got {rank!r}")
    untold = general.method == "features" and general.feature_map != "linear"
    if general.method != "triplet" and not untold:
        raise ConfigError(
            "the initial list must come from a network that takes no attribute: a row of method "
            "triplet, such as triplet or triplet/npairs, features or features/whitened; got "
            f"{general.method!r}" + " with linear maps" * (general.method == "features")
        )
    split = read_split(data_dir, general.dataset, "test", missing="ignore")
    if split.triplets is not None or not len(split.queries):
        raise ConfigError(
            f"re-ranking is measured on queries with values; the test split of {split.dataset} has "
            "none: it lists triplets, or its query file is empty"
        )


def _is_number(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class Reranking:
    """A general run's lists of the test split, and a specific run's view of their candidates.

    Attributes:
        general: the run that makes the lists.
        specific: the run that re-sorts them; by its fused embedding if it has one.
        lists: by the name of each attribute that has queries.
        queries: by attribute, its queries.
        candidates: by attribute, its candidates.
        images: the test split, with its images.
        names: names of the values by attribute, if they are known.
    """

    general: Run
    specific: Run
    lists: dict[str, Shortlists]
    queries: dict[str, LabelledImages]
    candidates: dict[str, LabelledImages]
    images: SplitImages
    names: dict[str, list[str]]

    @classmethod
    def from_runs(
        cls,
        general: Run,
        specific: Run,
        places: Places,
        *,
        depth: int,
        progress: bool = False,
    ) -> Reranking:
        """Rank the candidates of every attribute for each of its queries by the general run.

        Each image counts once as query and as candidate of an attribute, however many of its values
        the split's files list.

        Args:
            general: a run of the method `triplet`, or of `features` without linear maps.
            specific: a run on the same data.
            places: where the data is.
            depth: how much of each list to keep: the largest K, or k, that will be asked for.
            progress: show a progress bar.

        Raises:
            ConfigError: see `asen_apps.rerank.check`; also when the runs saw different data.
        """
        check(general.config, places.data_dir)
        dataset = open_dataset(specific.config, places)
        made_from = [run.manifest["data_fingerprint"] for run in (general, specific)]
        if set(made_from) != {dataset.fingerprint}:
            raise ConfigError(
                f"both runs must come from the data in {places.data_dir}, "
                f"{dataset.fingerprint[:16]}; got {made_from[0][:16]} ({general.path.name}) "
                f"and {made_from[1][:16]} ({specific.path.name}); train the other one again"
            )
        images = dataset.split("test")
        embedded = [run.test_pairs() for run in (general, specific)]
        vectors = [normalise(pairs.arrays[last_embedding(pairs)]) for pairs in embedded]
        found: tuple[dict, dict] = ({}, {})
        lists = {}
        numbered = list(enumerate(dataset.attributes.names))
        what = "ranking by general similarity"
        for index, name in tqdm(numbered, what, unit="attribute", disable=not progress):
            if not (images.split.queries[:, 1] == index).any():
                continue
            sides = images.split.queries, images.split.candidates
            for side, rows in zip(found, sides, strict=True):
                side[name] = _images(images.split, rows, index, embedded, vectors)
            lists[name] = shortlist(found[0][name], found[1][name], depth=depth)
        names = read_value_names(places.data_dir, dataset.name) or {}
        return cls(general, specific, lists, *found, images, names)


def last_embedding(embedded: PairEmbeddings) -> str:
    """Return which embedding a method retrieves by: "fused", or "global" if it has no other."""
    return "fused" if "fused" in embedded.arrays else "global"


def _images(
    split: Split,
    rows: np.ndarray,
    attribute: int,
    embedded: list[PairEmbeddings],
    vectors: list[np.ndarray],
) -> LabelledImages:
    """Return the distinct images of an attribute's rows, with all their values."""
    images = np.unique(rows[rows[:, 1] == attribute, 0])
    pairs = np.stack([images, np.full_like(images, attribute)], axis=1)
    # The general embedding of an image is the same under all its attributes: any row serves.
    general, specific = (
        part[pairs_of.rows(pairs)] for part, pairs_of in zip(vectors, embedded, strict=True)
    )
    return LabelledImages(images, split.holds(attribute)[images], general, specific)


def write(table: pd.DataFrame, reranking: Reranking, place: Path | str) -> list[Path]:
    """Write `rerank.csv` and `rerank_provenance.json`, each completely or not at all.

    Numbers have four decimals (cosines six), so that identical runs make identical files. Files
    of an earlier re-ranking of the study are replaced.

    Args:
        table: of `asen_apps.rerank.result_table`.
        reranking: what it was made from.
        place: the study's directory.

    Returns:
        What was written.
    """
    place = Path(place)
    decimals = {name: 6 if name.startswith(("similarity", "loss")) else 4 for name in table}
    rounded = table.round(decimals)
    numbers = rounded.select_dtypes("float").columns
    rounded[numbers] += 0.0  # no minus sign before a zero
    write_text(place / "rerank.csv", rounded.to_csv(index=False, lineterminator="\n"))
    runs = [
        {
            "role": role,
            "run": run.path.name,
            "embedding": last_embedding(run.test_pairs()),
            "settings": run.config.to_dict(),
            **run.manifest,
        }
        for role, run in (("general", reranking.general), ("specific", reranking.specific))
    ]
    origin = {"evaluated_by": provenance.commit(), "runs": runs}
    write_json(place / "rerank_provenance.json", origin)
    return [place / "rerank.csv", place / "rerank_provenance.json"]
