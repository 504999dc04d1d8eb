"""The benchmark of the search index runs, and prints a table that adds up."""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import large_catalogue

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


def test_the_benchmark_of_a_large_catalogue_measures_each_store(tmp_path: Path) -> None:
    words = "--items 2000 --milvus-items 0 --dimension 16 --queries 20 --docs".split()
    page = tmp_path / "search.md"
    page.write_text((ROOT / "docs" / "search.md").read_text("utf-8"), "utf-8")
    words.append(str(page))
    command = [sys.executable, "-m", "benchmarks.large_catalogue", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line]
    rows, large = rows[2:8], rows[10:]
    table = {row[0]: row for row in rows}
    assert set(table) == {"exact float16", "hnsw float16", "hnsw float32"}
    assert [row[1] for row in rows] == ["200", "2,000"] * 3
    assert float(table["exact float16"][7]) > 0.9 < float(table["hnsw float32"][7])
    assert all(float(row[5].replace(",", "")) > 0 < float(row[6].replace(",", "")) for row in rows)
    assert "Simulated" in done.stdout and "were looked for on the PATH: " in done.stdout
    block = page.read_text("utf-8").split("<!-- ten million: begin -->\n")[1].split("<!--")[0]
    assert [row[0] for row in large] == list(table) and block in done.stdout
    assert done.stdout.count("from 200 to 2,000 items: build time ~ items^") == 3


def test_ten_million_items_are_carried_on_as_the_local_index_grew() -> None:
    sizes = {"items": 10**5, "build": 10.0, "memory": 2**30, "disk": 2**29, "speed": 400.0}
    larger = {"items": 10**6, "build": 200.0, "memory": 2**32, "disk": 2**31, "speed": 200.0}
    lite = {**larger, "build": 10**6, "store": large_catalogue.LITE}
    rows = [{**one, "store": "hnsw float16"} for one in (sizes, larger)] + [lite]
    rows += [{**one, "store": "exact float16"} for one in (sizes, larger)]
    options = argparse.Namespace(dimension=512, items=10**6)
    text = large_catalogue.ten_million(rows, options)
    # 20 times as long and half as fast for ten times the items, and so again.
    assert text.splitlines()[2] == "| hnsw float16 | 40 GB | 20 GB | 67 min | 100 |"
    # Exact search compares every vector: ten times as long, a tenth as fast.
    assert text.splitlines()[3:5] == ["| exact float16 | 40 GB | 20 GB | 33 min | 20 |", ""]
    assert "measured at 1,000,000" in text and "Over a factor of 10 " in text
    said = large_catalogue._of_milvus(rows, options)
    assert "adding one took 1000.00 ms, so 1,000,000 would take 277.8 hours" in said


@pytest.mark.slow
def test_a_kept_graph_and_a_server_make_a_search_cheaper() -> None:
    words = "--images 3 --repeats 1".split()
    command = [sys.executable, "-m", "benchmarks.first_answer", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line][2:]
    first, later, built, served = (float(row[2].strip("| ")) for row in rows[:4])
    assert 0.1 < served < min(first, later), done.stdout  # seconds of processor time
    assert max(first, later) < built, done.stdout
    assert all(0 < float(row[1]) for row in rows)
