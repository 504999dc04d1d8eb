"""Saves an index over and over, and is killed in the middle: run by test_search_kills.py.

    python killed_saves.py FOLDER first        kill the n-th access to a file, for n = 1, 2, ...
    python killed_saves.py FOLDER later        the same of a graph; one save is let through before
    python killed_saves.py FOLDER moments 12   kill at 12 moments of a larger save

Every save removes the item with the lowest id and adds two, so that an index of `start` and n more
items holds ids n to start + 2n - 1. Each is a child process that is killed with SIGKILL; another
child then loads the index. A line of JSON is printed per kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from known_vectors import KnownEmbedder, paths, random_vectors

import asen_tf.models  # noqa: F401 - imported once, here, and not anew by every child
from asen_apps.search import AttributeIndex, SearchIndexError

WATCHED = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir")
FEW, MANY, DIMENSION = 20, 4000, 256


def child(work: Callable[[], None]) -> int:
    """Run work in a process of its own; return its id. Nothing here uses FAISS before a fork."""
    process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return process


def outcome(process: int) -> int:
    """Return the exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def embedder(count: int) -> KnownEmbedder:
    return KnownEmbedder(a=random_vectors(count, DIMENSION))


def save(folder: Path, embedder: KnownEmbedder, start: int, kind: str, kill_at: int = 0) -> None:
    """Load the index, or make one of `start` items, change it as said above, and save."""
    try:
        index = AttributeIndex.load(folder, embedder)
    except SearchIndexError:
        index = AttributeIndex.build(embedder, paths(start), backend=kind)
        index.prepare(progress=False)
    oldest, newest = int(index.ids.min()), int(index.ids.max())
    index.remove([oldest])
    index.add(paths(newest + 3)[-2:])
    seen = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in WATCHED and str(folder) in str(arguments[0]):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    index.save(folder)


def report(folder: Path, embedder: KnownEmbedder, start: int, code: int) -> None:
    """Print what a reader finds."""
    try:
        index = AttributeIndex.load(folder, embedder)
    except SearchIndexError as error:
        assert "no saved index here" in str(error), error
        count, whole = 0, True
    else:
        count = len(index)
        more = count - start
        held = range(more, start + 2 * more)
        whole = np.array_equal(index.vectors("a"), embedder.table["a"][held.start : held.stop])
        whole &= index.images == paths(held.stop)[more:] and index.ids.tolist() == list(held)
        for item in (held[0], held[-1], more - 1):  # the last is what was removed
            best = index.search(f"{item}.png", "a", 1)[0]
            whole &= (best.id == item and best.score > 0.999) == (item in held)
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    line = {"code": code, "count": count, "whole": bool(whole), "names": names}
    print(json.dumps(line), flush=True)


def main(folder: Path, way: str, turns: int) -> None:
    start = MANY if way == "moments" else FEW
    kind = "hnsw" if way == "later" else "exact"
    known = embedder(start + 400)
    if way == "later":
        assert outcome(child(lambda: save(folder, known, start, kind))) == 0
    if way != "moments":
        code = -signal.SIGKILL
        for kill_at in range(1, 200):
            if code != -signal.SIGKILL:
                break
            code = outcome(child(lambda at=kill_at: save(folder, known, start, kind, at)))
            assert outcome(child(lambda code=code: report(folder, known, start, code))) == 0
        return
    began = time.monotonic()
    assert outcome(child(lambda: save(folder, known, start, kind))) == 0
    lasts = time.monotonic() - began
    for turn in range(turns):
        process = child(lambda: save(folder, known, start, kind))
        time.sleep(lasts * (turn + 1) / turns)
        os.kill(process, signal.SIGKILL)
        code = outcome(process)
        assert outcome(child(lambda code=code: report(folder, known, start, code))) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
