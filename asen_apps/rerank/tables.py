"""What re-ranking gains and costs, as rows of `rerank.csv`, with intervals.

What a re-ranking can be asked for, to be known before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from asen_apps.rerank.measures import (
    Measures,
    Shortlists,
    by_label,
    expected_at_random,
    measure,
    reorder,
)
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.data import read_split
from asen_tf.evaluation import summarise
from asen_tf.evaluation.intervals import bootstrap_interval, macro_interval

RANKS = (1, 5, 10, 20)  # k
WEIGHTS = tuple(step / 10 for step in range(11))  # t of the blend

_ByAttribute = dict[str, Measures]


def rerank_table(
    lists: dict[str, Shortlists],
    *,
    settings: Sequence[tuple[int, float]],
    ks: Iterable[int] = RANKS,
    resamples: int = 2000,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure every attribute before and after re-sorting.

    A query is compared with itself, so its gain is a number of its own, and the interval comes
    from drawing queries with replacement: a paired bootstrap (`asen_tf.evaluation.intervals`). It
    says
    nothing of other training seeds.

    Args:
        lists: by attribute; at least as deep as the largest `top` and k.
        settings: pairs of `top`, how many are re-sorted, and the blend's weight.
        ks: for precision@k and similarity@k.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        progress: show a progress bar.

    Returns:
        A row for each setting, attribute (then `overall`, each query weighing the same, and
        `macro`, the mean of the attributes) and k:

        - `top, weight, attribute, k`, `queries` and `candidates` (both summed in the last two);
        - `precision_before, precision_after, precision_random, precision_oracle` in percent, and
          `gain`, after minus before in percentage points, from `gain_low` to `gain_high`;
        - `similarity_before, similarity_after, similarity_random, similarity_oracle`, mean general
          cosines of the first k, `similarity_any` that of all candidates, and `loss`, before minus
          after, from `loss_low` to `loss_high`;
        - `kept`, the percentage of the first k that stay among them.

        `random` is the exact expectation for the first `top` in random order, `oracle` their order
        by the labels.

    Raises:
        ValueError: no lists, or lists that are not deep enough.
    """
    ks = list(ks)
    deepest = max([*ks, *(top for top, _ in settings)])
    if not lists:
        raise ValueError("a table needs the lists of at least one attribute; got none")
    for name, found in lists.items():
        if found.places.shape[1] < min(deepest, found.candidates):
            raise ValueError(
                f"lists must hold the first {deepest} candidates; those of {name} hold "
                f"{found.places.shape[1]} of {found.candidates}"
            )
    bar = tqdm(list(settings), desc="re-ranking", unit="setting", disable=not progress)
    return pd.concat(
        [
            pd.DataFrame(_rows(lists, top, weight, ks, resamples=resamples, seed=seed))
            for top, weight in bar
        ],
        ignore_index=True,
    )


def _rows(
    lists: dict[str, Shortlists],
    top: int,
    weight: float,
    ks: list[int],
    *,
    resamples: int,
    seed: int,
) -> Iterable[dict[str, object]]:
    unchanged = {name: reorder(part, top=top, weight=0.0) for name, part in lists.items()}
    before = {name: measure(part, unchanged[name], ks) for name, part in lists.items()}
    after = {
        name: measure(part, reorder(part, top=top, weight=weight), ks)
        for name, part in lists.items()
    }
    random = {name: expected_at_random(part, top=top, ks=ks) for name, part in lists.items()}
    oracle = {name: measure(part, by_label(part, top=top), ks) for name, part in lists.items()}
    anywhere = summarise({name: part.anywhere for name, part in lists.items()})
    queries = {name: len(part) for name, part in lists.items()}
    candidates = {name: part.candidates for name, part in lists.items()}
    for k in ks:
        precision, similarity = f"precision@{k}", f"similarity@{k}"
        means = {
            f"{measured.split('@')[0]}_{when}": _means(values, measured)
            for measured in (precision, similarity)
            for when, values in (
                ("before", before),
                ("after", after),
                ("random", random),
                ("oracle", oracle),
            )
        }
        kept = _means(after, f"kept@{k}")
        gains = _changes(before, after, precision, resamples, seed)
        losses = _changes(after, before, similarity, resamples, seed)
        for name in anywhere:
            row = {column: values[name] for column, values in means.items()}
            yield {
                "top": top,
                "weight": weight,
                "attribute": name,
                "k": k,
                "queries": queries.get(name, sum(queries.values())),
                "candidates": candidates.get(name, sum(candidates.values())),
                **{f"precision_{when}": 100.0 * row[f"precision_{when}"] for when in _WHEN},
                **{f"gain{end}": 100.0 * value for end, value in gains[name].items()},
                **{f"similarity_{when}": row[f"similarity_{when}"] for when in _WHEN},
                "similarity_any": anywhere[name],
                **{f"loss{end}": value for end, value in losses[name].items()},
                "kept": 100.0 * kept[name],
            }


_WHEN = ("before", "after", "random", "oracle")


def _means(values: _ByAttribute, measured: str) -> dict[str, float]:
    return summarise({name: part[measured] for name, part in values.items()})


def _changes(
    first: _ByAttribute, second: _ByAttribute, measured: str, resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return second minus first, query by query: the mean and the ends of its interval."""
    gaps = {name: second[name][measured] - part[measured] for name, part in first.items()}
    drawn = {**gaps, "overall": np.concatenate(list(gaps.values()))}
    options = {"resamples": resamples, "seed": seed}
    found = {}
    for name, mean in summarise(gaps).items():
        if name == "macro":
            low, high = macro_interval(gaps.values(), **options)
        else:
            low, high = bootstrap_interval(drawn[name], **options)
        found[name] = {"": mean, "_low": low, "_high": high}
    return found


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
        asen_tf.data.AnnotationError: a file of the dataset breaks a rule.
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
