"""A process of `python -m asen_tf.tuning` that is started again when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESTARTS = 3  # of one process, until it is given up
_HOPELESS = 2  # the exit code of what would fail again: wrong options, a search that has stopped


@dataclass
class Process:
    """A process of `python -m asen_tf.tuning`, started again if it dies.

    Attributes:
        name: of the process, and of its log.
        arguments: of the command.
        log: where all it says goes.
        restarts: how often it has been started again, since it last got anywhere.
    """

    name: str
    arguments: Sequence[str]
    log: Path
    restarts: int = -1
    _running: subprocess.Popen | None = None

    def start(self) -> None:
        """Start, or start again."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-u", "-m", "asen_tf.tuning", *self.arguments]
        command += ["--parent", str(os.getpid())]
        with self.log.open("a", encoding="utf-8") as log:
            self._running = subprocess.Popen(
                command, cwd=os.getcwd(), env=_environment(), stdout=log, stderr=subprocess.STDOUT
            )
        self.restarts += 1

    def state(self) -> str:
        """Return "running", "finished" or "given up", after starting it again where it died."""
        code = self._running.poll()
        if code is None:
            return "running"
        if code == 0:
            return "finished"
        if code == _HOPELESS or self.restarts == RESTARTS:
            return "given up"
        print(f"{self._end()}; it is started again ({self.log})", flush=True)
        self.start()
        return "running"

    def stop(self) -> None:
        """End it, if it runs."""
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()
            try:
                self._running.wait(10)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()

    def why(self) -> str:
        """Return how it ended, where its log is, and the end of that."""
        said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return f"{self._end()}; the end of {self.log}:\n{said}"

    def _end(self) -> str:
        code = self._running.poll()
        if code is None or code >= 0:
            return f"{self.name} ended with code {code}"
        meaning = "; memory may have been short" if code == -signal.SIGKILL else ""
        return f"{self.name} was ended by {signal.Signals(-code).name}{meaning}"


@contextmanager
def started(processes: Sequence[Process]) -> Iterator[None]:
    """Start processes, and end them with the block."""
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in reversed(processes):
            process.stop()


def _environment() -> dict[str, str]:
    """Return this process's environment: the package on the path, and nothing of a chief."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith("KERASTUNER_")}
    path = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **kept, "PYTHONPATH": os.pathsep.join(path)}
