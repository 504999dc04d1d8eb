"""Examples from the test split, chosen at random: what a run attends to, and what it retrieves."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from asen_study.figures.style import COLOURS, WIDTH, colours_of, enlarged, name_of, themed
from asen_study.production import open_dataset
from asen_study.runs import Places, Run, Selection
from asen_tf.backbones import map_extent
from asen_tf.data import label, read_value_names
from asen_tf.data.fitting import Box
from asen_tf.evaluation import average_precision, normalise, ranked
from asen_tf.evaluation.localisation import attention_peak

_OUTLINE = [effects.withStroke(linewidth=3.0, foreground="black")]
_EDGE = {"fill": False, "lw": 1.5, "path_effects": _OUTLINE}
_TRUTH = {"edgecolor": COLOURS["truth"], "linestyle": "--", **_EDGE}
_REGION = {"edgecolor": COLOURS["region"], "linestyle": "-", **_EDGE}
_PEAK = {"marker": "X", "color": "white", "markeredgecolor": "black", "markersize": 9}
_HEAT = {"cmap": "inferno", "alpha": 0.6}
_LARGEST = 1.75  # inches, side of an image beside others
_LETTERS = 12.5  # of a title, per inch


# === The examples ===


@dataclass(frozen=True)
class AttentionExample:
    """An image and what a model attends to in it for one attribute.

    Attributes:
        image: `(S, S, 3)` uint8, the source image.
        value: name of the image's value.
        attention: `(h, w)` float, the global branch's map.
        region: the square that the local branch sees.
        truth: the true box of the part, or None if it is not known.
        extent: where the map starts and ends on the image; see `asen_tf.backbones.map_extent`.
        local_size: side of the square that the region becomes for the local branch, px.
    """

    image: np.ndarray
    value: str
    attention: np.ndarray
    region: Box
    truth: Box | None
    extent: tuple[float, float] = (0.0, 1.0)
    local_size: int = 96


@dataclass(frozen=True)
class RetrievalExample:
    """A query and its highest-ranked candidates.

    Attributes:
        images: `(1 + k, S, S, 3)` uint8, source images, the query first, then by rank.
        values: `1 + k` names of the images' values.
        precision: the query's average precision over the full ranking, a fraction.
    """

    images: np.ndarray
    values: tuple[str, ...]
    precision: float


class Gallery:
    """Examples of a run, chosen at random: the same ones for the same seed.

    Args:
        run: a finished run.
        places: where the study and its data are.

    Attributes:
        attributes: names of the attributes that have queries, or listed triplets, in the test
            split.
        split: the test split's labels.
        names: names of the values by attribute, where they are known.
        pairs: the model's outputs for the test images.
    """

    def __init__(self, run: Run, places: Places) -> None:
        self.config = run.config
        dataset = open_dataset(self.config, places)
        self._images = dataset.split("test")
        self.split = self._images.split
        self.pairs = run.test_pairs()
        self._truths = dataset.true_boxes("test") or {}
        self.names = read_value_names(places.data_dir, dataset.name) or {}
        asking = self.split.queries if self.split.triplets is None else self.split.labels
        asked = set(asking[:, 1].tolist())
        names = dataset.attributes.names
        self.attributes = tuple(name for index, name in enumerate(names) if index in asked)

    @property
    def embedding(self) -> str:
        """The embedding that is retrieved with."""
        return "fused" if "fused" in self.pairs.arrays else "global"

    def attentions(self, *, count: int = 3) -> dict[str, list[AttentionExample]]:
        """Return examples of every attribute; none at all of methods without attention maps."""
        if "attention" not in self.pairs.arrays:
            return {}
        return {name: self.attention(name, count=count) for name in self.attributes}

    def attention(self, attribute: str, *, count: int = 3, seed: int = 0) -> list[AttentionExample]:
        """Return random images of an attribute; if true boxes are known, only images with one.

        Raises:
            KeyError: the run's method has no attention maps.
        """
        rows = self._rows(self.split.labels, attribute)
        boxed = np.array([tuple(pair) in self._truths for pair in rows[:, :2].tolist()], bool)
        rows = self._sample(rows[boxed] if boxed.any() else rows, count, seed)
        found = self.pairs.rows(rows)
        sources = self._images.sources[rows[:, 0]]
        config = self.config
        boxes = self.pairs.arrays["boxes"][found] / config.global_size
        extent = map_extent(config.global_backbone, config.global_size, config.map_reading)
        return [
            AttentionExample(
                image=image,
                value=self._value(attribute, row[2]),
                attention=attention,
                region=(left, top, right, bottom),
                truth=self._truths.get((int(row[0]), int(row[1]))),
                extent=extent,
                local_size=config.local_size,
            )
            for image, row, attention, (top, left, bottom, right) in zip(
                sources, rows, self.pairs.arrays["attention"][found], boxes.tolist(), strict=True
            )
        ]

    def retrieval(
        self,
        attribute: str,
        *,
        embedding: str | None = None,
        count: int = 3,
        top: int = 8,
        seed: int = 0,
    ) -> list[RetrievalExample]:
        """Return random queries of an attribute with their highest-ranked candidates.

        They are ranked by the embedding of that name; by default the fused one, or else the global
        one. Listed triplets have no queries, so there are no examples of them.
        """
        embedding = embedding or self.embedding
        candidates = self._rows(self.split.candidates, attribute)
        vectors = normalise(self.pairs.arrays[embedding])
        among = vectors[self.pairs.rows(candidates)]
        examples = []
        for query in self._sample(self._rows(self.split.queries, attribute), count, seed):
            scores = among @ vectors[self.pairs.rows(query[None])[0]]
            found = candidates[ranked(scores)]
            shown = np.concatenate([query[None], found[:top]])
            examples.append(
                RetrievalExample(
                    images=self._images.sources[shown[:, 0]],
                    values=tuple(self._value(attribute, value) for value in shown[:, 2]),
                    precision=float(average_precision(found[:, 2] == query[2])),
                )
            )
        return examples

    def _rows(self, labels: np.ndarray, attribute: str) -> np.ndarray:
        return labels[labels[:, 1] == self.split.attributes.names.index(attribute)]

    def _sample(self, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
        order = np.random.default_rng(seed).permutation(len(rows))
        return rows[order[:count]]

    def _value(self, attribute: str, value: int) -> str:
        if self.split.triplets is not None:
            return ""  # listed triplets have no values
        names = self.names.get(attribute)
        return names[int(value)] if names else f"value {value}"


def first_run(selection: Selection, row: str) -> tuple[Run, str]:
    """Return the run of a row with the lowest seed, or, if there is none, one of the last row."""
    chosen = row if row in selection.rows else selection.rows[-1]
    return selection.runs[selection.rows.index(chosen)], chosen


def compared_attention(
    selection: Selection,
    rows: Sequence[str],
    places: Places,
    *,
    ending: str = "",
    boxed: bool = False,
) -> dict[str, dict[str, AttentionExample]]:
    """Return what several methods attend to in the same image of each attribute.

    Args:
        selection: the finished runs; of each row that with the lowest seed counts.
        rows: of the matrix; those without a run, or without attention maps, are left out.
        places: where the study and its data are.
        ending: of the attributes' names, to take those alone.
        boxed: leave out attributes whose true boxes are not known.
    """
    found = {}
    for row in rows:
        if row in selection.rows:
            seen = Gallery(first_run(selection, row)[0], places).attentions(count=1)
            found[row] = {
                name: examples[0]
                for name, examples in seen.items()
                if name.endswith(ending) and (examples[0].truth or not boxed)
            }
    return {row: seen for row, seen in found.items() if seen}


# === Their pictures ===


@themed
def attention_maps(examples: Mapping[str, Sequence[AttentionExample]]) -> Figure:
    """Draw attention maps with true boxes and regions, each next to its enlarged region.

    Args:
        examples: by attribute, the same number for each: a row per attribute.
    """
    columns = max(len(row) for row in examples.values())
    side = WIDTH / (2 * columns)
    values = [example.value for row in examples.values() for example in row]
    lines = max(_lines(words, side).count("\n") for words in (*values, *map(label, examples))) + 1
    height = len(examples) * (side + 0.06 + 0.15 * lines) + 0.75
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(examples), 2 * columns, squeeze=False)
    figure.suptitle(
        "Where the model looks for each attribute, and what its local branch then sees",
        fontweight="bold",
        fontsize="medium",
    )
    for (attribute, row), cells in zip(examples.items(), panels, strict=True):
        for axes in cells:
            axes.set_axis_off()
        for example, axes, zoom in zip(row, cells[::2], cells[1::2], strict=False):
            _attention(axes, example)
            _box(axes, example.truth, len(example.image), _TRUTH)
            _box(axes, example.region, len(example.image), _REGION)
            zoom.imshow(_zoomed(example.image, example.region))
            style = {"fontweight": "normal", "loc": "center", "fontsize": "small"}
            zoom.set_title(_lines(example.value, side), **style)
        cells[0].set_title(_lines(label(attribute), side), fontsize="small")
    boxes = {"region of interest, enlarged on the right": _REGION}
    if any(example.truth is not None for row in examples.values() for example in row):
        boxes = {"true box of the part": _TRUTH, **boxes}
    figure.legend(
        [Rectangle((0, 0), 1, 1, **style) for style in boxes.values()],
        list(boxes),
        loc="outside lower center",
        ncols=2,
        facecolor="#808080",
        frameon=True,
    )
    return figure


@themed
def attention_side_by_side(seen: Mapping[str, Mapping[str, AttentionExample]]) -> Figure:
    """Draw the attention maps of several methods over the same images.

    A row per attribute: the image with the true box of the part, then each method's map over it.
    A cross marks the map's highest cell, the one that the pointing score uses. Colours run from
    each map's own lowest to its highest value, so they compare places within a map, not methods.

    Args:
        seen: by method, then by attribute; the same image of an attribute for every method. If a
            method lacks an attribute, its place stays empty.

    Raises:
        ValueError: the methods show different images of an attribute.
    """

    def draw(axes: Axes, example: AttentionExample) -> None:
        _attention(axes, example)
        _peak(axes, example)
        _box(axes, example.truth, len(example.image), _TRUTH)

    figure, panels = _side_by_side(seen, draw)
    scale = figure.colorbar(
        ScalarMappable(cmap=_HEAT["cmap"]),
        ax=panels,
        location="bottom",
        shrink=0.4,
        aspect=30,
        pad=0.01,
        ticks=[0.0, 1.0],
    )
    scale.ax.set_xticklabels(["lowest", "highest"])
    scale.set_label("attention, within each map")
    title = "Where each method looks for each attribute, in the same images"
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    handles = [Line2D([], [], linestyle="none", **_PEAK)]
    meanings = ["maximum of the attention"]
    if any(example.truth for examples in seen.values() for example in examples.values()):
        handles.append(Rectangle((0, 0), 1, 1, **_TRUTH))
        meanings.append("true box of the part")
    figure.legend(handles, meanings, loc="outside lower center", ncols=2, handleheight=1.3)
    return figure


@themed
def local_views(seen: Mapping[str, Mapping[str, AttentionExample]]) -> Figure:
    """Draw what the local branches of several methods see of the same images, pixel by pixel.

    A row per attribute: the image with the true box of the part and all regions, the true part,
    then each method's region.

    Args:
        seen: as for `attention_side_by_side`; every example with its true box.
    """
    finest = max(one.local_size for examples in seen.values() for one in examples.values())
    parts = {
        name: replace(one, region=_square(one.truth), local_size=finest)
        for name, one in [*seen.values()][0].items()
    }
    colours = colours_of(seen)
    styles = {name_of(row): {**_REGION, "edgecolor": colours[row]} for row in seen}

    def draw(axes: Axes, example: AttentionExample) -> None:
        axes.imshow(_zoomed(example.image, example.region, example.local_size))

    figure, panels = _side_by_side({"true part": parts, **seen}, draw)
    for axes, name in zip(panels[:, 0], parts, strict=True):
        for style, examples in zip(styles.values(), seen.values(), strict=True):
            if name in examples:
                _box(axes, examples[name].region, len(examples[name].image), style)
    frames = {"true box of the part": _TRUTH, **styles}
    patches = [Rectangle((0, 0), 1, 1, **style) for style in frames.values()]
    figure.legend(patches, [*frames], loc="outside lower center", ncols=3, handleheight=1.3)
    sizes = {next(iter(of.values())).local_size: None for of in seen.values()}
    title = f"What each local branch sees, {' and '.join(map(str, sizes))} px wide"
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure


def _side_by_side(
    seen: Mapping[str, Mapping[str, AttentionExample]],
    draw: Callable[[Axes, AttentionExample], None],
) -> tuple[Figure, np.ndarray]:
    """Lay out a row per attribute: the image, then a drawing of each method's example."""
    attributes = list(dict.fromkeys(name for examples in seen.values() for name in examples))
    side = min(_LARGEST, (WIDTH - 0.5) / (1 + len(seen)))
    size = (0.5 + (1 + len(seen)) * side, len(attributes) * (side + 0.04) + 1.3)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(attributes), 1 + len(seen), squeeze=False)
    for attribute, cells in zip(attributes, panels, strict=True):
        by_method = [examples.get(attribute) for examples in seen.values()]
        first = next(example for example in by_method if example is not None)
        cells[0].imshow(first.image)
        words = f"{_lines(label(attribute), side)}:\n{_lines(first.value, side)}"
        cells[0].set_ylabel(words, fontsize="small")
        _box(cells[0], first.truth, len(first.image), _TRUTH)
        for axes, example in zip(cells[1:], by_method, strict=True):
            if example is None:
                axes.set_axis_off()
                continue
            if not np.array_equal(example.image, first.image):
                raise ValueError(
                    f"methods side by side must show the same image; got different ones for "
                    f"{attribute!r}; choose the examples with the same seed, of runs of one fit"
                )
            draw(axes, example)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, name in zip(panels[0], ("image", *seen), strict=True):
        axes.set_title(_lines(name_of(name), side), fontsize="small", loc="center")
    return figure, panels


@themed
def retrieval_strips(examples: Sequence[RetrievalExample], attribute: str) -> Figure:
    """Draw queries, each with its highest-ranked candidates framed as right or wrong.

    Args:
        examples: of one attribute: a row per query.
        attribute: the attribute's name.
    """
    columns = max(len(example.images) for example in examples)
    side = WIDTH / columns
    values = [value for example in examples for value in example.values]
    lines = max(_lines(value, side).count("\n") for value in values) + 2
    height = len(examples) * (side + 0.14 * lines) + 0.45
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(examples), columns, squeeze=False)
    for example, cells in zip(examples, panels, strict=True):
        for axes in cells[len(example.images) :]:
            axes.set_axis_off()
        shown = zip(cells, example.images, example.values, strict=False)
        for rank, (axes, image, value) in enumerate(shown):
            axes.imshow(image)
            axes.set(xticks=[], yticks=[])
            if rank == 0:
                title = f"query, AP {100 * example.precision:.0f} %\n{_lines(value, side)}"
                axes.set_title(title, fontsize="x-small", loc="center")
                _frame(axes, "black")
                continue
            verdict = "right" if value == example.values[0] else "wrong"
            mark = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}[verdict]
            axes.set_title(
                f"{rank} {mark}\n{_lines(value, side)}",
                fontsize="x-small",
                fontweight="normal",
                loc="center",
                color=COLOURS[verdict],
            )
            _frame(axes, COLOURS[verdict], "-" if verdict == "right" else "--")
    best = columns - 1
    title = f"The {best} images nearest to each query in {label(attribute)}, of the test split"
    figure.suptitle(title, fontweight="bold", fontsize="medium")
    return figure


def _lines(words: str, inches: float) -> str:
    """Break words into lines that fit above a picture of that width."""
    return textwrap.fill(words, max(round(_LETTERS * inches), 8))


def _attention(axes: Axes, example: AttentionExample) -> None:
    """Draw a map, from its lowest to its highest value, over its image in grey."""
    size = len(example.image)
    grey = np.asarray(Image.fromarray(example.image).convert("L"))
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
    axes.imshow(enlarged(example.attention, size, example.extent), **_HEAT)


def _peak(axes: Axes, example: AttentionExample) -> None:
    if np.ptp(example.attention) > 0:  # a flat map has no peak
        peak = attention_peak(example.attention, example.extent)
        x, y = (len(example.image) * share for share in peak)
        axes.plot(x, y, linestyle="none", **_PEAK)


def _box(axes: Axes, box: Box | None, size: int, style: Mapping[str, Any]) -> None:
    if box is not None:
        left, top, right, bottom = (edge * size for edge in box)
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))


def _square(box: Box) -> Box:
    """Return the square around a box, with the box's longer side."""
    left, top, right, bottom = box
    x, y, half = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2
    return x - half, y - half, x + half, y + half


def _zoomed(image: np.ndarray, region: Box, side: int | None = None) -> np.ndarray:
    """Return a region of an image, filtered to a side in pixels; by default that of the image."""
    whole = Image.fromarray(image)
    left, top, right, bottom = (edge * whole.width for edge in region)
    cut = whole.crop(tuple(map(round, (left, top, right, bottom))))  # black beyond the image
    how = Image.Resampling.BICUBIC if side is None else Image.Resampling.BILINEAR
    return np.asarray(cut.resize((side or whole.width,) * 2, how))


def _frame(axes: Axes, colour: str, style: str = "-") -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=2.5, linestyle=style)
