"""The explorer: a page in the browser that searches a study's test images by attribute.

`Explorer` is all that it can do, without a widget; `show` is the notebook's one call; and
`python -m asen_apps.explorer` serves the notebook as a page, on this machine alone. They are
imported when asked for: they need TensorFlow, and the server of the page does not.
"""

import importlib
from typing import Any

_PLACES = {
    "App": "asen_apps.explorer.app",
    "Explorer": "asen_apps.explorer.explorer",
    "ExplorerError": "asen_apps.explorer.errors",
    "show": "asen_apps.explorer.show",
}


def __getattr__(name: str) -> Any:
    """Give a name of the package when it is asked for."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
