"""Turn raw or rendered images into split files (see `asen_tf.data`)."""

import sys
from types import TracebackType


def _told(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Say of Ctrl-C that it was one; the exit code is 130, as Python does it."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, place)


if sys.argv[:1] == ["-m"]:  # a command that is still importing what it needs
    sys.excepthook = _told
