"""A model, and a catalogue with copies, broken files and names that are HTML."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image
from small_model import pictures, small_model

SCRIPT = "<script>alert(1)<script>.png"
ONERROR = "\"'><img src=x onerror=alert(1)>.png"
NAMES = ("a.png", "b.png", "folder/c.png", "d.png", SCRIPT, ONERROR, "wide.jpg")


def make(root: Path) -> Path:
    """Write `model.keras`, `design.png` and `catalogue/` into a folder, and return it.

    In the catalogue are the images `NAMES`, `copy of d.png`, two files that cannot be used,
    `broken.jpg` and `link.png`, which leads nowhere, and two that do not belong to it.
    """
    small_model().save(root / "model.keras")
    catalogue = root / "catalogue"
    (catalogue / "folder").mkdir(parents=True)
    (catalogue / ".hidden").mkdir()
    every = pictures(8, side=90)
    for name, pixels in zip(NAMES, every, strict=False):
        Image.fromarray(pixels[:60] if name == "wide.jpg" else pixels).save(catalogue / name)
    Image.fromarray(every[7]).save(root / "design.png")
    shutil.copy(catalogue / "d.png", catalogue / "copy of d.png")
    (catalogue / "broken.jpg").write_bytes(b"not an image")
    (catalogue / "link.png").symlink_to(root / "gone.png")
    (catalogue / "notes.txt").write_text("not an image")
    shutil.copy(catalogue / "a.png", catalogue / ".hidden" / "a.png")
    return root
