"""What the explorer says when something cannot be done.

What may be uploaded, and what the page keeps.

A terminal without what asks nothing of anybody.
"""

from __future__ import annotations

import os
import re
import threading


class ExplorerError(ValueError):
    """Something asked of the explorer cannot be done; the message is a sentence for its page."""


LARGEST_BYTES = 10 * 2**20
LARGEST_PIXELS = 50_000_000  # a telephone's photograph has 12 to 50 million
# Pillow reads many more formats, some by starting other programs: none of those here.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


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
