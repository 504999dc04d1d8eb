"""The explorer: a page in the browser that searches a study's test images by attribute.

`Explorer` does all the work without widgets, `App` puts widgets around it, `show` is the
notebook's one call, and `asen explore` serves the notebook as a page, to this machine alone.
"""

import importlib
from typing import Any

LARGEST_BYTES = 10 * 2**20  # of an uploaded file: the browser, the server and Python keep to it


class ExplorerError(ValueError):
    """The explorer cannot do what it was asked; the message is a sentence for the page."""


# Imported on first use: they load TensorFlow, and the command line answers before that.
_MODULES = {
    "App": "asen_apps.explorer.app",
    "Explorer": "asen_apps.explorer.explorer",
    "show": "asen_apps.explorer.app",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
