"""How an index searches, and how that grows: `python benchmarks/search_index.py`.

Vectors are random, of length 1, in clusters of a hundred items on average: a centre plus noise,
so that two items of a cluster have a cosine of 0.67 on average. Queries are further draws, asked
one at a time, as a person does. Recall@10 is the share of the true ten best that is found. A last
line per kind gives the exponents p of growth from the smallest size to the largest: time, or bytes
per item, ~ items^p.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from tqdm import tqdm

from asen_apps.search.faiss_backend import FaissBackend
from asen_tf.files import write_text

K, SPREAD, PER_CLUSTER = 10, 0.7, 100
KINDS = (("exact", "float32"), ("exact", "float16"), ("hnsw", "float32"), ("hnsw", "float16"))


@dataclass(frozen=True)
class Row:
    """What one index of one size did: seconds to build, bytes per item, seconds per query."""

    kind: str
    dtype: str
    items: int
    build: float
    size: float
    query: float
    recall: float

    def line(self) -> str:
        """Return the row of the table."""
        return (
            f"| {self.kind} {self.dtype} | {self.items:,} | {self.build:.1f} s "
            f"| {self.size:,.0f} | {1 / self.query:,.0f} | {self.recall:.3f} |"
        )


def draw(items: int, queries: int, dimension: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `(items, D)` and `(queries, D)` float32 of length 1, of the same clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, items // PER_CLUSTER), dimension), np.float32)
    vectors = centres[rng.integers(len(centres), size=items + queries)]
    vectors += SPREAD * rng.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[:items], vectors[items:]


def measure(
    kind: str, dtype: str, vectors: np.ndarray, queries: np.ndarray, best: np.ndarray | None
) -> tuple[Row, np.ndarray]:
    """Build an index, save it, open it from disk, and ask it; return also the ids it found."""
    backend = FaissBackend(vectors.shape[1], kind=kind, dtype=dtype)
    began = time.perf_counter()
    backend.add(np.arange(len(vectors)), vectors)
    build = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        settings = backend.save(Path(folder), "0")
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / len(vectors)
        backend = FaissBackend.load(Path(folder), "0", settings, mapped=True)
        backend.search(queries[:5], K)  # what is on disk comes into memory
        began = time.perf_counter()
        found = np.concatenate([backend.search(query[None], K)[1] for query in queries])
        spent = (time.perf_counter() - began) / len(queries)
    truth = found if best is None else best
    recall = np.mean([len({*a} & {*b}) / K for a, b in zip(found, truth, strict=True)])
    return Row(kind, dtype, len(vectors), build, size, spent, float(recall)), found


def growth(first: Row, last: Row) -> str:
    """Return a sentence with the exponents from one size to another."""
    ratio = np.log(last.items / first.items)
    build, size, query = (
        np.log(getattr(last, name) / getattr(first, name)) / ratio
        for name in ("build", "size", "query")
    )
    return (
        f"- {first.kind} {first.dtype}: from {first.items:,} to {last.items:,} items, build time "
        f"~ items^{build:.2f}, bytes per item ~ items^{size:z.2f}, time per query "
        f"~ items^{query:.2f}"
    )


def describe(rows: list[Row], options: argparse.Namespace) -> str:
    """Return the table in Markdown, the growth of each kind, and how it was measured."""
    lines = ["| index | items | build | bytes per item | queries per second | recall@10 |"]
    lines += ["|---|---:|---:|---:|---:|---:|", *(row.line() for row in rows), ""]
    for kind in KINDS:
        same = [row for row in rows if (row.kind, row.dtype) == kind]
        if len(same) > 1:
            lines.append(growth(same[0], same[-1]))
    lines.append(
        f"\nDimension {options.dimension}, {options.queries} queries one at a time, seed "
        f"{options.seed}; {os.cpu_count()} cores (graphs are built on one), "
        f"{platform.system()}, Python {platform.python_version()}, FAISS {faiss.__version__}."
    )
    return "\n".join(lines)


def main() -> None:
    """Print a Markdown table, and write it to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="items")
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--queries", type=int, default=200, help="how many to ask")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write besides")
    options = parser.parse_args()
    if min(options.sizes) < K or options.queries < 1 or options.dimension < 2:
        parser.error(f"at least {K} items, 1 query and dimension 2 are needed")
    rows: list[Row] = []
    with tqdm(total=len(options.sizes) * len(KINDS), unit="index") as bar:
        for items in sorted(set(options.sizes)):
            vectors, queries = draw(items, options.queries, options.dimension, options.seed)
            best = None  # the first kind is exact: it is the truth for the others
            for kind, dtype in KINDS:
                row, found = measure(kind, dtype, vectors, queries, best)
                best = found if best is None else best
                rows.append(row)
                bar.update()
    report = describe(rows, options)
    print(report)
    if options.out:
        write_text(options.out, f"{report}\n")


if __name__ == "__main__":
    main()
