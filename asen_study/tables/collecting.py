"""From the finished runs of a study to its tables.

Rows of the matrix that vary one setting, as a sweep over its values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from asen_study.matrix import ROWS, images_seen
from asen_study.runs import Run, Selection, select
from asen_tf.config import ExperimentConfig


class TableError(ValueError):
    """The runs of a study make no table."""


@dataclass(frozen=True)
class StudyTables:
    """A study's numbers and where they come from. `method` is a row of `asen_study.matrix`.

    Attributes:
        map: `method, embedding, seed, attribute, map, ci_low, ci_high, queries`; percent. The
            exact numbers of a random ranking come first, once; their embedding is "-". Empty for
            datasets that list triplets.
        map_any_value: the same where images hold several values: any shared one counts.
        localisation: `method, seed, attribute, pointing, iou, centre_pointing, centre_iou`;
            percent; empty where no true boxes are known.
        triplets: `method, embedding, seed, attribute, accuracy, ci_low, ci_high, triplets`;
            percent.
        fusion: `method, seed, weight, map`; percent, on the validation split.
        history: `method, seed, images`, then what the runs' own `history.csv` say: by epoch,
            after so many images: `stage`, `epoch`, losses, `val_map` (of listed triplets
            `val_accuracy`), and of methods with attention `val_region_side` and `val_entropy`.
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
        TableError: no run counts, or the runs were measured on different test splits.
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
        pd.concat(_histories(selection), ignore_index=True),
        config,
        selection,
    )


def _with_chance(selection: Selection, name: str) -> pd.DataFrame:
    """Return a table of MAP of all runs, the rows of a random ranking first, once."""
    held = [(run, row) for run, row in zip(selection.runs, selection.rows, strict=True)]
    held = [(run, row) for run, row in held if (run.path / f"{name}.csv").exists()]
    maps = [pd.read_csv(run.path / f"{name}.csv") for run, _ in held]
    chance = [table[table["method"] == "random"].reset_index(drop=True) for table in maps]
    for (run, _), other in zip(held, chance, strict=True):
        if not other.drop(columns="seed").equals(chance[0].drop(columns="seed")):
            raise TableError(
                f"{run.path}: its test split gives another random MAP than that of "
                f"{held[0][0].path}; numbers on different data share no table"
            )
    ranked = [
        table[table["method"] != "random"].assign(method=row)
        for table, (_, row) in zip(maps, held, strict=True)
    ]
    return pd.concat([*chance[:1], *ranked], ignore_index=True) if held else pd.DataFrame()


def _gather(selection: Selection, name: str) -> pd.DataFrame:
    """Return one table of all runs that have it, under the names of their rows, seeds first."""
    tables = []
    for run, row in zip(selection.runs, selection.rows, strict=True):
        if (run.path / f"{name}.csv").exists():
            table = pd.read_csv(run.path / f"{name}.csv").drop(columns=["method", "seed"])
            table.insert(0, "method", row)
            place = 2 if "embedding" in table else 1
            table.insert(place, "seed", run.settings["seed"])
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _histories(selection: Selection) -> Iterable[pd.DataFrame]:
    for run, row in zip(selection.runs, selection.rows, strict=True):
        history = pd.read_csv(run.path / "history.csv")
        total, epochs = images_seen(run.settings), len(history)
        images = [total * (at + 1) // epochs for at in range(epochs)]
        named = pd.DataFrame({"method": row, "seed": run.settings["seed"], "images": images})
        yield pd.concat([named, history], axis=1)


def described(run: Run, row: str, config: ExperimentConfig) -> dict[str, object]:
    """Return where a run's numbers come from: what it changes of the study's settings, and more."""
    study = config.to_dict()
    changes = {name: value for name, value in run.settings.items() if value != study.get(name)}
    return {"run": run.path.name, "row": row, "changes": changes, **run.manifest}


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
