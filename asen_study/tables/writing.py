"""A study's tables on disk, each written completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from asen_study.provenance import commit
from asen_study.tables.collecting import StudyTables, TableError, origin
from asen_study.tables.text import cells, source_note, summarise, to_latex, to_markdown
from asen_tf.files import write_json, write_text


def write(
    tables: StudyTables,
    place: Path | str,
    *,
    costs: pd.DataFrame | None = None,
    pairs: pd.DataFrame | None = None,
) -> list[Path]:
    """Write a study's tables.

    These are `map.csv`, `map_any_value.csv`, `localisation.csv`, `triplets.csv`, `fusion.csv`,
    `history.csv` (every epoch of all runs), `costs.csv` and `pairs.csv`, except for empty ones;
    `map.md`, `map.tex`, and `provenance.json`. Numbers have four decimals, so identical runs give
    identical files.

    Args:
        tables: of `collect`.
        place: the study's directory.
        costs: of `measure_costs`; they are also shown in `map.md` and `map.tex`.
        pairs: of `compare`.

    Returns:
        The files that were written.

    Raises:
        TableError: the existing table holds a run that this one would lose.
    """
    place = Path(place)
    main = "map" if len(tables.map) else "triplets"
    _check_nothing_is_lost(place / f"{main}.csv", getattr(tables, main))
    frames = {
        "map": tables.map,
        "map_any_value": tables.map_any_value,
        "localisation": tables.localisation,
        "triplets": tables.triplets,
        "fusion": tables.fusion,
        "history": tables.history,
        "costs": costs,
        "pairs": pairs,
    }
    texts = {
        f"{name}.csv": as_csv(frame)
        for name, frame in frames.items()
        if frame is not None and len(frame)
    }
    if len(tables.map):
        laid_out = cells(summarise(tables.map), costs)
        note = source_note(tables.selection, tables.config)
        texts["map.md"] = f"{to_markdown(laid_out)}\n{note}\n"
        texts["map.tex"] = to_latex(laid_out, note)
    for name, text in texts.items():
        write_text(place / name, text)
    selection = tables.selection
    told = {**origin(selection.named, tables.config), "left_out": dict(selection.left_out)}
    write_json(place / "provenance.json", told)
    return [place / name for name in (*texts, "provenance.json")]


def as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV text, the same for all results: numbers have four decimals."""
    return frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")


def write_table(frame: pd.DataFrame, path: Path | str) -> Path:
    """Write one table as CSV, like those of `write`, unless it is empty; return its path.

    A table whose `attrs` tell its origin gets a file beside it, `<name>_provenance.json`, with that
    and the commit that read the runs.
    """
    path = Path(path)
    if len(frame):
        write_text(path, as_csv(frame))
        if "origin" in frame.attrs:
            told = {"evaluated_by": commit(), **frame.attrs["origin"]}
            write_json(path.with_name(f"{path.stem}_provenance.json"), told)
    return path


def _check_nothing_is_lost(path: Path, new: pd.DataFrame) -> None:
    """Refuse to replace a finished table by a part of it."""
    if not path.exists():
        return
    keys = ["method", "seed"]
    there, here = (
        set(table.loc[table["method"] != "random", keys].itertuples(index=False, name=None))
        for table in (pd.read_csv(path), new)
    )
    lost = ", ".join(f"{method} seed {seed}" for method, seed in sorted(there - here))
    if lost:
        raise TableError(
            f"{path}: a finished table is not replaced by a part of it; the new one lacks "
            f"{lost}; finish these runs, or remove the file"
        )
