"""Which settings mattered, as far as a few trials can say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

FEWEST = 4  # completed trials


def importance(
    trials: pd.DataFrame, fields: Sequence[str], *, repeats: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Return how much a forest that predicts validation MAP relies on each setting.

    A random forest is fitted to the trials. Then the values of one setting are shuffled among
    them: the importance is how much the forest's mean absolute error grows by that, in points of
    MAP, and its deviation is over the shuffles. Settings that go together share it, and the forest
    is asked about trials it was fitted to, so these are no effects: a sweep of one setting measures
    those. `explained` says what the forest is worth: R2 of each trial by the trees that have not
    seen it (out of bag). At 0 or below it predicts nothing, and the order of the settings is
    chance: with ten trials it often is.

    Args:
        trials: of `trials_table`; failed ones do not count.
        fields: columns to compare; those of one value cannot matter, and get 0.
        repeats: shuffles of each.
        seed: of forest and shuffles.

    Returns:
        `setting, importance, deviation, explained`, the most important first.

    Raises:
        ValueError: fewer than four trials to fit.

    References:
        Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    scored = trials[trials["status"] == "COMPLETED"]
    if len(scored) < FEWEST:
        raise ValueError(f"importance needs {FEWEST} or more completed trials; got {len(scored)}")
    values = pd.DataFrame({name: _numbers(scored[name]) for name in fields})
    scores = scored["val_map"].to_numpy(float)
    forest = RandomForestRegressor(n_estimators=200, oob_score=True, random_state=seed)
    forest.fit(values.to_numpy(), scores)
    found = permutation_importance(
        forest,
        values.to_numpy(),
        scores,
        scoring="neg_mean_absolute_error",
        n_repeats=repeats,
        random_state=seed,
    )
    table = pd.DataFrame(
        {
            "setting": list(fields),
            "importance": found.importances_mean,
            "deviation": found.importances_std,
            "explained": float(forest.oob_score_),
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _numbers(column: pd.Series) -> np.ndarray:
    """Return numbers as they are, and names by their place in the alphabet."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(float)
    return np.unique(column.astype(str), return_inverse=True)[1].astype(float)
