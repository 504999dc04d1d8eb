"""A command that is told Ctrl-C in the very moment in which it imports a library."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LIBRARY = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


def interrupted_at_import(folder: Path, library: str, *arguments: str) -> tuple[int, str]:
    """Run Python with some arguments; return the exit code that a shell sees, and what was said.

    Args:
        folder: where to write what stands in for the library.
        library: its name, such as "numpy"; importing it is interrupted.
        arguments: of Python.
    """
    (folder / f"{library}.py").write_text(_LIBRARY)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
        # Tests that were started in the background ignore Ctrl-C, and so would this command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    code = done.returncode
    return (128 - code if code < 0 else code), done.stdout + done.stderr
