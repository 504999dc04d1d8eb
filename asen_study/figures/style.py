r"""The look of all figures, attention and names in them, and how they are saved and shown.

Names of attributes and values come from people: with `$` and `\`, in Chinese, Arabic, Hindi. They
are drawn as they are: no formulas, and in fonts that have their letters. What no font of this
machine can draw is numbered in the figure and named in a note below it.
"""

from __future__ import annotations

import functools
import io
import math
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from IPython.display import Image, display
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator
from PIL import Image as Pixels
from PIL import ImageDraw
from PIL.PngImagePlugin import PngInfo

from asen_tf.data.fitting import Box
from asen_tf.data.images import font_with, letters_of
from asen_tf.files import replacing
from asen_tf.training import keeps_files

_LETTERS = 12.5  # of a title, per inch
REGION = "#F0E442"  # yellow, the colour of the frame

# Okabe and Ito's colours: readers with any kind of colour vision can tell them apart. A method has
# the same one in every figure, and its variations have shades of it; see `colours_of`.
METHODS = {
    "random": "#767676",
    "features": "#E69F00",
    "triplet": "#000000",
    "csn": "#CC79A7",
    "asen": "#56B4E9",
    "asen_v2": "#0072B2",
    "asen_pp": "#009E73",
    "rpf": "#D55E00",
}
# What is no method: the embeddings of one model, and marks. ASEN++ retrieves with "fused", and its
# global branch resembles ASEN_v2: these have the methods' colours.
COLOURS = {
    "global": "#0072B2",
    "local": "#E69F00",
    "fused": "#009E73",
    "random": METHODS["random"],
    "centre": METHODS["random"],
    "right": "#009E73",
    "wrong": "#D55E00",
    "truth": "#56B4E9",
    "region": REGION,
}
WIDTH = 9.0  # inches, the width of a notebook's column
_SHADES = (0.0, 0.55, -0.45, 0.3, -0.25, 0.7, -0.65, 0.15)  # towards white, below 0 towards black
_DOTS, _DOTS_SHOWN = 144, 100  # per inch, in the file and on the screen
_FLAT = 1e-9  # a map with a smaller span counts as flat
_THIN = 70  # the frame's width is the picture's side divided by this
_LARGEST = 2**20  # bytes of a picture in full colour; results are kept in git

_OWN_FORMULA = "$\\mathdefault"  # how matplotlib writes powers on its axes

_THEME = {
    **sns.plotting_context("notebook", font_scale=0.75),
    **sns.axes_style("whitegrid"),
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def themed(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Make a function draw in the project's theme, without changing the theme of the caller."""

    @functools.wraps(draw)
    def inside(*arguments, **options) -> Figure:
        with matplotlib.rc_context(_THEME):
            return draw(*arguments, **options)

    return inside


def wrapped(words: str, inches: float) -> str:
    """Return words broken into lines that fit above a picture of that width."""
    return textwrap.fill(words, max(round(_LETTERS * inches), 8))


def colours_of(rows: Iterable[str]) -> dict[str, str]:
    """Return a colour for each row of the matrix, or `row:embedding`: that of its method.

    Of several rows of one method, the first in the order given has the colour itself, the others
    have shades of it. What is no method is black.

    Example:
        `colours_of(["csn", "csn/disjoint"])` gives CSN's pink, and a lighter one.
    """
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for row in dict.fromkeys(rows):
        method = re.split("[/:]", row)[0]
        colour = np.array(to_rgb(METHODS.get(method, "#000000")))
        shade = _SHADES[seen.setdefault(method, 0) % len(_SHADES)]
        seen[method] += 1
        found[row] = to_hex(colour + abs(shade) * (float(shade > 0) - colour))
    return found


def show(
    draw: Callable[..., Figure],
    what: Collection[Any],
    folder: Path | str,
    name: str,
    alt: str,
    *,
    needs: str = "",
    otherwise: str = "",
    **options: Any,
) -> None:
    """Draw something, keep the figure and display it; or say why there is none.

    Args:
        draw: a function of this package.
        what: its first argument; if it is empty, nothing is drawn.
        folder: as for `keep`.
        name: as for `keep`.
        alt: as for `keep`.
        needs: a column without which a table counts as empty.
        otherwise: is printed if there is nothing to draw.
        **options: further arguments of `draw`.
    """
    if len(what) and (not needs or needs in what):
        display(keep(draw(what, **options), folder, name, alt))
    elif otherwise:
        print(otherwise)


def keep(figure: Figure, folder: Path | str, name: str, alt: str) -> Image:
    """Save a figure as `<folder>/<name>.png` and return it for display.

    Of several workers that train together, only the first saves it.

    Args:
        figure: what a function of this package returned.
        folder: the study's folder of figures; created.
        name: the file's name, without suffix.
        alt: what the picture shows, for readers who cannot see it.
    """
    drawn = io.BytesIO()
    draw_names(figure)
    figure.savefig(drawn, dpi=_DOTS, metadata={"Software": None, "Description": alt})
    content = _slim(drawn.getvalue(), alt)
    if keeps_files():
        with replacing(Path(folder) / f"{name}.png") as temporary:
            temporary.write_bytes(content)
    return picture(content, alt, width=round(figure.get_figwidth() * _DOTS_SHOWN))


def _slim(content: bytes, alt: str) -> bytes:
    """Return a large PNG with 256 dithered colours, which look the same; others as they are."""
    if len(content) <= _LARGEST:
        return content
    slim, text = io.BytesIO(), PngInfo()
    text.add_text("Description", alt)
    with Pixels.open(io.BytesIO(content)) as opened:
        full = opened.convert("RGB")
        sample = full.resize((full.width // 4, full.height // 4), Pixels.Resampling.NEAREST)
        few = full.quantize(palette=sample.quantize(256, kmeans=2))
        few.save(slim, "PNG", optimize=True, pnginfo=text, dpi=(_DOTS, _DOTS))
    return min(content, slim.getvalue(), key=len)


def picture(source: Path | str | bytes, alt: str, *, width: int | None = None) -> Image:
    """Return a picture for display, in whichever of PNG and JPEG is smaller.

    Args:
        source: a PNG or JPEG file, or its content.
        alt: what the picture shows.
        width: px on the screen; the picture's own when None.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    with Pixels.open(io.BytesIO(content)) as opened:
        jpeg = io.BytesIO()
        opened.convert("RGB").save(jpeg, "JPEG", quality=85, optimize=True)
    smaller = min(content, jpeg.getvalue(), key=len)
    return Image(data=smaller, alt=alt, width=width)


# === Attention over pictures ===


def with_attention(
    image: np.ndarray,
    attention: np.ndarray,
    region: Box | None,
    *,
    extent: tuple[float, float] = (0.0, 1.0),
    opacity: tuple[float, float] = (0.0, 0.75),
) -> np.ndarray:
    """Lay a map over a picture, brighter where the attention is higher, and frame its region.

    The map is stretched from its lowest to its highest value. A flat map shows no place: it is
    drawn as its lowest value everywhere.

    Example:
        With the default opacity a flat map leaves the picture as it is.

    Args:
        image: `(S, S, 3)` uint8.
        attention: `(h, w)`, non-negative, of the whole picture.
        extent: where the map starts and ends on it, as `asen_tf.backbones.map_extent` says.
        region: what the local branch sees, in shares of the picture's side, or None.
        opacity: of the map, where it is lowest and where it is highest.

    Returns:
        `(S, S, 3)` uint8.
    """
    heat = np.asarray(attention, np.float32)
    span = float(heat.max() - heat.min())
    heat = (heat - heat.min()) / span if span > _FLAT else np.zeros_like(heat)
    large = enlarged(heat, len(image), extent, Pixels.Resampling.BICUBIC)
    weight = np.clip(large, 0.0, 1.0)
    colours = matplotlib.colormaps["inferno"](weight)[..., :3] * 255.0
    share = (opacity[0] + (opacity[1] - opacity[0]) * weight)[..., None]
    mixed = image * (1.0 - share) + colours * share
    drawn = Pixels.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    if region is not None:
        _frame(drawn, region)
    return np.asarray(drawn)


def enlarged(
    attention: np.ndarray,
    side: int,
    extent: tuple[float, float],
    resampling: Pixels.Resampling = Pixels.Resampling.BILINEAR,
) -> np.ndarray:
    """Return a map as a picture of `side` x `side` pixels, `(side, side)` float32.

    Where the map starts after the picture or ends before it, it goes on as it is at its edge.
    """
    heat = np.asarray(attention, np.float32)
    shares = (np.array([0.0, 1.0]) - extent[0]) / (extent[1] - extent[0])  # of the map's sides
    (top, bottom), (left, right) = (shares * cells for cells in heat.shape)
    more = [
        (max(math.ceil(-first), 0), max(math.ceil(last - cells), 0))
        for first, last, cells in ((top, bottom, heat.shape[0]), (left, right, heat.shape[1]))
    ]
    box = (left + more[1][0], top + more[0][0], right + more[1][0], bottom + more[0][0])
    padded = Pixels.fromarray(np.pad(heat, more, mode="edge"))
    return np.asarray(padded.resize((side, side), resampling, box=box))


def _frame(picture: Pixels.Image, region: Box) -> None:
    """Draw a region's edges in yellow between black ones: visible on light and dark pictures."""
    last, thick = picture.width - 1, max(picture.width // _THIN, 1)
    left, top, right, bottom = (min(max(round(edge * last), 0), last) for edge in region)
    pen = ImageDraw.Draw(picture)
    for inset, colour, width in ((0, "black", thick + 2), (1, REGION, thick)):
        x, y = min(left + inset, last), min(top + inset, last)
        edges = (x, y, max(right - inset, x), max(bottom - inset, y))
        pen.rectangle(edges, outline=colour, width=width)


# === Names ===


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
        print(f"No installed font can draw: {named}. They are numbers in the figure.")
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
    missing = set("".join(words.split())) - letters_of(findfont(text.get_fontproperties()))
    fonts = []
    while missing and (found := font_with(frozenset(missing))):
        fonts.append(found[0])
        missing -= found[2]
    if fonts:
        text.set_fontfamily([*text.get_fontfamily(), *fonts])
    if not missing:
        return words
    strange = f"[{re.escape(''.join(sorted(missing)))}]"

    def numbered(name: re.Match[str]) -> str:
        return f"[{numbers.setdefault(name[0], len(numbers) + 1)}]"

    return re.sub(f"{strange}(?:.*{strange})?", numbered, words)
