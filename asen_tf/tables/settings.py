"""Rows of the matrix that vary one setting, as a sweep over its values."""

from __future__ import annotations

import pandas as pd

from asen_tf.matrix import ROWS
from asen_tf.tables.collecting import StudyTables


def sweep(tables: StudyTables, setting: str) -> pd.DataFrame:
    """Gather what the test split says of one setting's values, the study's own among them.

    Args:
        tables: of `collect`.
        setting: a field of `ExperimentConfig` that rows of the matrix vary alone.

    Returns:
        `value, embedding, seed, map`: the overall MAP in percent, by ascending value.
    """
    values = {row: changes[setting] for row, changes in ROWS.items() if list(changes) == [setting]}
    values["asen_pp"] = getattr(tables.config, setting)
    rows = tables.map[
        (tables.map["attribute"] == "overall") & tables.map["method"].isin(list(values))
    ]
    found = rows.assign(value=rows["method"].map(values))
    return found[["value", "embedding", "seed", "map"]].sort_values("value", kind="stable")


def triplet_table(triplets: pd.DataFrame) -> pd.DataFrame:
    """Lay triplet prediction accuracy out: a row per method and embedding, a column per attribute.

    Args:
        triplets: `triplets.csv`.

    Returns:
        Percent as text, `77.1` with one seed, `77.1 ± 0.4` with several.
    """
    keys = ["method", "embedding"]
    grouped = triplets.groupby([*keys, "attribute"], sort=False)["accuracy"]
    found = pd.DataFrame({"mean": grouped.mean(), "spread": grouped.std(ddof=1)}).reset_index()
    found["cell"] = [
        f"{row.mean:.1f}" if pd.isna(row.spread) else f"{row.mean:.1f} ± {row.spread:.1f}"
        for row in found.itertuples()
    ]
    wide = found.pivot(index=keys, columns="attribute", values="cell")
    order = triplets.drop_duplicates(keys)[keys].itertuples(index=False, name=None)
    wide = wide.loc[list(order), triplets["attribute"].unique()]
    wide.columns = wide.columns.str.replace("_", " ")
    return wide


def localisation_table(localisation: pd.DataFrame) -> pd.DataFrame:
    """Average the localisation of each row over all attributes and seeds.

    Args:
        localisation: `localisation.csv`.

    Returns:
        `pointing, iou, centre_pointing, centre_iou` in percent, indexed by method.
    """
    overall = localisation[localisation["attribute"] == "overall"]
    numbers = overall.drop(columns=["attribute", "seed"])
    return numbers.groupby("method", sort=False).mean()
