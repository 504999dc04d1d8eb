"""The command that serves the page: what it says, and where it listens."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_study import describe_run
from listening_sockets import listening, needs_tables

from asen_study.matrix import settings
from asen_tf.presets import smoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """Start the command on two described methods; give its process and what it printed."""
    place = tmp_path_factory.mktemp("served")
    describe_run(place / "mine" / "a", settings("asen_pp", smoke()))
    describe_run(place / "mine" / "b", settings("csn", smoke()).override(dataset="Shop"))
    command = [sys.executable, "-m", "asen_apps.explorer", "--no-browser", "--study", "mine"]
    command += ["--results-dir", str(place), "--port", "8990"]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 120
        while "Ctrl-C" not in (said := (place / "log").read_text()):
            assert process.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)
        yield process.pid, said
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def test_the_command_says_what_it_shows_and_what_not(served: tuple[int, str]) -> None:
    assert "Methods in the study 'mine': ASEN++." in served[1]
    assert "another dataset: CSN (Shop)." in served[1]


@needs_tables
def test_the_page_is_served_to_this_machine_alone(served: tuple[int, str]) -> None:
    port = int(re.search(r":(\d+)/ \(Ctrl-C", served[1])[1])
    found = listening(served[0])
    assert port in [number for _, number in found]
    assert all(address.is_loopback for address, _ in found)


@needs_tables
@pytest.mark.parametrize(
    ("family", "address", "loopback"),
    [
        (socket.AF_INET, "0.0.0.0", False),
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET6, "::", False),
        (socket.AF_INET6, "::1", True),
    ],
)
def test_a_socket_open_to_others_would_be_seen(
    family: socket.AddressFamily, address: str, loopback: bool
) -> None:
    with socket.socket(family) as opened:
        try:
            opened.bind((address, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = opened.getsockname()[1]
        assert port not in [number for _, number in listening(os.getpid())]
        opened.listen()
        found = {number: place for place, number in listening(os.getpid())}
        assert str(found[port]) == address and found[port].is_loopback is loopback


def test_without_a_study_the_command_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asen_apps.explorer", "--results-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Run `make study` first" in done.stderr
    for name in ("shoes", "shop"):
        (tmp_path / name / "run").mkdir(parents=True)
        (tmp_path / name / "run" / "metrics.json").touch()
    done = subprocess.run(
        [*command, "--study", "shos"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 2 and "did you mean 'shoes'?" in done.stderr
