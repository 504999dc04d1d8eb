"""Maps that are read where their cells see: the page and the sheet draw and name them there.

One cell of 4 x 4 is bright. Cells are around pixels 0, 8, 16 and 24 of 32; as released they would
be around pixels 3.5, 11.5, 19.5 and 27.5.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from asen_apps.evidence.pictures import attend
from asen_apps.explorer import rendering
from asen_apps.explorer.answer import Answer, QueryAttention
from asen_apps.explorer.gallery import Query
from asen_tf.data.fitting import frame_of
from asen_tf.embedder import Attention

GREY = np.full((96, 96, 3), 100, np.uint8)
WHOLE = (0.0, 0.0, 1.0, 1.0)
EXTENT = (-3.5 / 32, 28.5 / 32)
CELLS = pytest.mark.parametrize("cell", [(1, 2), (2, 1)])


def bright(cell: tuple[int, int]) -> np.ndarray:
    heat = np.zeros((4, 4), np.float32)
    heat[cell] = 1.0
    return heat


def place_of(cell: tuple[int, int]) -> tuple[float, float]:
    """Return how far down and to the right the centre of a cell is, as shares of the picture."""
    return (8 * cell[0] + 0.5) / 32, (8 * cell[1] + 0.5) / 32


def brightest(picture: bytes) -> tuple[float, float]:
    """Return likewise the middle of a picture's bright spot; the frame at its edges is left out."""
    with Image.open(io.BytesIO(picture)) as opened:
        light = np.asarray(opened.convert("L"), float)
    margin = len(light) // 12
    inside = light[margin:-margin, margin:-margin]
    rows, columns = np.nonzero(inside > (100 + inside.max()) / 2)
    return tuple((margin + part.mean() + 0.5) / len(light) for part in (rows, columns))


@CELLS
def test_the_page_of_the_explorer(cell: tuple[int, int]) -> None:
    seen = QueryAttention("hue", 1.0, "", bright(cell), WHOLE, EXTENT)
    query = Query("your picture", GREY)
    answer = Answer("ASEN++", query, GREY, "square", (seen,), (), 0, (), "image")
    page = BeautifulSoup(rendering.answer(answer, lambda *asked: ""), "html.parser")
    (shown,) = page.select('img[alt^="Attention map"]')
    down, right = place_of(cell)
    drawn = base64.b64decode(shown["src"].partition(",")[2])
    assert brightest(drawn) == pytest.approx((down, right), abs=0.02)
    vertical, horizontal = ("top", "middle")[down > 1 / 3], ("left", "centre")[right > 1 / 3]
    assert f"brightest at the {vertical} {horizontal};" in shown["alt"]


@CELLS
def test_the_sheet_of_evidence(cell: tuple[int, int], tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    frame = frame_of((96, 96), 96, "square")
    seen = Attention(bright(cell), frame.pixels(WHOLE), GREY, frame, EXTENT)
    model = SimpleNamespace(settings=SimpleNamespace(fit="square"))
    embedder = SimpleNamespace(model=model, attend=lambda *asked: seen)
    shown = attend(embedder, tmp_path / "grey.png", "hue", "It").map
    down, right = place_of(cell)
    assert brightest(shown.data) == pytest.approx((down, right), abs=0.02)
    assert f"strongest {100 * down:.0f}% down and {100 * right:.0f}% to the right" in shown.alt
