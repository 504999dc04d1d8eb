"""The files of the page: template, style sheet, script."""

from pathlib import Path

FOLDER = Path(__file__).parent


def read(name: str) -> str:
    """Return the text of one of the files."""
    return (FOLDER / name).read_text(encoding="utf-8")
