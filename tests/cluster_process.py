"""Clusters of two workers on the loopback interface: each a process, each running experiments."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Arguments: data, results, a list of settings by name. The audit hook tells of every file that
# Python opens for writing, and every folder and name it makes, below the results.
PROGRAM = """
import json, os, sys
data, results, settings = sys.argv[1:]

def tell(event, arguments):
    path = arguments[0] if arguments else None
    if event == "open":
        writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    else:
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
    if writes and isinstance(path, (str, os.PathLike)) and str(path).startswith(results):
        os.write(1, f"WRITES {event} {path}\\n".encode())

sys.addaudithook(tell)
from asen_tf import experiment, presets

for options in json.loads(settings):
    config = presets.smoke().override(starting_weights="random", **options)
    run = experiment.run(config, data_dir=data, results_dir=results, study="tests")
    print("RETURNS", run.path, flush=True)
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


def start(data: Path, results: Path, settings: list[dict], cluster: dict | None) -> Worker:
    command = [sys.executable, "-u", "-c", PROGRAM, str(data), str(results), json.dumps(settings)]
    threads = {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}
    env = os.environ | threads | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    env.pop("TF_CONFIG", None)
    if cluster is not None:
        env["TF_CONFIG"] = json.dumps(cluster)
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return Worker(subprocess.Popen(command, cwd=ROOT, env=env, **pipe))


def run_alone(data: Path, results: Path, settings: list[dict]) -> Worker:
    worker = start(data, results, settings, None)
    worker.listen({})
    return worker


def run_cluster(
    data: Path,
    results: Path,
    *settings: list[dict],
    kill: tuple[int, ...] = (),
    at: str = "",
    patience: float = 1800.0,
) -> tuple[list[Worker], float]:
    """Run two workers to their ends; give them, and when some of them were killed.

    Args:
        data: the data directory.
        results: the results directory that they share.
        *settings: of both workers, or of each.
        kill: which of them are killed once the chief has printed `at`.
        at: see `kill`.
        patience: seconds until all are killed, and the test fails.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        cluster = {"cluster": {"worker": addresses}, "task": task}
        workers.append(start(data, results, settings[index % len(settings)], cluster))
    heard = {at: threading.Event()} if kill else {}
    listeners = [threading.Thread(target=worker.listen, args=[heard]) for worker in workers]
    for listener in listeners:
        listener.start()
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
    return workers, killed
