"""The benchmark of the search index runs, and prints a table that adds up."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_benchmark_prints_a_table() -> None:
    words = "--sizes 100 6000 --dimension 16 --queries 20".split()
    command = [sys.executable, "benchmarks/search_index.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line][2:]
    assert [row[1] for row in rows] == ["100"] * 4 + ["6,000"] * 4
    table = {(row[0], row[1]): (float(row[3].replace(",", "")), float(row[5])) for row in rows}
    assert table["exact float32", "6,000"][1] == 1.0
    assert 0.8 < table["hnsw float32", "6,000"][1] <= 1.0
    sizes = {kind: table[kind, "6,000"][0] for kind in ("exact float32", "exact float16")}
    assert 16 * 4 + 8 <= sizes["exact float32"] < 16 * 4 + 9  # vector and id, and a small head
    assert 16 * 2 + 8 <= sizes["exact float16"] < 16 * 2 + 9
    assert "from 100 to 6,000 items, build time ~ items^" in done.stdout
    told = dict(
        re.findall(r"^- (.*): from .*bytes per item ~ items\^([-0-9.]+),", done.stdout, re.M)
    )
    assert set(told) == {row[0] for row in rows}
    for kind, exponent in told.items():
        ratio = table[kind, "6,000"][0] / table[kind, "100"][0]  # of whole bytes, as printed
        assert float(exponent) == pytest.approx(math.log(ratio, 60), abs=0.01)


def test_the_benchmark_of_a_large_catalogue_measures_each_store() -> None:
    words = "--items 2000 --milvus-items 0 --dimension 16 --queries 20".split()
    command = [sys.executable, "-m", "benchmarks.large_catalogue", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line][2:]
    table = {row[0]: row for row in rows}
    assert set(table) == {"exact float16", "hnsw float16", "hnsw float32"}
    assert [row[1] for row in rows] == ["200", "2,000"] * 3
    assert float(table["exact float16"][7]) > 0.9 < float(table["hnsw float32"][7])
    assert all(float(row[5].replace(",", "")) > 0 < float(row[6].replace(",", "")) for row in rows)
    assert done.stdout.count("10,000,000 items, in proportion") == 3 and "Simulated" in done.stdout
    assert done.stdout.count("from 200 to 2,000 items: build time ~ items^") == 3


@pytest.mark.slow
def test_a_kept_graph_and_a_server_make_a_search_cheaper() -> None:
    words = "--images 3 --repeats 1".split()
    command = [sys.executable, "-m", "benchmarks.first_answer", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line][2:]
    first, later, served = (float(row[2].strip("| ")) for row in rows[:3])
    assert 0.1 < served < later < first, done.stdout  # seconds of processor time
    assert all(0 < float(row[1]) for row in rows)
