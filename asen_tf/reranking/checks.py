"""What a re-ranking can be asked for, to be known before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asen_tf.annotations import read_split
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.reranking.tables import RANKS


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
    """Raise unless a re-ranking can be made as it is asked for.

    Args:
        general: the settings of the run that makes the initial lists.
        data_dir: the directory of meta.json and the datasets.
        top: K, how many are sorted anew.
        tops: other K.
        blend: t, the weight of the attribute.
        rank: the k that is shown alone.
        strips: queries shown of each attribute.

    Raises:
        ConfigError: a number out of range, a method that is told the attribute, or a dataset
            without queries.
        asen_tf.annotations.AnnotationError: a file of the dataset breaks a rule.
    """
    counts = [("top", top), *(("tops", size) for size in tops), ("strips", strips)]
    for name, value in counts:
        if not _is_number(value, int) or value < 1:
            raise ConfigError(f"{name} must be whole numbers of 1 or more; got {value!r}")
    if not _is_number(blend, (int, float)) or not 0.0 <= blend <= 1.0:
        raise ConfigError(f"blend must lie between 0 and 1; got {blend!r}")
    if not _is_number(rank, int) or rank not in RANKS:
        known = ", ".join(map(str, RANKS))
        raise ConfigError(f"rank must be one of the k of the table, {known}; got {rank!r}")
    if general.method != "triplet":
        raise ConfigError(
            "the initial list must know no attribute: a row of method triplet, such as triplet or "
            f"triplet/npairs, makes it; got {general.method!r}"
        )
    split = read_split(data_dir, general.dataset, "test", missing="ignore")
    if split.triplets is not None or not len(split.queries):
        raise ConfigError(
            f"re-ranking is measured on queries with values; the test split of {split.dataset} has "
            "none: it lists triplets, or its query file is empty"
        )


def _is_number(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
