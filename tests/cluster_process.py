"""Clusters of two workers on the loopback interface: each a process, each running experiments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 0.1  # after which a results folder shows what another has got

# Arguments: data, results, a list of settings by name. Tells of every image that training reads as
# the global branch's input, which is 32 px wide; what is embedded is read at 64 px.
PROGRAM = """
import json, os, sys
from asen_study import experiment
from asen_study.runs import Places
from asen_tf import presets
from asen_tf.data import images

def tell_what_is_read(kind):
    read = kind.__getitem__
    def reading(self, indices):
        if self.side == 32:
            os.write(1, f"\\nREADS {' '.join(map(str, indices))}\\n".encode())
        return read(self, indices)
    kind.__getitem__ = reading

data, results, settings = sys.argv[1:]
tell_what_is_read(images.CachedImages)
tell_what_is_read(images.GlobalViews)  # without a cache
for options in json.loads(settings):
    config = presets.smoke().override(**{"starting_weights": "random", **options})
    run = experiment.run(config, Places(data, results, "tests"))
    os.write(1, f"\\nRETURNS {run.path}\\n".encode())
"""


@dataclass
class Worker:
    """A process, what it has printed, and when it ended."""

    process: subprocess.Popen
    output: str = ""
    code: int | None = None
    ended: float = float("nan")

    def lines(self, start: str) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith(start)]

    def listen(self, heard: dict[str, threading.Event]) -> None:
        """Keep what the process prints; set an event when its words have been printed."""
        while part := os.read(self.process.stdout.fileno(), 65536):
            self.output += part.decode(errors="replace")
            for words, event in heard.items():
                if words in self.output:
                    event.set()
        self.code, self.ended = self.process.wait(), time.monotonic()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def experiments(data: Path, results: Path, settings: list[dict]) -> list[str]:
    """Return the command that runs experiments of these settings, one after the other."""
    return [sys.executable, "-u", "-c", PROGRAM, str(data), str(results), json.dumps(settings)]


def start(command: list[str], cluster: dict | None) -> Worker:
    threads = {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}
    env = os.environ | threads | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    env.pop("TF_CONFIG", None)
    if cluster is not None:
        env["TF_CONFIG"] = json.dumps(cluster)
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return Worker(subprocess.Popen(command, cwd=ROOT, env=env, **pipe))


def run_alone(command: list[str]) -> Worker:
    worker = start(command, None)
    worker.listen({})
    return worker


def show(results: Path, other: Path, ended: threading.Event) -> None:
    """Copy each finished run of one results folder into another, as a shared folder would show it.

    So the second worker reads what the first has made, and whatever it writes itself, by whichever
    library, lies where the first one's files do not. Figures are not copied: they come later.
    """
    while not ended.wait(SECONDS):
        for run in results.glob("*/[!.]*"):
            shown = other / run.relative_to(results)
            if not shown.exists():
                copying = other.parent / f"copying-{run.name}"
                shutil.copytree(run, copying, ignore=shutil.ignore_patterns("*.png"))
                shown.parent.mkdir(parents=True, exist_ok=True)
                copying.rename(shown)


def run_cluster(
    *commands: list[str],
    kill: tuple[int, ...] = (),
    at: str = "",
    patience: float = 1800.0,
    shown: tuple[Path, Path] | None = None,
) -> tuple[list[Worker], float]:
    """Run two workers to their ends; give them, and when some of them were killed.

    Args:
        *commands: of both workers, or of each.
        kill: which of them are killed once the chief has printed `at`.
        at: see `kill`.
        patience: seconds until all are killed, and the test fails.
        shown: the chief's results folder, and the other worker's own, which shows what the chief
            has finished; None where both are given the same.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers, ended = [], threading.Event()
    for index in range(2):
        task = {"type": "worker", "index": index}
        cluster = {"cluster": {"worker": addresses}, "task": task}
        workers.append(start(commands[index % len(commands)], cluster))
    heard = {at: threading.Event()} if kill else {}
    listeners = [threading.Thread(target=worker.listen, args=[heard]) for worker in workers]
    others = [threading.Thread(target=show, args=[*shown, ended])] if shown else []
    for thread in (*listeners, *others):
        thread.start()
    killed = float("nan")
    deadline = time.monotonic() + patience
    if kill and heard[at].wait(patience):
        killed = time.monotonic()
        for index in kill:
            workers[index].process.send_signal(signal.SIGKILL)
    for worker, listener in zip(workers, listeners, strict=True):
        listener.join(max(0.0, deadline - time.monotonic()))
        if listener.is_alive():
            worker.output += "\nHUNG: killed by the test"
            worker.process.kill()
            listener.join()
    ended.set()
    for thread in others:
        thread.join()
    return workers, killed
