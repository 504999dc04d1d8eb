r"""Names in figures as they are: no formulas, and in fonts that have their letters.

Names of attributes and values come from people: with `$` and `\`, in Chinese, Arabic, Hindi. What
no font of this machine can draw is numbered in the figure and named in a note below it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator

_OWN_FORMULA = "$\\mathdefault"  # how matplotlib writes powers on its axes
# The one draws a box for every letter, the other only pictures, which matplotlib cannot scale.
_NO_LETTERS = re.compile("Last ?Resort|Emoji", re.IGNORECASE)


def draw_names(figure: Figure) -> dict[str, int]:
    """Make a finished figure draw names as they are.

    Args:
        figure: its texts get other fonts where the present ones lack letters; those that no font
            has become numbers, which a printed note explains.

    Returns:
        The number of each name that could not be drawn.
    """
    numbers: dict[str, int] = {}
    for axis in _axes(figure):
        labels = axis.get_ticklabels()  # made now, as they will be drawn
        words = [text.get_text() for text in labels]
        drawn = [_drawable(text, numbers) for text in labels]
        if drawn != words:  # an axis writes its labels anew, each time that it is drawn
            axis.set_major_locator(FixedLocator(axis.get_majorticklocs()))
            axis.set_major_formatter(FixedFormatter(drawn))
    for text in figure.findobj(Text):
        text.set_text(_drawable(text, numbers))
    if numbers:
        named = ", ".join(f"[{number}] {name}" for name, number in numbers.items())
        print(
            f"No font of this machine has the letters of: {named}. They are numbers in the figure."
        )
    return numbers


def _axes(figure: Figure) -> Iterator[Axis]:
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        yield from (axes.xaxis, axes.yaxis)


def _drawable(text: Text, numbers: dict[str, int]) -> str:
    """Return what a text can draw, after choosing its fonts."""
    words = text.get_text()
    if words.startswith(_OWN_FORMULA):
        return words
    text.set_parse_math(False)
    missing = {letter for letter in words if not letter.isspace()} - _letters(
        findfont(text.get_fontproperties())
    )
    fonts = []
    while missing and (found := _font_with(frozenset(missing))):
        fonts.append(found[0])
        missing -= found[1]
    if fonts:
        text.set_fontfamily([*text.get_fontfamily(), *fonts])
    if not missing:
        return words
    strange = f"[{re.escape(''.join(sorted(missing)))}]"

    def numbered(name: re.Match[str]) -> str:
        return f"[{numbers.setdefault(name[0], len(numbers) + 1)}]"

    return re.sub(f"{strange}(?:.*{strange})?", numbered, words)


@functools.cache
def _font_with(letters: frozenset[str]) -> tuple[str, frozenset[str]] | None:
    """Return the name of the font that has most of some letters, and which; or None."""
    found = {
        font.name: letters & _letters(font.fname)
        for font in fontManager.ttflist
        if not _NO_LETTERS.search(font.name)
    }
    best = max(sorted(found), key=lambda name: len(found[name]), default="")
    return (best, frozenset(found[best])) if found.get(best) else None


@functools.cache
def _letters(file: str) -> frozenset[str]:
    """Return the letters of a font; none if its file cannot be read."""
    try:
        return frozenset(map(chr, FT2Font(file).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
