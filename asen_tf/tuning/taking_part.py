"""A process's part in a search: all of it, KerasTuner's chief, or one of its workers.

KerasTuner asks three environment variables who it is: `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP`
and `KERASTUNER_ORACLE_PORT`. They are set here, so that nobody has to.
"""

from __future__ import annotations

import os
import threading
import time

from filelock import FileLock

from asen_tf.config import ConfigError
from asen_tf.tuning.oracles import PATIENCE, DurableOracle
from asen_tf.tuning.search import Search

CHIEF = "chief"


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
        SearchError: a worker whose chief searches something else.
    """
    if name is not None:
        _set_environment(name, address)
    if name not in (None, CHIEF):
        search.make_tuner().search()
        return
    search.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(search.state_dir / ".lock"):
        tuner = search.make_tuner(patience=patience)
        if name == CHIEF:
            watch = threading.Thread(target=_watch, args=(tuner.oracle,), daemon=True)
            watch.start()
        tuner.search()


def _watch(oracle: DurableOracle) -> None:
    """Look for silent workers also while nobody asks for a trial."""
    while True:
        time.sleep(min(oracle.patience / 4, 5.0))
        oracle.forget_silent_workers()


def _set_environment(name: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"the chief's address must be host:port; got {address!r}")
    if not name or (name != CHIEF and CHIEF in name):
        raise ConfigError(f"a worker's name must not be empty or hold 'chief'; got {name!r}")
    os.environ |= {
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": port,
    }
