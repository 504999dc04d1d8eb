"""What a search gained, on the test split: the best settings next to the preset's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from asen_study.runs import Run
from asen_tf.evaluation.intervals import paired_differences
from asen_tf.files import write_text

_EMBEDDINGS = ("fused", "local", "global")  # the first that a run has is the one that is compared


def compare_on_test(
    default: Sequence[Run], best: Sequence[Run], *, resamples: int = 2000
) -> pd.DataFrame:
    """Compare two settings over the same seeds and the same test queries.

    Args:
        default: runs of the preset, by seed.
        best: runs of the best settings, with the same seeds.
        resamples: of the paired bootstrap over queries and seeds; see `evaluation.intervals`.

    Returns:
        `attribute, default, best, difference, ci_low, ci_high, seeds`: MAP on test in percent, of
        the embedding that is retrieved with, means over seeds; best minus default with its 95%
        interval. Attributes first, then `overall`, the mean over all queries, and `macro`, the
        mean of the attributes.

    Raises:
        ValueError: other seeds on one side than on the other, or other queries.
    """
    seeds = [[run.config.seed for run in runs] for runs in (default, best)]
    if seeds[0] != seeds[1]:
        raise ValueError(f"both sides need runs of the same seeds; got {seeds[0]} and {seeds[1]}")
    left, right = (_precisions(runs) for runs in (default, best))
    rows = []
    for found in paired_differences(right, left, resamples=resamples):
        if found.attribute == "overall":
            means = [float(np.concatenate([*side.values()], 1).mean()) for side in (left, right)]
        elif found.attribute == "macro":
            means = [float(np.mean([v.mean() for v in side.values()])) for side in (left, right)]
        else:
            means = [float(side[found.attribute].mean()) for side in (left, right)]
        rows.append(
            {
                "attribute": found.attribute,
                "default": 100.0 * means[0],
                "best": 100.0 * means[1],
                "difference": 100.0 * found.difference,
                "ci_low": 100.0 * found.low,
                "ci_high": 100.0 * found.high,
                "seeds": len(seeds[0]),
            }
        )
    return pd.DataFrame(rows)


def verdict(comparison: pd.DataFrame, *, attribute: str = "overall") -> str:
    """Say what was gained: a gain, or a loss, only where the interval leaves out zero."""
    (row,) = comparison[comparison["attribute"] == attribute].itertuples()
    interval = f"{row.difference:+.2f} points, {row.ci_low:+.2f} to {row.ci_high:+.2f}"
    words = f"The best settings of the search and the default ({interval}; {row.seeds} seeds, test)"
    if row.ci_low <= 0.0 <= row.ci_high:
        return f"{words} do not differ for certain: the search has shown no gain."
    return f"{words} differ: the search has {'gained' if row.difference > 0 else 'lost'}."


def write_test(comparison: pd.DataFrame, place: Path | str) -> Path:
    """Write `test.csv` into a study's directory; return its path."""
    path = Path(place) / "test.csv"
    text = comparison.to_csv(index=False, float_format="%.4f", lineterminator="\n")
    write_text(path, text)
    return path


def _precisions(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Return every query's average precision: attribute -> `(seeds, queries)`."""
    found: dict[str, list[np.ndarray]] = {}
    for run in runs:
        with np.load(run.path / "queries.npz", allow_pickle=False) as stored:
            names = [name.split("/", 1) for name in stored.files]
            kinds = {kind for kind, _ in names}
            chosen = next(kind for kind in _EMBEDDINGS if kind in kinds)
            for kind, attribute in names:
                if kind == chosen:
                    found.setdefault(attribute, []).append(stored[f"{kind}/{attribute}"])
    return {attribute: np.stack(values) for attribute, values in found.items()}
