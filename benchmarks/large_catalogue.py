"""A large catalogue: `python -m benchmarks.large_catalogue`, a million items by default.

The vectors are simulated (`benchmarks.search_index.draw`: random clusters), because a million
photographs are not at hand: time, memory and disk are those of real ones, recall only resembles
theirs. Each store is measured in a process of its own, so that its memory is its own. "One in 100"
is a search among the items that passed a filter, which is applied first. How a store grows follows
from a tenth of the items. Milvus' server is a program of its own, in none of the Python packages
that the project installs; it is looked for, and Milvus Lite is measured in any case.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from asen_apps.search.vectors import new_backend
from asen_tf.files import write_text
from benchmarks.search_index import K, draw

LOCAL = (("exact", "float16"), ("hnsw", "float16"), ("hnsw", "float32"))
LITE = "Milvus Lite"
SERVERS = ("milvus", "milvus-server")  # programs
LITE_SAYS = "https://milvus.io/docs/milvus_lite.md"
MARKS = "<!-- ten million: begin -->\n", "<!-- ten million: end -->"
BLOCK = 50_000  # vectors that are added together
ROUNDS = 3  # of the same queries; the quickest counts, as other programs only slow it down
TARGET = 10_000_000  # items, for the last lines


def measure(
    backend: str, dtype: str, items: int, dimension: int, asked: int, seed: int
) -> dict[str, Any]:
    """Build one store and ask it; return seconds, bytes, queries per second and recall@10.

    Args:
        backend: "exact", "hnsw" or "milvus lite".
        dtype: of stored vectors.
        items: how many.
        dimension: of the vectors.
        asked: queries, one at a time.
        seed: of the vectors.
    """
    vectors, queries = draw(items, asked, dimension, seed)
    before = _resident()
    with tempfile.TemporaryDirectory() as folder:
        place = "vectors.db" if backend == "milvus lite" else backend
        address = str(Path(folder, place)) if place.endswith(".db") else place
        store = new_backend(
            address, attribute="simulated", dimension=dimension, count=items, dtype=dtype
        )
        began = time.perf_counter()
        for first in range(0, items, BLOCK):
            rows = np.arange(first, min(first + BLOCK, items))
            store.add(rows, vectors[rows])
        build = time.perf_counter() - began
        held = _resident() - before
        saved = Path(folder, "saved")
        saved.mkdir()
        store.save(saved, "000")
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        rng = np.random.default_rng(seed)
        few = np.sort(rng.choice(items, max(items // 100, K), replace=False))
        speeds, found = [], []
        for allowed in (None, few):
            store.search(queries[:1], K, allowed)
            rounds = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answers = [store.search(query[None], K, allowed)[1][0] for query in queries]
                rounds.append(time.perf_counter() - began)
            speeds.append(asked / min(rounds))
            found.append(answers)
        store.drop()
    best = _best(vectors, queries)
    recall = np.mean([len({*a} & {*b}) / K for a, b in zip(found[0], best, strict=True)])
    return {
        "store": f"{backend} {dtype}" if backend != "milvus lite" else LITE,
        "items": items,
        "build": build,
        "memory": max(held, 0),
        "disk": disk,
        "speed": speeds[0],
        "filtered": speeds[1],
        "recall": float(recall),
    }


def _best(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return `(Q, K)` rows of the true nearest vectors, block by block."""
    scores = np.full((len(queries), K), -np.inf, np.float32)
    rows = np.zeros((len(queries), K), int)
    for first in range(0, len(vectors), BLOCK):
        block = queries @ vectors[first : first + BLOCK].T
        joined = np.concatenate([scores, block], axis=1)
        numbers = np.broadcast_to(np.arange(first, first + block.shape[1]), block.shape)
        known = np.concatenate([rows, numbers], axis=1)
        order = np.argsort(-joined, axis=1)[:, :K]
        scores = np.take_along_axis(joined, order, axis=1)
        rows = np.take_along_axis(known, order, axis=1)
    return rows


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):  # not Linux: the most that it has ever held
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def describe(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Return the table in Markdown, what ten million items need, and how it was measured."""
    lines = [
        "| store | items | build | memory | on disk | queries/s | one in 100 | recall@10 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row['store']} | {row['items']:,} | {row['build']:.0f} s "
            f"| {row['memory'] / 2**20:,.0f} MB | {row['disk'] / 2**20:,.0f} MB "
            f"| {row['speed']:,.1f} | {row['filtered']:,.1f} | {row['recall']:.3f} |"
        )
    lines.append("")
    for name, (first, row, build, speed) in _grown(rows).items():
        lines.append(
            f"- {name}, from {first['items']:,} to {row['items']:,} items: build time ~ "
            f"items^{build:.2f}, time per query ~ items^{-speed:.2f}"
        )
    lines += ["", _of_milvus(rows, options)]
    if _grown(rows).keys() - {LITE}:
        lines += ["", ten_million(rows, options)]
    lines.append(
        f"\nSimulated vectors of dimension {options.dimension}, {options.queries} queries one at a "
        f"time, the best of {ROUNDS} rounds, seed {options.seed}; {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}."
    )
    return "\n".join(lines)


def _grown(
    rows: list[dict[str, Any]],
) -> dict[str, tuple[dict[str, Any], dict[str, Any], float, float]]:
    """Return store -> its smallest and largest size, exponents of build time and of speed."""
    found = {}
    for row in rows:  # sizes ascend
        first = next(one for one in rows if one["store"] == row["store"])
        if first is not row:
            ratio = np.log(row["items"] / first["items"])
            build, speed = (np.log(row[key] / first[key]) / ratio for key in ("build", "speed"))
            found[row["store"]] = first, row, build, speed
    return found


def _of_milvus(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Say what was done about Milvus, and why Milvus Lite is measured at its size."""
    places = [place for place in map(shutil.which, SERVERS) if place]
    found = f"found ({places[0]}), but is not measured here" if places else "not found"
    said = (
        "Milvus' server comes with none of the Python packages that the project installs; "
        f"`{'` and `'.join(SERVERS)}` were looked for on the PATH: {found}."
    )
    lite = [row for row in rows if row["store"] == LITE]
    if lite:
        row = lite[-1]
        hours = row["build"] / row["items"] * options.items / 3600
        took = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
        said += (
            f" Milvus Lite is for small collections, as its documentation says ({LITE_SAYS}), so "
            f"it holds {row['items']:,} items here: adding one took "
            f"{1000 * row['build'] / row['items']:.2f} ms, so {options.items:,} would take "
            f"{took} even if that did not grow, and answer more slowly than exact "
            "search, as it compares all of them, too."
        )
    return said


def ten_million(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Return what ten million items need in the local index, in Markdown."""
    lines = [
        "| local index | memory to build | on disk | time to build | queries per second |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (_, row, build, speed) in _grown(rows).items():
        if name != LITE:
            times = TARGET / row["items"]
            if name.startswith("exact"):  # it compares every vector
                build, speed = 1.0, -1.0
            seconds = row["build"] * times**build
            fast = float(f"{row['speed'] * times**speed:.1g}")
            took = f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"
            lines.append(
                f"| {name} | {row['memory'] * times / 2**30:.0f} GB "
                f"| {row['disk'] * times / 2**30:.0f} GB | {took} "
                f"| {fast:,g} |"
            )
    largest = max(row["items"] for row in rows if row["store"] != LITE)
    return "\n".join(
        [
            *lines,
            "",
            f"{TARGET:,} items, one attribute, dimension {options.dimension}, {os.cpu_count()} "
            f"cores (graphs are built on one): what was measured at {largest:,}, carried on as it "
            "grew from a tenth of that, and in proportion where every vector is compared. Over a "
            f"factor of {TARGET / largest:g} these are orders of magnitude.",
        ]
    )


def _put_between(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    write_text(page, f"{before}{MARKS[0]}{text}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


def main() -> None:
    """Print a Markdown table, and write it to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000, help="in the local index")
    parser.add_argument(
        "--milvus-items", type=int, default=100_000, help="in Milvus Lite; 0 leaves it out"
    )
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--queries", type=int, default=100, help="how many to ask")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write besides")
    parser.add_argument("--docs", type=Path, help="page whose part on ten million items to renew")
    options = parser.parse_args()
    if options.items < K or options.queries < 1 or options.dimension < 2:
        parser.error(f"at least {K} items, 1 query and dimension 2 are needed")
    wanted = [
        (backend, dtype, size)
        for backend, dtype, most in (
            *((*store, options.items) for store in LOCAL),
            ("milvus lite", "float32", options.milvus_items),
        )
        for size in sorted({max(most // 10, K), most})
        if most
    ]
    rows: list[dict[str, Any]] = []
    for backend, dtype, items in wanted:
        shape = (options.dimension, options.queries, options.seed)
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            rows.append(alone.apply(measure, (backend, dtype, items, *shape)))
        print(f"{rows[-1]['store']}, {items:,} items: done", file=sys.stderr, flush=True)
        if options.out:  # what is measured is kept if the rest is killed
            write_text(options.out, f"{describe(rows, options)}\n")
    if options.docs:
        _put_between(options.docs, ten_million(rows, options))
    print(describe(rows, options))


if __name__ == "__main__":
    main()
