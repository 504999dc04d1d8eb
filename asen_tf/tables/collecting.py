"""From the finished runs of a study to its tables on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from asen_tf.config import ExperimentConfig
from asen_tf.files import write_json, write_text
from asen_tf.studies import FinishedRun, Selection, select
from asen_tf.tables.text import cells, source_note, summarise, to_latex, to_markdown


class TableError(ValueError):
    """The runs of a study make no table."""


@dataclass(frozen=True)
class StudyTables:
    """A study's numbers and where they come from.

    Attributes:
        map: `method, embedding, seed, attribute, map, ci_low, ci_high, queries`; percent. The
            exact numbers of a random ranking come first, once; their embedding is "-".
        localisation: `method, seed, attribute, pointing, iou, centre_pointing, centre_iou`;
            percent; empty where no true boxes are known.
        selection: the runs that count, and why others do not.
    """

    map: pd.DataFrame
    localisation: pd.DataFrame
    selection: Selection


def collect(place: Path | str, config: ExperimentConfig) -> StudyTables:
    """Gather the numbers of a study's finished runs; see `asen_tf.studies.select` for which.

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
    maps = [_read(run, "map") for run in selection.runs]
    chance = [table[table["method"] == "random"].reset_index(drop=True) for table in maps]
    for run, other in zip(selection.runs, chance, strict=True):
        if not other.drop(columns="seed").equals(chance[0].drop(columns="seed")):
            raise TableError(
                f"{run.path}: its test split gives another random MAP than that of "
                f"{selection.runs[0].path}; numbers on different data share no table"
            )
    ranked = [table[table["method"] != "random"] for table in maps]
    places = [_read(run, "localisation") for run in selection.runs]
    return StudyTables(
        pd.concat([chance[0], *ranked], ignore_index=True),
        pd.concat(places, ignore_index=True),
        selection,
    )


def write(tables: StudyTables, place: Path | str) -> list[Path]:
    """Write a study's tables, each in full or not at all.

    `map.csv`, `localisation.csv`, `map.md`, `map.tex`, and `provenance.json`. Numbers have four
    decimals, so that identical runs make identical files.

    Args:
        tables: of `collect`.
        place: the study's directory.

    Returns:
        What was written.

    Raises:
        TableError: the table that is there holds a run that this one would lose.
    """
    place = Path(place)
    _check_nothing_is_lost(place / "map.csv", tables)
    laid_out, note = cells(summarise(tables.map)), source_note(tables.selection)
    texts = {"map.csv": _csv(tables.map)}
    if len(tables.localisation):
        texts["localisation.csv"] = _csv(tables.localisation)
    texts["map.md"] = f"{to_markdown(laid_out)}\n{note}\n"
    texts["map.tex"] = to_latex(laid_out, note)
    for name, text in texts.items():
        write_text(place / name, text)
    write_json(place / "provenance.json", _provenance(tables.selection))
    return [place / name for name in (*texts, "provenance.json")]


def _read(run: FinishedRun, name: str) -> pd.DataFrame:
    path = run.path / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.4f", lineterminator="\n")


def _check_nothing_is_lost(path: Path, tables: StudyTables) -> None:
    """Keep a finished table from being replaced by a part of it."""
    if not path.exists():
        return
    keys = ["method", "seed"]
    there, here = (
        set(table.loc[table["method"] != "random", keys].itertuples(index=False, name=None))
        for table in (pd.read_csv(path), tables.map)
    )
    lost = ", ".join(f"{method} seed {seed}" for method, seed in sorted(there - here))
    if lost:
        raise TableError(
            f"{path}: a finished table is not replaced by a part of it; the new one lacks {lost}; "
            "finish these runs, or remove the file"
        )


def _provenance(selection: Selection) -> dict[str, Any]:
    return {
        "runs": [
            {"run": run.path.name, "settings": dict(run.settings), **run.manifest}
            for run in selection.runs
        ],
        "left_out": dict(selection.left_out),
    }
