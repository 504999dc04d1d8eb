"""Puts what `make bench` measured into benchmarks/README.md: `python -m benchmarks.table`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from asen_tf.files import write_text

HERE = Path(__file__).parent
MEASURED = HERE.parent / "results" / "benchmarks"
TIME_TO_MAP = MEASURED.parent / "time_to_map" / "summary.csv"
RATIOS, OPERATIONS, SEARCH = "ratios.csv", "where_time_goes.csv", "search.md"
SHOWN = ("question", "ours", "against", "ratio", "goal", "met")
LEAST = 0.01  # share of a step below which an operation is not shown


def ratios() -> str:
    """Return the table of all ratios in Markdown, with the machine and the commits below it."""
    table = pd.read_csv(MEASURED / RATIOS, keep_default_na=False)
    lines = ["| " + " | ".join(SHOWN) + " |", "|---|---|---|---:|---|---|"]
    for row in table[list(SHOWN)].astype(str).itertuples(index=False):
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |")
    origin = [", ".join(sorted(set(table[name].astype(str)))) for name in ("machine", "commit")]
    return "\n".join([*lines, "", f"Machine: {origin[0]}. Commit: {origin[1]}."])


def operations() -> str:
    """Return the share of each kind of operation in a step of both stages, in Markdown."""
    table = pd.read_csv(MEASURED / OPERATIONS)
    shares = table.pivot(index="operation", columns="stage", values="share").fillna(0.0)
    shares = shares[shares.max(axis=1) >= LEAST].sort_values(2, ascending=False)
    lines = ["| operation | stage 1 | stage 2 |", "|---|---:|---:|"]
    for name, row in shares.iterrows():
        lines.append(f"| {name} | {100 * row[1]:.1f}% | {100 * row[2]:.1f}% |")
    return "\n".join(lines)


def search() -> str:
    """Return what `search_index.py` found."""
    return (MEASURED / SEARCH).read_text(encoding="utf-8").strip()


def time_to_a_map() -> str:
    """Return how soon each protocol reached the goal, in Markdown."""
    table = pd.read_csv(TIME_TO_MAP)
    lines = [
        "| protocol | seconds | images | times fewer seconds | final MAP, validation | MAP, test |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in table.itertuples():
        reached = ["never", "-", "-"]
        if row.seconds == row.seconds:  # not NaN
            reached = [f"{row.seconds:.0f}", f"{row.images:,.0f}", f"{row.times_fewer_seconds:.1f}"]
        scores = [f"{row.final_val_map:.1f}", f"{row.test_map:.1f}"]
        lines.append(f"| {' | '.join([row.protocol, *reached, *scores])} |")
    return "\n".join([*lines, "", f"The goal was a MAP of {table['goal_val_map'][0]:.1f}."])


PARTS = {
    "ratios": ratios,
    "operations": operations,
    "time to a MAP": time_to_a_map,
    "search": search,
}


def filled(page: str) -> str:
    """Return a page with each part between its marks, `<!-- name: begin -->` and `end`."""
    for name, part in PARTS.items():
        begin, end = (f"<!-- {name}: {mark} -->" for mark in ("begin", "end"))
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{part()}\n{end}{rest.split(end)[1]}"
    return page


def main() -> None:
    """Write the tables between their marks."""
    page = HERE / "README.md"
    write_text(page, filled(page.read_text(encoding="utf-8")))
    print(ratios())


if __name__ == "__main__":
    main()
