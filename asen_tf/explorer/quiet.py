"""A terminal without what asks nothing of anybody."""

from __future__ import annotations

import os
import re
import threading

_NOISE = re.compile(
    r"W0000 .*PredictCost\(\)"  # TensorFlow's graph optimiser, to itself; no setting keeps it quiet
    r"|WARNING: All log messages before absl"
    r"|.*Kernel is running over TCP without encryption"  # on this machine's loopback address
    r"|(?:The |Setting )websocket_ping_timeout"
)


def hush(descriptor: int = 2) -> None:
    """Drop known noise from what this process, and those it starts, write to a descriptor.

    Everything else passes, line by line.
    """
    terminal = os.dup(descriptor)
    source, sink = os.pipe()
    os.dup2(sink, descriptor)
    os.close(sink)
    threading.Thread(target=_pass_on, args=(source, terminal), daemon=True).start()


def _pass_on(source: int, terminal: int) -> None:
    with open(source, errors="replace") as lines, open(terminal, "w", buffering=1) as shown:
        for line in lines:
            if not _NOISE.match(line):
                shown.write(line)
