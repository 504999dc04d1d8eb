"""The colours of the page: readable in every pair in which the style sheet uses them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asen_apps.explorer

SHEET = (Path(asen_apps.explorer.__file__).parent / "page" / "explorer.css").read_text("utf-8")
NAMED = dict(re.findall(r"--ax-([a-z-]+): (#[0-9a-f]{6});", SHEET))

# Colour of a text, the colour behind it: contrast at least 4.5 (WCAG 2.1).
TEXTS = [
    ("ink", "paper"),
    ("ink", "shade"),
    ("muted", "paper"),
    ("muted", "shade"),
    ("accent", "paper"),
    ("accent", "shade"),
    ("paper", "accent"),
    ("right", "right-paper"),
    ("wrong", "wrong-paper"),
    ("error", "error-paper"),
]
# Borders, marks and the ring around the focus, the colour behind them: contrast at least 3.
SHAPES = [
    ("line", "paper"),
    ("accent", "paper"),
    ("accent", "shade"),
    ("right", "paper"),
    ("wrong", "paper"),
]


def contrast(first: str, second: str) -> float:
    """Return the contrast of two `#rrggbb` colours, from 1 to 21 (WCAG 2.1).

    `(L1 + 0.05) / (L2 + 0.05)`, L the relative luminance of the lighter and the darker one.
    """
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)
    assert contrast("#123456", "#123456") == 1.0


@pytest.mark.parametrize("pair", TEXTS, ids=" on ".join)
def test_texts_are_readable(pair: tuple[str, str]) -> None:
    assert contrast(NAMED[pair[0]], NAMED[pair[1]]) >= 4.5


@pytest.mark.parametrize("pair", SHAPES, ids=" on ".join)
def test_borders_and_marks_are_seen(pair: tuple[str, str]) -> None:
    assert contrast(NAMED[pair[0]], NAMED[pair[1]]) >= 3.0


def test_the_style_sheet_uses_named_colours_in_the_pairs_that_are_checked() -> None:
    rules = re.sub(r"--ax-[a-z-]+: #[0-9a-f]{6};", "", SHEET)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(", rules)
    assert set(re.findall(r"var\(--ax-([a-z-]+)\)", rules)) == set(NAMED)
    for rule in re.findall(r"\{([^{}]*)\}", rules):
        ink = re.search(r"(?<![-\w])color: var\(--ax-([a-z-]+)\)", rule)
        paper = re.search(r"background(?:-color)?: var\(--ax-([a-z-]+)\)", rule)
        if ink and paper:
            assert (ink[1], paper[1]) in TEXTS, rule
