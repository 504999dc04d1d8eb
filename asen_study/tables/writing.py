"""A study's tables: laid out for readers, and on disk, each written completely or not at all.

Published numbers are kept apart from the project's own.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from asen_study.matrix import LABELS
from asen_study.runs import Selection
from asen_study.tables.collecting import StudyTables, TableError, described
from asen_tf.config import ExperimentConfig
from asen_tf.files import write_json, write_text

# === On disk ===


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
        texts |= tables_to_read(tables.map, costs, tables.selection, tables.config)
    for name, text in texts.items():
        write_text(place / name, text)
    selection = tables.selection
    write_json(
        place / "provenance.json",
        {
            "settings": tables.config.to_dict(),
            "runs": [
                described(run, row, tables.config)
                for run, row in zip(selection.runs, selection.rows, strict=True)
            ],
            "left_out": dict(selection.left_out),
        },
    )
    return [place / name for name in (*texts, "provenance.json")]


def as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV text, the same for all results: numbers have four decimals."""
    return frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")


def write_table(frame: pd.DataFrame, path: Path | str) -> Path:
    """Write one table as CSV, like those of `write`; return its path."""
    write_text(Path(path), as_csv(frame))
    return Path(path)


def tables_to_read(
    scores: pd.DataFrame,
    costs: pd.DataFrame | None,
    selection: Selection,
    config: ExperimentConfig,
) -> dict[str, str]:
    """Return the contents of `map.md` and `map.tex`, each with a note on its sources.

    Args:
        scores: as `map.csv`.
        costs: as `costs.csv`, if they were measured.
        selection: the runs that the numbers come from.
        config: the study's settings.
    """
    laid_out, note = cells(summarise(scores), costs), source_note(selection, config)
    markdown = f"{to_markdown(laid_out)}\n{note}\n"
    return {"map.md": markdown, "map.tex": to_latex(laid_out, note)}


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


# === For readers ===


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Average a table of MAP over seeds.

    Args:
        table: as `map.csv`.

    Returns:
        `series, method, embedding, attribute, map, seeds, low, high`, in the order of the table;
        `series` names method and embedding. With one seed, low and high are the ends of the
        interval over queries; with several, the mean minus and plus the standard deviation over
        seeds.
    """
    grouped = table.groupby(["method", "embedding", "attribute"], sort=False)
    means = grouped["map"].mean().to_frame().assign(seeds=grouped["seed"].nunique())
    spread = grouped["map"].std(ddof=1)
    alone = means["seeds"] == 1
    means["low"] = grouped["ci_low"].first().where(alone, means["map"] - spread)
    means["high"] = grouped["ci_high"].first().where(alone, means["map"] + spread)
    means = means.reset_index()
    several = means.groupby("method")["embedding"].transform("nunique") > 1
    names = means["method"].map(_label)
    means.insert(0, "series", names.where(~several, names + " " + means["embedding"]))
    return means


def cells(summary: pd.DataFrame, costs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lay out a summary: a row per method and embedding, a column per attribute, text inside.

    A cell reads `50.1 (47.3 to 52.8)` with one seed, `50.1 ± 0.7` with several.

    Args:
        summary: of `summarise`.
        costs: `method, embedding, parameters, ms_per_image, images_seen`: three more columns.
    """

    def text(row: Any) -> str:
        if row.method == "random":
            return f"{row.map:.1f}"
        if row.seeds > 1:
            return f"{row.map:.1f} ± {row.high - row.map:.1f}"
        return f"{row.map:.1f} ({row.low:.1f} to {row.high:.1f})"

    shown = summary.assign(cell=[text(row) for row in summary.itertuples()])
    wide = shown.pivot(index="series", columns="attribute", values="cell")
    wide = wide.loc[summary["series"].unique(), summary["attribute"].unique()]
    if costs is not None:
        keys = ["method", "embedding"]
        names = summary.drop_duplicates("series").set_index("series")[keys]
        found = names.merge(costs, on=keys, how="left").set_index(names.index)
        for column, title, form in (
            ("parameters", "parameters", "{:,.0f}"),
            ("ms_per_image", "ms per image", "{:.1f}"),
            ("images_seen", "images seen", "{:,.0f}"),
        ):
            wide[title] = [
                "-" if pd.isna(number) else form.format(number) for number in found[column]
            ]
    wide.columns = wide.columns.str.replace("_", " ")
    return wide.rename_axis(index=None, columns=None)


def in_words(pairs: pd.DataFrame, *, attribute: str = "overall") -> list[str]:
    """Say which method of each pair is better, if the difference is significant.

    Args:
        pairs: of `asen_study.tables.compare`; significant where the interval excludes zero.
        attribute: whose rows to take.
    """
    sentences = []
    for row in pairs[pairs["attribute"] == attribute].itertuples():
        first, second = (_label(name) for name in (row.method_a, row.method_b))
        interval = f"{row.difference:+.2f} points, {row.ci_low:+.2f} to {row.ci_high:+.2f}"
        if row.ci_low <= 0.0 <= row.ci_high:
            sentences.append(f"{first} and {second} are not significantly different ({interval}).")
        else:
            verdict = "above" if row.difference > 0 else "below"
            sentences.append(f"{first} is {verdict} {second} ({interval}).")
    return sentences


def _label(name: str) -> str:
    row, _, embedding = name.partition(":")
    return f"{LABELS.get(row, row)} {embedding}".strip()


def to_markdown(laid_out: pd.DataFrame, *, words: Collection[str] = ()) -> str:
    """Return a laid-out table as Markdown; the columns in `words` are left-aligned."""
    rules = ["---" if name in words else "---:" for name in laid_out.columns]
    rows = [["method", *laid_out.columns], ["---", *rules]]
    rows += [[str(row[0]), *row[1:]] for row in laid_out.itertuples()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_latex(laid_out: pd.DataFrame, note: str) -> str:
    """Return a laid-out table as LaTeX for `booktabs`, after the note on its sources."""
    styled = laid_out.style.format(escape="latex").format_index(escape="latex")
    for axis in ("index", "columns"):
        styled = styled.format_index(escape="latex", axis=axis)
    comment = "".join(f"% {line}\n" for line in note.splitlines())
    return comment + styled.to_latex(hrules=True, column_format="l" + "r" * laid_out.shape[1])


def source_note(selection: Selection, study: ExperimentConfig) -> str:
    """Return what the numbers are and which runs they come from, in Markdown."""
    first = selection.runs[0]
    versions = first.manifest["packages"].items()
    packages = ", ".join(f"{name} {version}" for name, version in versions)
    seeds = sorted({run.settings["seed"] for run in selection.runs})
    commits = sorted({_short(run.manifest["commit"]) for run in selection.runs})
    code, _ = first.origin
    data = dict.fromkeys(run.origin[1][:16] for run in selection.runs)
    folds = sorted({run.settings.get("dataset", study.dataset) for run in selection.runs})
    tested = f"split of {study.dataset}" if len(folds) < 2 else f"splits of {', '.join(folds)}"
    return (
        f"MAP in percent on the test {tested}; in brackets the 95 % bootstrap "
        "interval over queries, or after ± the standard deviation over seeds. "
        "`overall` is weighted by queries, `macro` is the mean of the attributes. "
        "Random is the exact expectation. Images seen: by the training of the method, counted "
        "as often as they were shown; the pretraining that all share is not in it.\n"
        f"{len(selection.runs)} runs, seeds {', '.join(map(str, seeds))}; settings, versions and "
        "times of each in `provenance.json`.\n"
        f"Code {code}, data {', '.join(data)}, commit {', '.join(commits)}; "
        f"Python {first.manifest['python']}, {packages}.\n"
    )


def _short(commit: str) -> str:
    """Return ten digits of a commit, with its mark if files differed from it."""
    digits, *modified = commit.split("-")
    return "-".join([digits[:10], *modified])


_PAGE = """# Published results

Numbers from other people's papers, in percent, none of them made by this project: other images,
other networks. They are MAP on the test split, and for Zappos50k the share of triplets ranked
correctly. Our own numbers stand in the other tables of this folder, and never beside these.

The status says how a row was checked: `verified` was read in the source; `checksum` was not, but
its numbers, weighted by queries, reproduce the row's overall number; `computed` is an exact
expectation. A dash is a number that is not published, or was not checked.

Written by `asen_study.tables.write_published` from `reference/published_results.csv`.
"""


def published(path: Path | str, dataset: str) -> pd.DataFrame:
    """Lay out the published MAP of a dataset: a row per method, a column per attribute.

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
    """Write the published numbers of all datasets to a page of their own, with status and source.

    Args:
        path: the table of published results, as for `published`.
        target: the Markdown file, such as `results/published.md`.
    """
    pages = [_PAGE]
    for dataset in pd.read_csv(path)["dataset"].unique():
        laid_out = published(path, dataset)
        pages.append(f"## {dataset}\n\n{to_markdown(laid_out, words=('status', 'source'))}")
    write_text(Path(target), "\n".join(pages))
