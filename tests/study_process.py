"""A study as a user runs it: the pipeline in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_study(
    folder: Path, *options: str, profile: str = "smoke"
) -> subprocess.CompletedProcess[str]:
    """Run a profile, two steps at a time, with `data/`, `results/` and doit's own in a folder."""
    command = [sys.executable, "-m", "doit", "-f", "dodo.py", "run", "-n", "2", "-P", "thread"]
    command += ["--db-file", str(folder / "doit.db"), profile, "jobs=2", *options]
    command += [f"data_dir={folder / 'data'}", f"results_dir={folder / 'results'}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
