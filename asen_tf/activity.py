"""What was being done when an error was raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_NOTE = "_asen_tf_activity"


@contextmanager
def during(activity: str) -> Iterator[None]:
    """Note on an error that leaves the block what was being done; the innermost note counts.

    It also decorates a function, whose calls are then the block.
    """
    try:
        yield
    except Exception as error:
        if activity_of(error) is None:
            setattr(error, _NOTE, activity)
        raise


def activity_of(error: BaseException) -> str | None:
    """Return what `during` has noted on an error; None where it has not."""
    return getattr(error, _NOTE, None)
