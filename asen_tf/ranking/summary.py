"""From the values of single queries to the numbers of a table.

Everything takes a mapping from attribute name to the (Q,) per-query values of that attribute
(average precision, recall@k and so on). Attributes without queries count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np


def overall(values: Mapping[str, np.ndarray]) -> float:
    """Return the mean over all queries: attributes count by their number of queries.

    Example:
        Two queries at 1.0 in one attribute and one at 0.4 in another: 2.4 / 3 = 0.8.
    """
    arrays = [np.asarray(array, np.float64) for array in values.values() if len(array)]
    return float(np.concatenate(arrays).mean()) if arrays else math.nan


def macro(values: Mapping[str, np.ndarray]) -> float:
    """Return the unweighted mean of the attributes' means.

    Example:
        Two queries at 1.0 in one attribute and one at 0.4 in another: (1.0 + 0.4) / 2 = 0.7.
    """
    means = [np.mean(array, dtype=np.float64) for array in values.values() if len(array)]
    return float(np.mean(means)) if means else math.nan


def summarise(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean of each attribute, then `overall` and `macro`; NaN where no query is."""
    means = {
        name: float(np.mean(array, dtype=np.float64)) if len(array) else math.nan
        for name, array in values.items()
    }
    return {**means, "overall": overall(values), "macro": macro(values)}
