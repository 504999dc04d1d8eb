"""The colours of the page. Each pair is readable: WCAG 2.1, contrast 4.5 for text, 3 for shapes."""

from __future__ import annotations

INK = "#1b1f24"
QUIET = "#55606c"
PAPER = "#ffffff"
SHADE = "#f3f5f7"
LINE = "#858f9a"
ACCENT = "#0b5cad"
RIGHT, RIGHT_PAPER = "#07603f", "#e3f4ec"
WRONG, WRONG_PAPER = "#9a3412", "#fdeee4"
ERROR, ERROR_PAPER = "#8a1c1c", "#fdecec"

# Text colour, the colour behind it.
TEXT = (
    (INK, PAPER),
    (INK, SHADE),
    (QUIET, PAPER),
    (QUIET, SHADE),
    (ACCENT, PAPER),
    (ACCENT, SHADE),
    (PAPER, ACCENT),
    (RIGHT, RIGHT_PAPER),
    (WRONG, WRONG_PAPER),
    (ERROR, ERROR_PAPER),
)
# Borders, marks and the ring of the focus, the colour behind them.
SHAPES = ((LINE, PAPER), (ACCENT, PAPER), (ACCENT, SHADE), (RIGHT, PAPER), (WRONG, PAPER))

_NAMES = {
    "ink": INK,
    "quiet": QUIET,
    "paper": PAPER,
    "shade": SHADE,
    "line": LINE,
    "accent": ACCENT,
    "right": RIGHT,
    "right-paper": RIGHT_PAPER,
    "wrong": WRONG,
    "wrong-paper": WRONG_PAPER,
    "error": ERROR,
    "error-paper": ERROR_PAPER,
}


def variables() -> str:
    """Return the colours as variables of the style sheet, which names no other colour."""
    lines = [f"--ax-{name}: {colour};" for name, colour in _NAMES.items()]
    return ".ax { " + " ".join(lines) + " }"


def contrast(first: str, second: str) -> float:
    """Return the contrast of two `#rrggbb` colours, from 1 to 21 (WCAG 2.1).

    `(L1 + 0.05) / (L2 + 0.05)`, L the relative luminance of the lighter and the darker one.
    """
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
