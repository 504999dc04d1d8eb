"""Names in figures: drawn letter by letter, in a font that has them, or numbered with a note."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

from asen_study.figures import spaces, style
from asen_tf.data.images import font_with

UNKNOWN = "\U0010f0a1\U0010f0a2"  # letters of nobody's: no font has them


def pixels(figure: Figure) -> np.ndarray:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    return np.asarray(Image.open(drawn).convert("L"))


def figure_of(title: str, ticks: list[str], entry: str) -> Figure:
    figure = Figure(figsize=(5, 3))
    axes = figure.add_subplot()
    axes.barh(range(len(ticks)), [1] * len(ticks), label=entry)
    axes.set_yticks(range(len(ticks)), ticks)
    axes.set_title(title)
    axes.legend(loc="upper right")
    return figure


@pytest.fixture
def font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a font that has the unknown letters, each a black square; return its name."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square" for letter in UNKNOWN})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    glyph = pen.glyph()
    builder.setupGlyf({".notdef": glyph, "square": glyph})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "squares.ttf")
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist])
    fontManager.addfont(tmp_path / "squares.ttf")
    font_with.cache_clear()
    yield "Squares"
    font_with.cache_clear()


@pytest.mark.parametrize(
    "name", ["5 $ to 6 $", "$\\frac{$", "a\\b_c^d", "under_score", "50 % & #1"]
)
def test_a_name_is_no_formula(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ours = figure_of(name, [name, "b"], name)
    assert style.draw_names(ours) == {}
    escaped = name.replace("$", r"\$")  # how matplotlib itself asks to be told
    expected = figure_of(escaped, [escaped, "b"], escaped)
    np.testing.assert_array_equal(pixels(ours), pixels(expected))
    assert capsys.readouterr().out == ""


def test_powers_on_an_axis_stay_powers() -> None:
    def drawn(*, named: bool) -> np.ndarray:
        figure = Figure(figsize=(4, 2))
        axes = figure.add_subplot()
        axes.plot([1, 1e6], [1, 2])
        axes.set_xscale("log")
        if named:
            assert style.draw_names(figure) == {}
        return pixels(figure)

    np.testing.assert_array_equal(drawn(named=True), drawn(named=False))


def test_letters_that_no_font_has_are_numbered_with_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = UNKNOWN[::-1]
    figure = figure_of(f"by {UNKNOWN}", [UNKNOWN, f"{other} ({other})", "red"], "red")
    assert style.draw_names(figure) == {UNKNOWN: 1, f"{other} ({other}": 2}
    assert f"No installed font can draw: [1] {UNKNOWN}, [2] {other}" in capsys.readouterr().out
    expected = figure_of("by [1]", ["[1]", "[2])", "red"], "red")
    np.testing.assert_array_equal(pixels(figure), pixels(expected))


def test_a_font_of_the_machine_that_has_the_letters_is_used(font: str) -> None:
    figure = figure_of(f"by {UNKNOWN}", [UNKNOWN, "red"], UNKNOWN)
    dark = (pixels(figure_of("by  ", ["  ", "red"], "  ")) < 60).sum()
    assert style.draw_names(figure) == {}
    assert font in figure.axes[0].title.get_fontfamily()
    assert (pixels(figure) < 60).sum() > dark + 6 * 60  # six squares of some ten pixels


def test_keeping_a_figure_draws_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style.keep(figure_of("$a$", [UNKNOWN, "b"], "c"), tmp_path, "names", "a test")
    assert f"[1] {UNKNOWN}" in capsys.readouterr().out and (tmp_path / "names.png").exists()


def test_a_value_that_begins_with_an_underscore_is_in_the_legend() -> None:
    axes = Figure().add_subplot()
    points, groups = np.random.default_rng(0).normal(size=(8, 2)), np.arange(8) % 2
    spaces._scatter(axes, points, groups, ["_plain", "striped"], of="pattern", size=4)
    assert axes.get_legend_handles_labels()[1] == [" _plain", "striped"]
