"""Neighbouring rows of a table, compared over the same queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pandas as pd

from asen_study.matrix import LABELS, NEIGHBOURS
from asen_study.tables.collecting import StudyTables
from asen_tf.evaluation.intervals import paired_differences

# Average precisions of a row's queries: attribute -> seed -> (Q,).
_Scores = Mapping[str, Mapping[int, np.ndarray]]


def compare(tables: StudyTables, *, resamples: int = 2000) -> pd.DataFrame:
    """Compare each row with its neighbours, as `asen_study.matrix.NEIGHBOURS` lists them.

    Args:
        tables: of `collect`.
        resamples: bootstrap resamples over queries and seeds.

    Returns:
        `method_a, method_b, attribute, difference, ci_low, ci_high`: MAP of a minus MAP of b in
        percentage points, with the 95% interval of a paired bootstrap over queries and seeds
        (`asen_tf.evaluation.intervals`). `asen_pp` is its fused embedding, `asen_pp:global` and
        `asen_pp:local` its others. Pairs of which a row is missing, or which have no seed in
        common, are left out; of the seeds, those that both have count.
    """
    scores = _scores(tables)
    rows = []
    for first, second in NEIGHBOURS:
        left, right = _common(scores.get(first), scores.get(second))
        if not left:
            continue
        rows += [
            {
                "method_a": first,
                "method_b": second,
                "attribute": found.attribute,
                "difference": 100.0 * found.difference,
                "ci_low": 100.0 * found.low,
                "ci_high": 100.0 * found.high,
            }
            for found in paired_differences(left, right, resamples=resamples)
        ]
    columns = ("method_a", "method_b", "attribute", "difference", "ci_low", "ci_high")
    return pd.DataFrame(rows, columns=columns)


def in_words(pairs: pd.DataFrame, *, attribute: str = "overall") -> list[str]:
    """Say of each pair whether it differs: only where the interval leaves out zero."""
    sentences = []
    for row in pairs[pairs["attribute"] == attribute].itertuples():
        first, second = (_label(name) for name in (row.method_a, row.method_b))
        interval = f"{row.difference:+.2f} points, {row.ci_low:+.2f} to {row.ci_high:+.2f}"
        if row.ci_low <= 0.0 <= row.ci_high:
            sentences.append(f"{first} and {second} do not differ for certain ({interval}).")
        else:
            verdict = "above" if row.difference > 0 else "below"
            sentences.append(f"{first} is {verdict} {second} ({interval}).")
    return sentences


def _label(name: str) -> str:
    row, _, embedding = name.partition(":")
    return f"{LABELS.get(row, row)} {embedding}".strip()


def _scores(tables: StudyTables) -> dict[str, _Scores]:
    """Read every query's average precision, by row; `row:embedding` where there are several."""
    found: dict[str, dict] = defaultdict(lambda: defaultdict(dict))
    for run, row in zip(tables.selection.runs, tables.selection.rows, strict=True):
        seed = run.settings["seed"]
        if not (run.path / "queries.npz").exists():
            continue  # of listed triplets there are no queries
        with np.load(run.path / "queries.npz", allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
        embeddings = [name for name in ("global", "local", "fused") if _has(values, name)]
        for name, precisions in values.items():
            embedding, attribute = name.split("/", 1)
            if embedding == "random":
                found["random"][attribute][seed] = precisions
                continue
            if len(embeddings) > 1:
                found[f"{row}:{embedding}"][attribute][seed] = precisions
            if embedding == embeddings[-1]:
                found[row][attribute][seed] = precisions
    return found


def _has(values: Mapping[str, np.ndarray], embedding: str) -> bool:
    return any(name.startswith(f"{embedding}/") for name in values)


def _common(
    first: _Scores | None, second: _Scores | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return both rows' `(S, Q)` values by attribute, for the seeds that both have."""
    if not first or not second:
        return {}, {}
    seeds = set.intersection(*(set(by_seed) for by_seed in (*first.values(), *second.values())))
    if not seeds:
        return {}, {}
    return tuple(
        {
            attribute: np.stack([by_seed[seed] for seed in sorted(seeds)])
            for attribute, by_seed in scores.items()
        }
        for scores in (first, second)
    )
