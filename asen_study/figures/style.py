"""The look of all figures, and how they are saved and shown."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import seaborn as sns
from IPython.display import Image
from matplotlib.figure import Figure
from PIL import Image as Pixels
from PIL.PngImagePlugin import PngInfo

from asen_study.figures.names import draw_names
from asen_study.figures.overlays import REGION
from asen_study.matrix import LABELS
from asen_tf.files import replacing
from asen_tf.training import keeps_files

# Okabe and Ito's colours: readers with any kind of colour vision can tell them apart.
COLOURS = {
    "global": "#0072B2",
    "local": "#E69F00",
    "fused": "#009E73",
    "random": "#4D4D4D",
    "centre": "#4D4D4D",
    "right": "#009E73",
    "wrong": "#D55E00",
    "truth": "#56B4E9",
    "region": REGION,
}
WIDTH = 9.0  # inches, the width of a notebook's column
_DOTS, _DOTS_SHOWN = 144, 100  # per inch, in the file and on the screen
_LARGEST = 2**20  # bytes of a picture in full colour; results are kept in git

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


def name_of(method: str) -> str:
    """Return the label of a row of the matrix, or of `row:embedding`."""
    row, _, embedding = method.partition(":")
    return f"{LABELS.get(row, row)} {embedding}".strip()


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
