"""Published numbers, kept apart from the project's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def published(path: Path | str, dataset: str) -> pd.DataFrame:
    """Lay the published MAP of a dataset out: a row per method, a column per attribute.

    Args:
        path: the table of published results: `dataset, method, attribute, percent, source, status`.
            The status is "verified" (read in the source), "checksum" (the row's weighted mean
            reproduces the overall number) or "computed" (an exact expectation).
        dataset: whose rows to take.

    Returns:
        Percent as text, "-" where none is published, then `status` and `source`; indexed by method.

    Raises:
        ValueError: the table has no rows of the dataset.
    """
    table = pd.read_csv(path)
    rows = table[table["dataset"] == dataset]
    if rows.empty:
        known = ", ".join(table["dataset"].unique())
        raise ValueError(f"{path}: dataset must be one of {known}; got {dataset!r}")
    rows = rows.assign(attribute=rows["attribute"].str.replace("_", " "))
    wide = rows.pivot(index="method", columns="attribute", values="percent")
    wide = wide.loc[rows["method"].unique(), rows["attribute"].unique()]
    wide = wide.map(lambda number: "-" if pd.isna(number) else f"{number:.2f}")
    origin = rows.groupby("method")[["status", "source"]].first()
    return wide.join(origin).rename_axis(index=None, columns=None)
