"""From the finished runs of a study to its tables: numbers, not yet laid out for readers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asen_study import experiment
from asen_study.comparison import fold_differences, paired_differences
from asen_study.matrix import LABELS, MAIN, NEIGHBOURS, ROWS, STARTS, images_seen, settings
from asen_study.runs import Places, Run, Selection, select
from asen_tf.config import ExperimentConfig

# Average precisions of the queries of a row: attribute -> seed -> (Q,).
_Scores = Mapping[str, Mapping[int, np.ndarray]]
_CURVES = 6  # rows in one figure


class TableError(ValueError):
    """A study's runs or files do not give a table."""


@dataclass(frozen=True)
class StudyTables:
    """A study's numbers and where they come from. `method` is a row of `asen_study.matrix`.

    Attributes:
        map: `method, embedding, seed, attribute, map, ci_low, ci_high, queries`; percent. The
            exact numbers of a random ranking come first, once for each dataset; their embedding is
            "-". Empty for datasets that list triplets.
        map_any_value: the same, counting any shared value; empty unless images hold several.
        localisation: `method, seed, attribute, pointing, iou, centre_pointing, centre_iou`;
            percent; empty where no true boxes are known.
        triplets: `method, embedding, seed, attribute, accuracy, ci_low, ci_high, triplets`;
            percent.
        fusion: `method, seed, weight, map`; percent, on the validation split.
        history: `method, seed, images` (seen so far), then the columns of the runs' `history.csv`,
            a row per epoch: `stage`, `epoch`, losses, `val_map` (for listed triplets
            `val_accuracy`), and for methods with attention `val_region_side` and `val_entropy`.
        config: the study's settings.
        selection: the runs that count, and why others do not.
    """

    map: pd.DataFrame
    map_any_value: pd.DataFrame
    localisation: pd.DataFrame
    triplets: pd.DataFrame
    fusion: pd.DataFrame
    history: pd.DataFrame
    config: ExperimentConfig
    selection: Selection


def collect(place: Path | str, config: ExperimentConfig) -> StudyTables:
    """Gather the numbers of a study's finished runs; see `asen_study.runs.select` for which.

    Args:
        place: the study's directory.
        config: the study's settings; method and seed may be any.

    Raises:
        TableError: no run counts, or runs were measured on different test splits.
    """
    selection = select(Path(place), config)
    if not selection.runs:
        left_out = "".join(f"\n  {name}: {why}" for name, why in selection.left_out.items())
        raise TableError(
            f"{place}: a table needs at least one finished run with the study's settings; train "
            f"one with notebooks/03_train.ipynb; left out:{left_out or ' nothing'}"
        )
    gathered = ("localisation", "triplets", "fusion")
    return StudyTables(
        _with_chance(selection, "map"),
        _with_chance(selection, "map_any_value"),
        *(_gather(selection, name) for name in gathered),
        pd.concat([_history(run, row) for run, row in selection.named], ignore_index=True),
        config,
        selection,
    )


def table_of(run: Run, name: str) -> pd.DataFrame:
    """Return a table of a run, such as "map" or "history"; an empty one if it has none.

    Raises:
        OSError: that is no run: without its settings there is no telling what it lacks.
    """
    return run.table(name) if run.settings and run.has(name) else pd.DataFrame()


def of_methods(table: pd.DataFrame, *rows: str) -> pd.DataFrame:
    """Return what a study's table says of some rows of the matrix; nothing if it is empty."""
    return table[table["method"].isin(rows)] if len(table) else table


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return what fits into one figure of curves: of more than six rows, those of `MAIN`.

    Rows of several networks are left out: their curves follow one another, on other images.
    """
    if table.empty:
        return table
    alone = [row for row in table["method"].unique() if ROWS[row].get("networks", 1) == 1]
    return of_methods(table, *(alone if len(alone) <= _CURVES else MAIN))


def _with_chance(selection: Selection, name: str) -> pd.DataFrame:
    """Return a table of MAP of all runs, first the rows of a random ranking, once per dataset."""
    held = [(run, row, run.table(name)) for run, row in selection.named if run.has(name)]
    chance: dict[str, tuple[Run, pd.DataFrame]] = {}
    for run, _, table in held:
        exact = table[table["method"] == "random"].reset_index(drop=True)
        first, known = chance.setdefault(run.settings["dataset"], (run, exact))
        if not exact.drop(columns="seed").equals(known.drop(columns="seed")):
            raise TableError(
                f"{run.path}: its test split gives a different random MAP than that of "
                f"{first.path}; numbers on different data cannot share a table"
            )
    ranked = [table[table["method"] != "random"].assign(method=row) for _, row, table in held]
    exact = [chance[dataset][1] for dataset in sorted(chance)]
    return pd.concat([*exact, *ranked], ignore_index=True) if held else pd.DataFrame()


def _gather(selection: Selection, name: str) -> pd.DataFrame:
    """Return one table of all runs that have it, each under the name of its row."""
    tables = [run.table(name).assign(method=row) for run, row in selection.named if run.has(name)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _history(run: Run, row: str) -> pd.DataFrame:
    history = run.table("history")
    tested = run.table("map" if run.has("map") else "triplets")["attribute"]
    attributes = tested[~tested.isin(["overall", "macro"])].nunique()
    total, epochs = images_seen(run.settings, attributes), len(history)
    images = [total * (at + 1) // epochs for at in range(epochs)]
    named = pd.DataFrame({"method": row, "seed": run.settings["seed"], "images": images})
    return pd.concat([named, history], axis=1)


def starts(config: ExperimentConfig, places: Places, *, compare: bool = True) -> pd.DataFrame:
    """Train one method from each of `asen_study.matrix.STARTS`; finished runs are read.

    Args:
        config: the study's settings.
        places: where the data are, and the study that keeps the runs.
        compare: False trains nothing.

    Returns:
        As `StudyTables.history`, with `label`, the row's name in words, and its origin in
        `attrs`; empty without `compare`.
    """
    if not compare:
        return pd.DataFrame()
    runs = {row: experiment.run(settings(row, config), places) for row in STARTS}
    histories = [_history(run, row) for row, run in runs.items()]
    table = pd.concat(histories, ignore_index=True)
    table = table.assign(label=table["method"].map(LABELS))
    table.attrs["origin"] = origin([(run, row) for row, run in runs.items()], config)
    return table


def origin(runs: Iterable[tuple[Run, str]], config: ExperimentConfig) -> dict[str, Any]:
    """Return where numbers come from: the study's settings, and what each run changes.

    Args:
        runs: each with its row of the matrix.
        config: the study's settings.

    Returns:
        `settings`, and `runs`: a list of name, row, changes and what the manifest holds.
    """
    study = config.to_dict()
    described = [
        {
            "run": run.path.name,
            "row": row,
            "changes": {name: v for name, v in run.settings.items() if v != study.get(name)},
            **run.manifest,
        }
        for run, row in runs
    ]
    return {"settings": study, "runs": described}


def sweep(tables: StudyTables, setting: str) -> pd.DataFrame:
    """Gather the test results for the values of one setting, including the study's own.

    Args:
        tables: of `collect`.
        setting: a field of `ExperimentConfig` that some rows of the matrix vary on its own.

    Returns:
        `value, embedding, seed, map`: overall MAP in percent, by ascending value; empty if no row
        that varies the setting is finished.
    """
    values = {row: changes[setting] for row, changes in ROWS.items() if list(changes) == [setting]}
    values["asen_pp"] = getattr(tables.config, setting)
    rows = tables.map[
        (tables.map["attribute"] == "overall") & tables.map["method"].isin(list(values))
    ]
    if set(rows["method"]) <= {"asen_pp"}:
        rows = rows[:0]  # the study's own value alone is no sweep
    found = rows.assign(value=rows["method"].map(values))
    return found[["value", "embedding", "seed", "map"]].sort_values("value", kind="stable")


def localisation_table(localisation: pd.DataFrame) -> pd.DataFrame:
    """Average the localisation of each row over all attributes and seeds.

    Args:
        localisation: `localisation.csv`.

    Returns:
        `pointing, iou, centre_pointing, centre_iou` in percent, indexed by method; empty for an
        empty table.
    """
    if localisation.empty:
        return localisation
    overall = localisation[localisation["attribute"] == "overall"]
    numbers = overall.drop(columns=["attribute", "seed"])
    return numbers.groupby("method", sort=False).mean()


# === Comparing rows over the same queries ===


def compare(tables: StudyTables) -> pd.DataFrame:
    """Compare each row with its neighbours, as `asen_study.matrix.NEIGHBOURS` lists them.

    Args:
        tables: of `collect`.

    Returns:
        `method_a, method_b, attribute, difference, ci_low, ci_high`: MAP of a minus MAP of b in
        percentage points, with the 95% interval of a paired bootstrap over queries and seeds
        (`asen_study.comparison`); of folds, over folds and the queries of each, and means
        are those of the folds. `asen_pp` is its fused embedding; the other two are
        `asen_pp:global` and `asen_pp:local`. Only seeds that both rows have count; pairs with a
        missing row, or without a common seed, are left out.
    """
    scores = _scores(tables)
    folds = len({run.settings["dataset"] for run in tables.selection.runs}) > 1
    differences = fold_differences if folds else paired_differences
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
            for found in differences(left, right)
        ]
    columns = ("method_a", "method_b", "attribute", "difference", "ci_low", "ci_high")
    return pd.DataFrame(rows, columns=columns)


def _scores(tables: StudyTables) -> dict[str, _Scores]:
    """Read every query's average precision, by row; `row:embedding` where there are several."""
    found: dict[str, dict] = defaultdict(lambda: defaultdict(dict))
    for run, row in tables.selection.named:
        seed = run.settings["seed"]
        if not (run.path / "queries.npz").exists():
            continue  # listed triplets have no queries
        held = run.precisions()
        last, several = list(held)[-1], len(set(held) - {"random"}) > 1
        for embedding, attributes in held.items():
            names = [f"{row}:{embedding}"] * several + [row] * (embedding == last)
            for name in names if embedding != "random" else ["random"]:
                for attribute, precisions in attributes.items():
                    found[name][attribute][seed] = precisions
    return found


def _common(
    first: _Scores | None, second: _Scores | None
) -> tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]]:
    """Return both rows' `(Q,)` values by attribute, an array for each seed that both have."""
    if not first or not second:
        return {}, {}
    seeds = set.intersection(*(set().union(*scores.values()) for scores in (first, second)))
    if not seeds:
        return {}, {}
    # A fold's test split may lack an attribute: it is compared where every fold has it.
    attributes = [name for name in first if seeds <= set(first[name]) & set(second.get(name, ()))]
    return tuple(
        {name: [scores[name][seed] for seed in sorted(seeds)] for name in attributes}
        for scores in (first, second)
    )
