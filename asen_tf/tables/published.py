"""Published numbers, kept apart from the project's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from asen_tf.files import write_text
from asen_tf.tables.text import to_markdown

_PAGE = """# Published results

Numbers from other people's papers, in percent, none of them made by this project: other images,
other networks. They are MAP on the test split, and for Zappos50k the share of triplets ranked
rightly. Our own numbers stand in the other tables of this folder, and never beside these.

The status says how a row was checked: `verified` was read in the source; `checksum` was not, but
its numbers, weighted by queries, reproduce the row's overall number; `computed` is an exact
expectation. A dash is a number that is not published, or was not checked.

Written by `asen_tf.tables.write_published` from `reference/published_results.csv`.
"""


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


def write_published(path: Path | str, target: Path | str) -> None:
    """Write the published rows of all datasets as a page of their own, with status and source.

    Args:
        path: the table of published results, as for `published`.
        target: the Markdown file, such as `results/published.md`.
    """
    pages = [_PAGE]
    for dataset in pd.read_csv(path)["dataset"].unique():
        laid_out = published(path, dataset)
        pages.append(f"## {dataset}\n\n{to_markdown(laid_out, words=('status', 'source'))}")
    write_text(Path(target), "\n".join(pages))
