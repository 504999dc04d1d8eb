"""The reference results as git keeps them: your own study may have overwritten a file."""

from __future__ import annotations

import functools
import io
import subprocess
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]


@functools.cache
def kept(path: str) -> str:
    """Return the text of a file below results/ as it is in git's index; without git, as it is."""
    name = f"results/{path}"
    command = ["git", "-C", str(ROOT), "show", f":./{name}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        return (ROOT / name).read_text(encoding="utf-8")
    return found.stdout if not found.returncode else (ROOT / name).read_text(encoding="utf-8")


def table(study: str, file: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(kept(f"{study}/{file}")))
