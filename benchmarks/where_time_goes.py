"""Where the time of a call goes, by kind of operation, from TensorFlow's own profiler."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

# An event of an operation is called "node:Kind"; the kinds that oneDNN runs begin with "_Mkl".
OPERATION = re.compile(r"[^: ]+:(?:_Mkl(?:Native)?)?(?P<kind>[A-Z][A-Za-z0-9]*)")


def by_operation(call: Callable[[], Any]) -> list[tuple[str, float]]:
    """Profile a call.

    Returns:
        Kinds of operations with their share of the time of all operations, the largest first.
        Operations on several cores at once count each core's time.
    """
    # The protocol buffer of profiles is part of TensorFlow 2.15 without being part of its API.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            call()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    spent: Counter[str] = Counter()
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                found = OPERATION.fullmatch(names[event.metadata_id])
                if found:
                    spent[found["kind"]] += event.duration_ps
    whole = sum(spent.values())
    return [(name, value / whole) for name, value in spent.most_common()]
