"""What re-ranking gains and costs: the rows of `rerank.csv`, and tables and sentences to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
from asen_tf.data import label
from asen_tf.evaluation import summarise
from asen_tf.evaluation.intervals import bootstrap_interval, macro_interval

RANKS = (1, 5, 10, 20)  # k
WEIGHTS = tuple(step / 10 for step in range(11))  # t of the blend

_ByAttribute = dict[str, Measures]


def result_table(
    lists: dict[str, Shortlists],
    *,
    settings: Sequence[tuple[int, float]],
    ks: Iterable[int] = RANKS,
    resamples: int = 2000,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure every attribute before and after re-sorting.

    A query is compared with itself, so each query has its own gain, and the interval comes from
    drawing queries with replacement: a paired bootstrap (`asen_tf.evaluation.intervals`). It
    says nothing about other training seeds.

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
    rows = [row for top, weight in bar for row in _rows(lists, top, weight, ks, resamples, seed)]
    return pd.DataFrame(rows)


def _rows(
    lists: dict[str, Shortlists], top: int, weight: float, ks: list[int], resamples: int, seed: int
) -> Iterable[dict[str, object]]:
    def measured(order: Callable[[Shortlists], np.ndarray]) -> _ByAttribute:
        return {name: measure(part, order(part), ks) for name, part in lists.items()}

    orders: dict[str, _ByAttribute] = {
        "before": measured(lambda part: reorder(part, top=top, weight=0.0)),
        "after": measured(lambda part: reorder(part, top=top, weight=weight)),
        "random": {name: expected_at_random(part, top=top, ks=ks) for name, part in lists.items()},
        "oracle": measured(lambda part: by_label(part, top=top)),
    }
    before, after = orders["before"], orders["after"]
    anywhere = summarise({name: part.anywhere for name, part in lists.items()})
    queries = {name: len(part) for name, part in lists.items()}
    candidates = {name: part.candidates for name, part in lists.items()}
    for k in ks:
        precision = {when: _means(values, f"precision@{k}") for when, values in orders.items()}
        similarity = {when: _means(values, f"similarity@{k}") for when, values in orders.items()}
        kept = _means(after, f"kept@{k}")
        gains = _changes(before, after, f"precision@{k}", resamples, seed)
        losses = _changes(after, before, f"similarity@{k}", resamples, seed)
        for name in anywhere:
            yield {
                "top": top,
                "weight": weight,
                "attribute": name,
                "k": k,
                "queries": queries.get(name, sum(queries.values())),
                "candidates": candidates.get(name, sum(candidates.values())),
                **{f"precision_{when}": 100.0 * mean[name] for when, mean in precision.items()},
                **{f"gain{end}": 100.0 * value for end, value in gains[name].items()},
                **{f"similarity_{when}": mean[name] for when, mean in similarity.items()},
                "similarity_any": anywhere[name],
                **{f"loss{end}": value for end, value in losses[name].items()},
                "kept": 100.0 * kept[name],
            }


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


def precision_table(table: pd.DataFrame, *, top: int, weight: float, k: int) -> pd.DataFrame:
    """Lay precision@k out: a row per attribute, texts inside.

    Args:
        table: of `result_table`.
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
    return pd.DataFrame(columns, index=[*map(label, rows["attribute"])])


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
    return pd.DataFrame(columns, index=[*map(label, rows["attribute"])])


def in_words(table: pd.DataFrame, *, top: int, weight: float) -> list[str]:
    """Say for each k what is gained and lost overall, and which attributes change significantly.

    A change is significant if its interval excludes zero.
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
            f"  significantly better: {', '.join(map(label, better.index)) or 'none'}; "
            f"worse: {', '.join(map(label, worse.index)) or 'none'}",
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


def _numbers(values: Iterable[float], form: str) -> list[str]:
    """Format numbers; what rounds to zero has no minus sign."""
    texts = [format(value, form) for value in values]
    return [text if text.strip("-0.") else format(0.0, form) for text in texts]


def _with_interval(rows: pd.DataFrame, name: str, form: str) -> list[str]:
    columns = [_numbers(rows[f"{name}{end}"], form) for end in ("", "_low", "_high")]
    return [f"{mean} ({low} to {high})" for mean, low, high in zip(*columns, strict=True)]
