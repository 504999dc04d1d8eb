"""SIGKILL at random moments, and full disks: the same command finishes, with the same tables.

    python -m benchmarks.kills [--kills 100] [--full-disks 20] [--out results/benchmarks]

One command (`--command FOLDER`) draws a small dataset, packs it, pretrains a backbone, trains and
evaluates ASEN++ with the preset `smoke`, collects the tables, makes an index as `asen index` does
and searches it. It runs once unbroken; then over and over in a new folder, killed at random
moments. What it prints says where it was. After each round of up to 10 kills it runs to its end,
and all tables must equal those of the unbroken run, byte for byte; unfinished files that are left
behind are counted. Moments are drawn in seconds of the processor from the start of a random step,
so that a busy machine does not matter.

A full disk is a tmpfs of a random size in a namespace of its own (Linux, root): the command must
end with the sentence about the disk, and finish once there is room. Disks that were large enough do
not count. The log is `kills.csv`; it is written after each round, so that a run that is stopped has
one, too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asen_study.provenance import commit
from asen_tf.files import file_digest, write_json, write_text

STEPS = ("data", "packing", "backbone", "stages", "evaluation", "tables", "index", "search")
TABLES = ("*.csv", "*.md", "*.tex", "hits.json")
SIZES = (0.1, 0.9)  # of disks, as shares of what an unbroken run leaves
_DISKS_TRIED = 3  # at most, per disk that is to be too small
_TOLD = "told in one sentence; then finished"
_TICKS = os.sysconf("SC_CLK_TCK")
_IMAGES = 120
_PER_ROUND = 10  # kills, until the command may finish and its tables are compared


# === The command that is killed ===


def command(folder: Path) -> int:
    """Do everything once; what is finished is not done again. Return the exit code."""

    def begin(step: str) -> None:
        print(f"step {step}", flush=True)

    begin("data")  # what is imported counts to the first step
    from asen_apps.search.catalogue_table import Sources
    from asen_apps.search.cataloguing import make_index
    from asen_apps.search.service import Catalogue, Question
    from asen_study import experiment, tables
    from asen_study.runs import Places
    from asen_tf.data import read_split
    from asen_tf.presets import smoke
    from data_prep.pack import pack
    from data_prep.synthetic import make_dataset

    evaluate = experiment.evaluate

    def evaluated(*arguments: object) -> object:
        begin("evaluation")
        return evaluate(*arguments)

    experiment.evaluate = evaluated
    data, config = folder / "data", smoke()
    places = Places(data, folder / "results", "killed")
    make_dataset(data, images=_IMAGES, size=96, workers=1)
    begin("packing")
    pack(data, config.dataset, source_size=64)
    begin("backbone")
    experiment.pretrain(config, places)
    begin("stages")
    run = experiment.run(config, places)
    begin("tables")
    tables.write(tables.collect(places.study_dir, config), places.study_dir)
    begin("index")
    split = read_split(data, config.dataset, "test")
    kept = folder / "index"
    if not (kept / "CURRENT").exists():
        make_index(run.path / "model.keras", Sources((str(split.root / "images"),)), kept)
    begin("search")
    asked = Question({split.attributes.names[0]: 1.0}, k=5)
    hits = Catalogue(kept).answer(split.path(0), asked)["hits"]
    # What a kill divides into other batches differs in rounding, by about 1e-7.
    found = [{"id": hit["id"], "score": round(hit["score"], 4)} for hit in hits]
    write_json(folder / "hits.json", found)
    return 0


# === Killing it ===


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: the exit code, or minus the signal.
        step: in which it was.
        text: what it has printed.
        seconds: of the processor, by step.
    """

    code: int
    step: str
    text: str
    seconds: dict[str, float]


def run(folder: Path, step: str = "", moment: float = 0.0) -> Ended:
    """Run the command; kill it so many seconds of the processor after a step has begun.

    Args:
        folder: where it works.
        step: one of `STEPS`; never killed if empty, or if the step does not begin any more.
        moment: seconds.
    """
    words = [sys.executable, "-m", "benchmarks.kills", "--command", str(folder)]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "ASEN_CACHE": str(folder / "graphs")},
        start_new_session=True,
    )
    lines: list[str] = []
    began: dict[str, float] = {}

    def listen() -> None:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("step "):
                began[line.split()[1]] = _processor_seconds(process.pid)

    listener = threading.Thread(target=listen)
    listener.start()
    last = 0.0
    while process.poll() is None:
        last = max(last, _processor_seconds(process.pid))
        if step in began and last >= began[step] + moment:
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    listener.join()
    ends = [*list(began.values())[1:], last]
    spent = {name: end - start for (name, start), end in zip(began.items(), ends, strict=True)}
    return Ended(process.returncode, [*began, "start"][len(began) - 1], "".join(lines), spent)


def _processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def results(folder: Path) -> dict[str, str]:
    """Return the digest of each table, and of what was packed, by its path in the folder."""
    found = [path for pattern in TABLES for path in folder.rglob(pattern)]
    found = [  # without times, and without what was being written
        path for path in found if path.name != "costs.csv" and not path.name.startswith(".tmp-")
    ]
    found += folder.rglob("*.tfrecord")
    return {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(found)}


def _digest(path: Path) -> str:
    """Return a file's digest, without the line of `map.md` that says when it was made."""
    if path.suffix not in (".md", ".tex"):
        return file_digest(path)
    return "\n".join(line for line in path.read_text("utf-8").splitlines() if "commit" not in line)


def unfinished(folder: Path) -> list[str]:
    """Return the files that were being written."""
    return [path.name for path in folder.rglob(".tmp-*")]


def kill(
    expected: dict[str, str], usual: dict[str, float], kills: int, seed: int
) -> Iterator[list[str]]:
    """Kill the command so many times, in rounds; yield the lines of each round for the log.

    Raises:
        AssertionError: it does not finish, or its tables are others.
    """
    rng, done = np.random.default_rng(seed), 0
    while done < kills:
        with tempfile.TemporaryDirectory() as place:
            folder, steps = Path(place), sorted(rng.integers(0, len(STEPS), _PER_ROUND))
            places = []
            for number in steps[: kills - done]:
                step = STEPS[number]
                ended = run(folder, step, rng.uniform(0.0, usual[step]))
                if ended.code == -signal.SIGKILL:
                    places.append(ended.step)
                    done += 1
                else:
                    assert ended.code == 0, ended.text
            ended = run(folder)
            assert ended.code == 0, f"after {places}: {ended.code}\n{ended.text[-3000:]}"
            others = sorted(name for name, _ in results(folder).items() ^ expected.items())
            assert not others, f"after {places}, these are others: {others}"
            left = len(unfinished(folder))
            how = f"the round's command finished with the same tables; {left} unfinished files left"
            print(f"{done} kills: {', '.join(places)}: {how}", flush=True)
            yield [f"kill,{step},{how}" for step in places]


def fill_disks(expected: dict[str, str], usual: int, disks: int, seed: int) -> Iterator[list[str]]:
    """Run the command on disks until so many were too small; give them room; yield log lines.

    Raises:
        AssertionError: it died without the sentence, or left something, or does not finish.
    """
    rng, filled = np.random.default_rng([seed, 1]), 0
    for _ in range(_DISKS_TRIED * disks):
        if filled == disks:
            break
        size = int(rng.uniform(*SIZES) * usual)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            _mount(folder, f"size={size}")
            try:
                ended = run(folder)
                told = re.search(r"no room for .*free; .*", ended.text)
                assert ended.code != 0 or results(folder) == expected, ended.text
                assert ended.code >= 0 and (told or ended.code == 0), ended.text[-3000:]
                assert not unfinished(folder), unfinished(folder)
                _mount(folder, f"remount,size={2**30}")
                again = run(folder)
                assert again.code == 0 and results(folder) == expected, again.text[-3000:]
            finally:
                subprocess.run(["umount", str(folder)], check=True)
        filled += bool(told)
        line = f"disk of {size} bytes,{ended.step},{_TOLD if told else 'was large enough'}"
        print(line, flush=True)
        yield [line]


def _mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if everything was finished with the same tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--full-disks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no round after these")
    parser.add_argument("--command", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.command is not None:
        return command(options.command)
    if options.full_disks and not os.environ.get("ASEN_NAMESPACE"):  # mounts of our own
        words = ["unshare", "--mount", sys.executable, "-m", "benchmarks.kills"]
        given = sys.argv[1:] if arguments is None else list(arguments)
        return subprocess.run(
            [*words, *given], env={**os.environ, "ASEN_NAMESPACE": "1"}
        ).returncode
    with tempfile.TemporaryDirectory() as place:
        unbroken = run(Path(place))
        assert unbroken.code == 0, unbroken.text
        expected = results(Path(place))
        left = sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
    print(f"unbroken: {len(expected)} files to compare, seconds {unbroken.seconds}", flush=True)
    lines, until = [], time.monotonic() + 60 * options.minutes
    rounds = itertools.zip_longest(  # in turn, so that a run that is stopped has both
        kill(expected, unbroken.seconds, options.kills, options.seed),
        fill_disks(expected, left, options.full_disks, options.seed),
        fillvalue=[],
    )
    for found in itertools.chain.from_iterable(rounds):
        lines += found
        kills = sum(line.startswith("kill,") for line in lines)
        disks = sum(line.endswith(_TOLD) for line in lines)
        head = [
            f"# python -m benchmarks.kills --kills {options.kills} --full-disks "
            f"{options.full_disks} --seed {options.seed} --minutes {options.minutes:g}",
            f"# commit {commit()}; kills made: {kills}; disks filled: {disks}",
            f"# after each round of up to {_PER_ROUND} kills, and on each disk once it had room, "
            f"the same command finished, and all {len(expected)} files that are compared were "
            "those of the unbroken run",
            "what,step,outcome",
        ]
        write_text(options.out / "kills.csv", "\n".join([*head, *lines]) + "\n")
        if time.monotonic() > until:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
