"""What the benchmarks share: paired timing, and a table of all ratios with the machine.

`make bench` runs them. Each benchmark times two ways of doing the same, by turns and in one
process, and notes the ratio of their medians; so a machine that gets slower slows both.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from asen_study.provenance import commit
from asen_tf.files import replacing
from benchmarks.table import MEASURED, RATIOS

TABLE = MEASURED / RATIOS
COLUMNS = ("question", "ours", "against", "ratio", "goal", "met", "machine", "commit", "date")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported


class Notes:
    """The rows of the table; those of benchmarks that did not run this time are kept."""

    def __init__(self) -> None:
        """Start without rows."""
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        question: str,
        *,
        ours: str,
        against: str,
        ratio: float,
        goal: str = "",
        met: bool | None = None,
    ) -> None:
        """Note what a benchmark found, and print it.

        Args:
            question: what was asked; one row each.
            ours: what was measured, with its unit.
            against: what it was measured against, with its unit.
            ratio: how many times better ours is, or the share that was asked for.
            goal: what was hoped for.
            met: whether it was reached; None where there was no goal.
        """
        words = {True: "yes", False: "no", None: ""}[met]
        found = dict(zip(COLUMNS[:6], (question, ours, against, ratio, goal, words), strict=True))
        when = datetime.now(UTC).date().isoformat()
        self.rows.append({**found, "machine": machine(), "commit": commit()[:10], "date": when})
        print(f"\n{question}: {ours}; {against}; ratio {ratio:.3g}; goal {goal or '-'} {words}")

    def write(self) -> None:
        """Write the table, all of it or nothing."""
        table = pd.DataFrame(self.rows, columns=COLUMNS)
        if TABLE.exists():
            before = pd.read_csv(TABLE, keep_default_na=False)
            table = pd.concat([before[~before["question"].isin(table["question"])], table])
        with replacing(TABLE) as temporary:
            table.to_csv(temporary, index=False, float_format="%.3g")


def machine() -> str:
    """Say what kind of machine this is, and what it runs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = re.findall(r"model name\s*: (.+)", information.read_text())
        processor = names[0] if names else processor
    versions = f"TensorFlow {importlib.metadata.version('tensorflow')}"
    system = f"{platform.system()}, Python {platform.python_version()}, {versions}"
    return f"{cores} cores of {processor}, {system}"


@pytest.fixture(scope="session")
def notes() -> Notes:
    """Give the table to add to; it is written at the end, whatever happened until then."""
    found = Notes()
    yield found
    if found.rows:
        found.write()


@pytest.fixture
def paired(benchmark: Any) -> Callable[..., tuple[float, float]]:
    """Give a function that times two others by turns, and returns both medians in seconds."""

    def run(
        ours: Callable[[], Any], against: Callable[[], Any], *, rounds: int = 5, warmup: int = 1
    ) -> tuple[float, float]:
        for _ in range(warmup):
            ours()
            against()
        spent: list[float] = []

        def before() -> None:
            started = time.perf_counter()
            against()
            spent.append(time.perf_counter() - started)

        benchmark.pedantic(ours, setup=before, rounds=rounds)
        return benchmark.stats.stats.median, statistics.median(spent)

    return run
