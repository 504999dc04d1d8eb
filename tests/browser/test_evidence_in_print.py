"""A sheet of design evidence as chromium prints it."""

from __future__ import annotations

import re
from pathlib import Path

import hostile_catalogue
import pytest

from asen_apps import evidence
from asen_tf.embedder import Embedder

pytestmark = pytest.mark.browser

A4 = (595.3, 841.9)  # points


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheet")
    hostile_catalogue.make(folder)
    embedder = Embedder.load(folder / "model.keras")
    items = evidence.CatalogueFiles.from_folder(folder / "catalogue")
    found = evidence.examine(embedder, items, folder / "design.png", ["neckline", "buttons"], top=8)
    page, _ = evidence.write(evidence.make(found, embedder, folder / "model.keras"), folder)
    return page


def test_a_sheet_prints_on_pages_of_a4(sheet: Path, chromium: object) -> None:
    context = chromium.new_context(offline=True)
    tab = context.new_page()
    complaints = []
    tab.on("console", lambda said: complaints.append(said.text))
    tab.on("requestfailed", lambda request: complaints.append(request.url))
    tab.goto(sheet.as_uri())
    pdf = tab.pdf(prefer_css_page_size=True, print_background=True)
    # In print nothing is wider than the paper without its margins: 182 mm of 96 px an inch.
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": round(182 / 25.4 * 96), "height": 1000})
    width = tab.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert not complaints and width <= round(182 / 25.4 * 96)
    pages = re.findall(rb"/Type\s*/Page\b", pdf)
    assert pdf.startswith(b"%PDF-") and len(pages) >= 4  # 24 cards do not fit on fewer
    boxes = re.findall(rb"/MediaBox\s*\[([^\]]+)\]", pdf)
    assert len(boxes) == len(pages)
    for box in boxes:
        assert [float(edge) for edge in box.split()] == pytest.approx([0, 0, *A4], abs=1)
