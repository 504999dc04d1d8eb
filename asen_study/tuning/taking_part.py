"""A process's part in a search: all of it, KerasTuner's chief, or one of its workers.

KerasTuner asks three environment variables who it is: `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP`
and `KERASTUNER_ORACLE_PORT`. They are set here, so that nobody has to.
"""

from __future__ import annotations

import os
import threading
import time

import grpc
from filelock import FileLock

from asen_study.tuning.failures import SearchError
from asen_study.tuning.oracles import PATIENCE, DurableOracle
from asen_study.tuning.search import SEARCH_FILE, Search
from asen_tf.config import ConfigError

CHIEF = "chief"
_LONGEST = 3600.0  # seconds that a worker waits for its chief, who may have to queue for a machine
_SHARED = 10.0  # seconds until what the chief has written must be seen in a shared folder


def take_part(
    search: Search, *, name: str | None = None, address: str = "", patience: float = PATIENCE
) -> None:
    """Take part in a search until it has ended.

    The chief hands out trials, and trains nothing. It writes the search's state, and so does a
    search in one process: a second one of the same search waits until the first has ended.

    Args:
        search: the same for all that take part.
        name: "chief", or a worker's own name; None searches in this process alone.
        address: `host:port` where the chief listens and the workers find it.
        patience: seconds after which the chief gives up a silent worker.

    Raises:
        ConfigError: a name or an address that KerasTuner cannot take.
        SearchError: a worker whose chief searches something else, or is not found; trials failed,
            all of them or so many in a row that the search has stopped.
    """
    if name is not None:
        _set_environment(name, address)
    if name not in (None, CHIEF):
        wait_for_chief(address)
        tuner = search.make_tuner()
        if not shares_results(search):
            print(
                f"{search.state_dir}: nothing of the chief's is here: the results folder is "
                "another, or this machine's data or code differ. Without a folder that all share, "
                "a trial taken over starts from its first epoch, and each machine pretrains the "
                "backbone anew",
                flush=True,
            )
        tuner.search()
        return
    search.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(search.state_dir / ".lock"):
        tuner = search.make_tuner(patience=patience, chief=name == CHIEF)
        if name == CHIEF:
            watch = threading.Thread(target=_watch, args=(tuner.oracle,), daemon=True)
            watch.start()
        tuner.search()
    search.check()


def wait_for_chief(address: str, *, longest: float = _LONGEST, every: float = 60.0) -> None:
    """Wait until the chief answers, and say so; KerasTuner waits as long, and says nothing.

    Args:
        address: `host:port` of the chief.
        longest: seconds.
        every: seconds between two lines about it.

    Raises:
        SearchError: it has not answered.
    """
    end, pause = time.monotonic() + longest, 1.0
    with grpc.insecure_channel(address, [("grpc.max_reconnect_backoff_ms", 5000)]) as channel:
        ready = grpc.channel_ready_future(channel)
        while (left := end - time.monotonic()) > 0:
            try:
                ready.result(timeout=min(pause, left))
                return
            except grpc.FutureTimeoutError:
                pause = every
                print(
                    f"waiting for the chief at {address}: is it started, and the address right?",
                    flush=True,
                )
        ready.cancel()
    raise SearchError(
        f"no chief has answered at {address} for {longest:.0f} s; start it with --role chief, and "
        "give its machine's address, with an open port, as --chief"
    )


def shares_results(search: Search, *, longest: float = _SHARED) -> bool:
    """Return whether this worker sees what its chief has written into the search's folder."""
    end = time.monotonic() + longest
    while not (seen := (search.state_dir / SEARCH_FILE).exists()) and time.monotonic() < end:
        time.sleep(0.5)
    return seen


def _watch(oracle: DurableOracle) -> None:
    """Look for silent workers also while nobody asks for a trial."""
    while True:
        time.sleep(min(oracle.patience / 4, 5.0))
        oracle.forget_silent_workers()


def _set_environment(name: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"the chief's address must be host:port; got {address!r}")
    if not name or (name != CHIEF and CHIEF in name):
        raise ConfigError(f"a worker's name must not be empty or hold 'chief'; got {name!r}")
    os.environ |= {
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": port,
    }
