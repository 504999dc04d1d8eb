"""One thread that does the latest thing asked of it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Worker:
    """Does jobs one at a time; of those that arrive meanwhile, only the last.

    So a page stays responsive while a slow job runs, and quick changes do not pile up.
    """

    def __init__(self) -> None:
        """Start idle."""
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def ask(self, job: Callable[[], None]) -> None:
        """Do a job as soon as the one that runs has ended; return at once."""
        with self._lock:
            self._next = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until there is nothing left to do."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                job, self._next = self._next, None
                if job is None:
                    self._thread = None
                    return
            job()
