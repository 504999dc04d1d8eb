"""Puts what `make bench` measured into benchmarks/README.md: `python -m benchmarks.table`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from asen_tf.files import write_text

HERE = Path(__file__).parent
TABLE = HERE.parent / "results" / "benchmarks.csv"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SHOWN = ("question", "ours", "against", "ratio", "goal", "met")


def markdown(table: pd.DataFrame) -> str:
    """Return the table in Markdown, with the machine and the commits below it."""
    lines = ["| " + " | ".join(SHOWN) + " |", "|---|---|---|---:|---|---|"]
    for row in table[list(SHOWN)].astype(str).itertuples(index=False):
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |")
    origin = [", ".join(sorted(set(table[name].astype(str)))) for name in ("machine", "commit")]
    return "\n".join([*lines, "", f"Machine: {origin[0]}. Commit: {origin[1]}."])


def main() -> None:
    """Write the table between its marks."""
    page = HERE / "README.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    table = markdown(pd.read_csv(TABLE, keep_default_na=False))
    write_text(page, f"{before}{BEGIN}\n{table}\n{END}{after}")
    print(table)


if __name__ == "__main__":
    main()
