"""A re-ranking to read: a table laid out, and what may be said of it.

The table of a re-ranking on disk, with where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from asen_apps.rerank.runs import Reranking, last_embedding
from asen_study import provenance
from asen_tf.data import label
from asen_tf.files import write_json, write_text


def precision_table(table: pd.DataFrame, *, top: int, weight: float, k: int) -> pd.DataFrame:
    """Lay precision@k out: a row per attribute, texts inside.

    Args:
        table: of `rerank_table`.
        top: how many were re-sorted.
        weight: of the blend.
        k: of precision@k.
    """
    rows = chosen(table, top=top, weight=weight, k=k)
    columns = {
        "queries": rows["queries"].to_numpy(),
        "candidates": rows["candidates"].to_numpy(),
        f"precision@{k} before, %": _numbers(rows["precision_before"], ".1f"),
        "after, %": _numbers(rows["precision_after"], ".1f"),
        "gain, points": _with_interval(rows, "gain", "+.1f"),
        "random order, %": _numbers(rows["precision_random"], ".1f"),
        "best order, %": _numbers(rows["precision_oracle"], ".1f"),
    }
    return pd.DataFrame(columns, index=_words(rows["attribute"]))


def similarity_table(table: pd.DataFrame, *, top: int, weight: float, k: int) -> pd.DataFrame:
    """Lay out the mean general cosine of the first k; arguments as for `precision_table`."""
    rows = chosen(table, top=top, weight=weight, k=k)
    before = rows["similarity_before"]
    columns = {
        f"first {k} before": _numbers(before, ".3f"),
        "after": _numbers(rows["similarity_after"], ".3f"),
        "loss": _with_interval(rows, "loss", ".3f"),
        "loss by a random order": _numbers(before - rows["similarity_random"], ".3f"),
        "loss by any candidates": _numbers(before - rows["similarity_any"], ".3f"),
        f"first {k} kept, %": _numbers(rows["kept"], ".0f"),
    }
    return pd.DataFrame(columns, index=_words(rows["attribute"]))


def in_words(table: pd.DataFrame, *, top: int, weight: float) -> list[str]:
    """Say for each k what is gained and lost overall, and in which attributes for certain.

    Certain is what an interval says that leaves out zero.
    """
    lines = []
    for k in table["k"].unique():
        rows = chosen(table, top=top, weight=weight, k=k).set_index("attribute")
        whole, parts = rows.loc["overall"], rows.drop(["overall", "macro"])
        better, worse = parts[parts["gain_low"] > 0], parts[parts["gain_high"] < 0]
        (gain,) = _with_interval(rows.loc[["overall"]], "gain", "+.1f")
        (loss,) = _with_interval(rows.loc[["overall"]], "loss", ".3f")
        lines += [
            f"precision@{k}: {whole['precision_before']:.1f} % before, "
            f"{whole['precision_after']:.1f} % after, gain {gain} points; "
            f"at best {whole['precision_oracle']:.1f} %",
            f"  overall similarity {whole['similarity_before']:.3f} before, loss {loss}",
            f"  for certain better: {', '.join(_words(better.index)) or 'none'}; "
            f"worse: {', '.join(_words(worse.index)) or 'none'}",
        ]
    return lines


def chosen(table: pd.DataFrame, *, top: int, weight: float, k: int) -> pd.DataFrame:
    """Return the rows of one setting and one k.

    Raises:
        ValueError: there are none.
    """
    fits = (table["top"] == top) & (table["weight"] == weight) & (table["k"] == k)
    if not fits.any():
        raise ValueError(
            f"the table must hold top {top}, weight {weight:g} and k {k}; it has top "
            f"{_all(table['top'])}, weight {_all(table['weight'])}, k {_all(table['k'])}"
        )
    return table[fits]


def _all(column: pd.Series) -> str:
    return ", ".join(f"{value:g}" for value in column.unique())


def _words(names: Iterable[str]) -> list[str]:
    return [label(name) for name in names]


def _numbers(values: pd.Series, form: str) -> list[str]:
    return [_number(value, form) for value in values]


def _number(value: float, form: str) -> str:
    """Format a number; what rounds to zero has no minus sign."""
    text = format(value, form)
    return text if text.strip("-0.") else format(0.0, form)


def _with_interval(rows: pd.DataFrame, name: str, form: str) -> list[str]:
    ends = zip(rows[name], rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
    texts = [[_number(value, form) for value in row] for row in ends]
    return [f"{mean} ({low} to {high})" for mean, low, high in texts]


def write(table: pd.DataFrame, reranking: Reranking, place: Path | str) -> list[Path]:
    """Write `rerank.csv` and `rerank_provenance.json`, each in full or not at all.

    Numbers have four decimals (cosines six), so that identical runs make identical files. What an
    earlier re-ranking of the study wrote is replaced.

    Args:
        table: of `rerank_table`.
        reranking: what it was made from.
        place: the study's directory.

    Returns:
        What was written.
    """
    place = Path(place)
    runs = {"general": reranking.general, "specific": reranking.specific}
    rounded = table.round(
        {name: 6 if name.startswith(("similarity", "loss")) else 4 for name in table.columns}
    )
    numbers = rounded.select_dtypes("float").columns
    rounded[numbers] += 0.0  # no minus sign before a zero
    text = rounded.to_csv(index=False, lineterminator="\n")
    write_text(place / "rerank.csv", text)
    write_json(
        place / "rerank_provenance.json",
        {
            "evaluated_by": provenance.commit(),
            "runs": [
                {
                    "role": role,
                    "run": run.path.name,
                    "embedding": last_embedding(run.test_pairs()),
                    "settings": run.config.to_dict(),
                    **run.manifest,
                }
                for role, run in runs.items()
            ],
        },
    )
    return [place / "rerank.csv", place / "rerank_provenance.json"]
