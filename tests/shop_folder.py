"""A shop's folder as tests find it: photographs, a table, a model; and its commands as typed."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_model import small_model

from asen_apps.commands import main
from asen_apps.search import AttributeIndex
from asen_apps.search.frozen import open_embedder

COUNT, BROKEN = 300, (7, 50, 51, 120, 200, 299)


def run(
    line: str, capsys: pytest.CaptureFixture, folder: Path, monkeypatch
) -> tuple[int, str, str]:
    """Run a line as it is typed in the shop's folder; return exit code, output and errors."""
    monkeypatch.chdir(folder)
    capsys.readouterr()
    code = main(shlex.split(line)[1:])
    told = capsys.readouterr()
    return code, told.out, told.err


def opened(index: Path, shop: Path) -> AttributeIndex:
    return AttributeIndex.load(index, open_embedder(shop / "model.keras"))


def make_shop(folder: Path) -> Path:
    """Make a shop: 300 images, six of them broken and two the same, and a table as Excel has it."""
    small_model().save(folder / "model.keras")
    (folder / "photos" / "new").mkdir(parents=True)
    lines = ["sep=;", "image;Brand;price;Sleeve;title"]
    rng = np.random.default_rng(0)
    rough = rng.uniform(0, 255, (COUNT, 5, 4, 3)).astype(np.uint8)
    for number in range(COUNT):
        name = f"{'new/' if number % 3 == 0 else ''}{number:03d}.jpg"
        picture = Image.fromarray(rough[number]).resize((80, 100), Image.Resampling.BICUBIC)
        picture.save(folder / "photos" / name, quality=90)
        if number in BROKEN:
            (folder / "photos" / name).write_bytes([b"", b"no image"][number % 2])
        brand, sleeve = ("Acme", "Zeta")[number % 2], ("short", "long", "")[number % 3]
        lines.append(f'{name};{brand};{number / 4:.2f};{sleeve};"Shirt; {number}"')
    shutil.copy(folder / "photos" / "010.jpg", folder / "photos" / "011.jpg")  # the same
    (folder / "shop.csv").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    return folder
