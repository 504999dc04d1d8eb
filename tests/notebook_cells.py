"""A notebook's cells run in this process: early failures are found without starting a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat


def run_here(notebook: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Run the code cells one after the other, and return the names that they leave.

    Args:
        notebook: the file.
        parameters: set behind the cell that is tagged so, in a cell as papermill adds it.
    """
    added = "\n".join(["# Parameters", *(f"{name} = {parameters[name]!r}" for name in parameters)])
    namespace: dict[str, Any] = {"__name__": "__main__", "In": []}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            tagged = "parameters" in cell.metadata.get("tags", [])
            for source in (cell.source, added) if tagged else (cell.source,):
                namespace["In"].append(source)
                exec(compile(source, notebook.name, "exec"), namespace)
    return namespace
