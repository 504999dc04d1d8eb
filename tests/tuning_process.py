"""Searches in separate processes, some of them killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from asen_study.runs import Places
from asen_study.tuning import Search

ROOT = Path(__file__).parents[1]
Seen = TypeVar("Seen")
# Trials differ in what stage 1 knows nothing of, so that they share it, too: seconds less each.
FIELDS = ("roi_threshold", "fusion_weight", "stage2_local_learning_rate")


def searching(folder: Path, results: str, trials: int) -> Search:
    """Return a search of the smoke preset."""
    return Search(
        preset="smoke",
        trials=trials,
        fields=FIELDS,
        places=Places(folder / "data", folder / results, "tuning"),
    )


def start(search: Search, log: Path, *options: str) -> subprocess.Popen:
    """Start `python -m asen_study.tuning`."""
    places = search.places.parameters
    command = [sys.executable, "-u", "-m", "asen_study.tuning", *options, "--preset", search.preset]
    command += ["--trials", str(search.trials), "--fields", ",".join(search.fields)]
    command += [part for name in places for part in (f"--{name.replace('_', '-')}", places[name])]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with log.open("a") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def wait_until(condition: Callable[[], Seen], process: subprocess.Popen, log: Path) -> Seen:
    """Wait for what a process is to do and return it; if it ends before, show what it said."""
    while not (seen := condition()):
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.02)
    return seen


def kill(process: subprocess.Popen) -> None:
    """Kill a process, which cannot do anything about it."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def free_address() -> str:
    """Return an address of this machine's own that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"
