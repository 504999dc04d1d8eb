"""Thousands of bad files of every kind that the project reads: read rightly, or refused by name.

    python -m benchmarks.bad_files [--examples 10000] [--out results/benchmarks]

Right files of each kind are cut, spliced and overwritten at random, and a few are made to do harm:
images and labels that would fill the memory, archives in archives, pickles that would run code.
Each is either read, and what was read keeps the rules of its kind, or refused by one of our own
errors that names the file; in bounded time and memory. The first that is neither ends the script,
shrunk by hypothesis. The figures are `bad_files.csv`.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from asen_study.provenance import commit
from asen_tf.files import write_text
from benchmarks.file_kinds import KINDS, Kind

SECONDS = 20.0  # of the processor, for one file
MEMORY = 1.5 * 2**30  # bytes that the process may grow by while it reads all files of a kind
TOKENS = [
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b'"',
    b"-1",
    b"9" * 400,
    b"nan",
    b"{",
    b"[" * 5000,
    b"../",
    b"\xed\xa0\x80",
    b"1e999",
    b"null",
    b";",
    b"PK\x03\x04",
    b"\x80\x04",
]

# One change of a file: how, where, how many bytes, and what is put there.
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["cut", "insert", "overwrite", "repeat", "end"]),
        st.integers(0, 2**20),
        st.integers(0, 64),
        st.binary(max_size=8) | st.sampled_from(TOKENS),
    ),
    max_size=5,
)


def edited(data: bytes, edits: Sequence[tuple[str, int, int, bytes]]) -> bytes:
    """Return a file's content after some changes."""
    for way, place, length, new in edits:
        at = place % (len(data) + 1)
        before, after = data[:at], data[at:]
        if way == "cut":
            data = before + after[length:]
        elif way == "insert":
            data = before + new + after
        elif way == "overwrite":
            data = before + new + after[len(new) :]
        elif way == "repeat":
            data = before + after[:length] * 3 + after[length:]
        else:
            data = before
    return data


@dataclass
class Figures:
    """What happened to the files of one kind."""

    outcomes: Counter = field(default_factory=Counter)
    slowest: float = 0.0  # seconds of the processor
    grown: float = 0.0  # bytes


@contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Put other content into a file for a while."""
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        yield
    finally:
        path.write_bytes(whole)


def outcome(kind: Kind, figures: Figures) -> str:
    """Read the files of a kind; return "read" or "refused"; raise whatever else happens."""
    before = time.process_time()
    try:
        kind.read()
        found = "read"
    except kind.errors as error:
        place = os.path.commonpath([*kind.files, kind.files[0].parent])
        named = any(str(path) in str(error) for path in [*kind.files, place])
        assert named and "Traceback" not in str(error), f"names no file: {error}"
        found = "refused"
    took = time.process_time() - before
    figures.slowest = max(figures.slowest, took)
    assert took < SECONDS, f"took {took:.0f} s"
    figures.outcomes[found] += 1
    return found


def try_kind(make: Callable[[Path], Kind], examples: int, folder: Path) -> tuple[Kind, Figures]:
    """Try the harmful files of a kind, and its share of so many random changes of right ones.

    Raises:
        AssertionError: one was neither read nor refused, or took too much time or memory.
    """
    kind, figures = make(folder), Figures()
    kind.read()  # as it is, it is right
    first = _peak()
    for name, content in kind.harmful.items():
        with replaced(kind.files[0], content):
            assert outcome(kind, figures) == "refused", f"{kind.name}: {name}: was read"

    quietly = settings(
        max_examples=max(1, examples * kind.share // 100),
        database=None,
        deadline=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    @quietly
    @given(st.sampled_from(kind.files), EDITS)
    def change(path: Path, edits: list[tuple[str, int, int, bytes]]) -> None:
        with replaced(path, edited(path.read_bytes(), edits)):
            outcome(kind, figures)

    change()
    figures.grown = _peak() - first
    assert not (folder / "ran").exists(), f"{kind.name}: code from a file has run"
    assert figures.grown < MEMORY, f"{kind.name}: {figures.grown / 2**20:.0f} MiB"
    return kind, figures


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if every file was read rightly or refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bad_files", description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args(arguments)
    lines, tried = ["kind,harmful,random,read,refused,slowest_cpu_seconds,memory_growth_mib"], 0
    for make in tqdm(KINDS, desc="kinds of files"):
        with tempfile.TemporaryDirectory() as folder:
            kind, figures = try_kind(make, options.examples, Path(folder).resolve())
        found = figures.outcomes
        tried += found.total()
        changed = found.total() - len(kind.harmful)
        lines.append(
            f"{kind.name},{len(kind.harmful)},{changed},{found['read']},{found['refused']},"
            f"{figures.slowest:.2f},{figures.grown / 2**20:.0f}"
        )
        tqdm.write(lines[-1])
        head = [
            f"# python -m benchmarks.bad_files --examples {options.examples}",
            f"# commit {commit()}; {tried} files of {len(lines) - 1} of {len(KINDS)} kinds tried; "
            "each was read rightly or refused by name",
        ]
        write_text(options.out / "bad_files.csv", "\n".join([*head, *lines]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
