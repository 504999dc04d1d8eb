"""Runs in separate processes, killed just after they print a certain line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATASET = "Garments"  # of the smoke preset
PROGRAM = (
    "import sys; from asen_study import experiment; from asen_study.runs import Places; "
    "from asen_tf import presets; "
    "experiment.run(presets.smoke(), Places(*sys.argv[1:], 'tests'))"
)
STAGES = ("stage1", "stage2")

# What the process has just printed when it is killed, by the part of the run that this is.
MOMENTS = {
    "stage 1": "stage 1 (global branch), epoch 1:",
    "stage 2": "stage 2 (both branches), epoch 1:",
    "evaluation": "embedding the test split",
}


@dataclass(frozen=True)
class Killed:
    """What a killed process left: exit code, the unfinished work, the hidden half of a result."""

    code: int
    finished_stages: list[str]
    states: dict[str, list[str]]
    visible: list[str]
    half: list[str]


def run(data: Path, results: Path, *, kill_at: str | None = None) -> tuple[int, str]:
    """Run in a new process, killed once it has printed something; give exit code and output."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, str(data), str(results)],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = b""
    with process:
        while part := os.read(process.stdout.fileno(), 65536):
            output += part
            if kill_at is not None and kill_at.encode() in output:
                process.send_signal(signal.SIGKILL)
                kill_at = None
    return process.returncode, output.decode()


def finish(data: Path, results: Path) -> Path:
    """Run to the end; give the finished run's folder."""
    code, output = run(data, results)
    assert code == 0, output[-3000:]
    (finished,) = (results / "tests").glob("asen_pp-*")
    return finished


def left_behind(code: int, study: Path) -> Killed:
    """Say what is there: of the first stage, which runs share, and of the run itself."""
    places = {"stage1": ".work/stage1-*", "stage2": ".work/asen_pp-*/stage2"}
    return Killed(
        code,
        [
            *("stage1" for _ in study.glob("stage1-*")),
            *("stage2" for _ in study.glob(f"{places['stage2']}/history.json")),
        ],
        {
            stage: sorted(path.name for path in study.glob(f"{place}/state/epoch-*"))
            for stage, place in places.items()
        },
        [path.name for path in study.glob("asen_pp-*")],
        sorted(path.name for path in study.glob(".tmp-*-asen_pp-*/*")),
    )
