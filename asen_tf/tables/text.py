"""Tables to read: numbers averaged over seeds, laid out, as Markdown and as LaTeX."""

from __future__ import annotations

from typing import Any

import pandas as pd

from asen_tf.studies import LABELS, Selection


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
    names = means["method"].map(lambda name: LABELS.get(name, name))
    means.insert(0, "series", names.where(~several, names + " " + means["embedding"]))
    return means


def cells(summary: pd.DataFrame) -> pd.DataFrame:
    """Lay a summary out: a row per attribute, a column per method and embedding, texts inside.

    A cell reads `50.12 (47.3 to 52.8)` with one seed, `50.12 ± 0.73` with several.
    """

    def text(row: Any) -> str:
        if row.method == "random":
            return f"{row.map:.2f}"
        if row.seeds > 1:
            return f"{row.map:.2f} ± {row.high - row.map:.2f}"
        return f"{row.map:.2f} ({row.low:.1f} to {row.high:.1f})"

    shown = summary.assign(cell=[text(row) for row in summary.itertuples()])
    wide = shown.pivot(index="attribute", columns="series", values="cell")
    wide = wide.loc[summary["attribute"].unique(), summary["series"].unique()]
    wide.index = wide.index.str.replace("_", " ")
    return wide.rename_axis(index=None, columns=None)


def to_markdown(laid_out: pd.DataFrame) -> str:
    """Return a laid-out table as Markdown."""
    rows = [["attribute", *laid_out.columns], ["---", *["---:"] * laid_out.shape[1]]]
    rows += [[str(row[0]), *row[1:]] for row in laid_out.itertuples()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_latex(laid_out: pd.DataFrame, note: str) -> str:
    """Return a laid-out table as LaTeX for `booktabs`, with the note on its sources as comment."""
    styled = laid_out.style.format(escape="latex").format_index(escape="latex")
    for axis in ("index", "columns"):
        styled = styled.format_index(escape="latex", axis=axis)
    comment = "".join(f"% {line}\n" for line in note.splitlines())
    return comment + styled.to_latex(hrules=True, column_format="l" + "r" * laid_out.shape[1])


def source_note(selection: Selection) -> str:
    """Say what the numbers are and which runs they come from, in Markdown."""
    first = selection.runs[0]
    versions = first.manifest["packages"].items()
    packages = ", ".join(f"{name} {version}" for name, version in versions)
    runs = ", ".join(f"`{run.path.name}`" for run in selection.runs)
    code, data = first.origin
    return (
        f"MAP in percent on the test split of {first.settings['dataset']}; in brackets the 95 % "
        "bootstrap interval over queries, or after ± the standard deviation over seeds. "
        "`overall` is weighted by queries, `macro` is the mean of the attributes. "
        "Random is the exact expectation.\n"
        f"Runs: {runs}.\n"
        f"Code {code}, data {data[:16]}, commit {_short(first.manifest['commit'])}; "
        f"Python {first.manifest['python']}, {packages}.\n"
    )


def _short(commit: str) -> str:
    """Return ten digits of a commit, and whether files differed from it."""
    digits, *modified = commit.split("-")
    return "-".join([digits[:10], *modified])
