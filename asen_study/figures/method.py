"""The method in pictures: what is sampled, maps, the region, a triplet, the nearest garments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from asen_study.figures.style import COLOURS, WIDTH, themed, with_attention
from asen_study.production import open_dataset
from asen_study.runs import Places
from asen_tf.config import ExperimentConfig
from asen_tf.data import label, read_value_names
from asen_tf.layers import RegionOfInterest
from asen_tf.training.similarity import epoch_planner

_TITLE = {"fontsize": "small", "fontweight": "normal", "loc": "center"}
_OF_ALL = {"fontsize": "medium", "fontweight": "bold"}
_GROUPS, _MOST = 4, 6  # of a training batch, and images of each
_SMALLEST = 8  # points: still readable when a figure as wide as a notebook is seen at half size


@dataclass(frozen=True)
class SampledImage:
    """An image of a training batch.

    Attributes:
        image: `(S, S, 3)` uint8, the source image.
        attribute: name of the attribute that it is embedded for.
        value: name of its value; empty for listed triplets.
        role: "anchor", "positive" or "negative".
    """

    image: np.ndarray
    attribute: str
    value: str
    role: str


def sampled_batch(config: ExperimentConfig, places: Places) -> list[list[SampledImage]]:
    """Return images of the first batch that a configuration trains on, a list per group.

    Of its groups, the first four are shown, of each at most six images.

    A group of random or listed triplets is one triplet; one of batch-all holds several images of
    several values of one attribute, each of them the anchor of some triplets: here its first image
    is, and positives and negatives are those that the sampler gives it.

    Args:
        config: the settings; networks that are not trained have no batch.
        places: where the data are, and the study.
    """
    if config.method == "features":
        return []
    dataset = open_dataset(config, places)
    train = dataset.split("train")
    plan = epoch_planner(config, train.split)(0)
    words = read_value_names(places.data_dir, dataset.name) or {}
    found = []
    for images, attributes, values in zip(
        plan.images[0][:_GROUPS], plan.attributes[0], plan.values[0], strict=False
    ):
        name = dataset.attributes.names[attributes[0]]
        held = [words[name][value] if name in words else f"value {value}" for value in values]
        held = [""] * len(values) if train.split.triplets is not None else held
        same = np.flatnonzero(values == values[0])
        _, firsts = np.unique(values, return_index=True)  # of each other value
        others = [place for place in np.sort(firsts) if values[place] != values[0]]
        near = same[1 : max(_MOST - len(others), 2)]
        roles = {
            0: "anchor",
            **dict.fromkeys(near, "positive"),
            **dict.fromkeys(others, "negative"),
        }
        pixels = train.sources[images[list(roles)[:_MOST]]]
        found.append(
            [
                SampledImage(image, name, held[place], role)
                for image, (place, role) in zip(pixels, roles.items(), strict=False)
            ]
        )
    return found


@themed
def batch_pictures(groups: Sequence[Sequence[SampledImage]]) -> Figure:
    """Draw images of a training batch: a row per group, each with its role and value.

    Args:
        groups: of `sampled_batch`.
    """
    columns = max(map(len, groups))
    side = min(WIDTH / columns, 1.6)
    size = (max(columns * side, 0.6 * WIDTH), len(groups) * (side + 0.5) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(groups), columns, squeeze=False)
    colours = {"anchor": "black", "positive": COLOURS["right"], "negative": COLOURS["wrong"]}
    for group, cells in zip(groups, panels, strict=True):
        for axes in cells:
            axes.set_axis_off()
        for axes, one in zip(cells, group, strict=False):
            axes.imshow(one.image)
            first = f"anchor in {label(one.attribute)}" if one.role == "anchor" else one.role
            words = f"{textwrap.fill(first, 17)}\n{textwrap.fill(one.value, 17)}".strip()
            axes.set_title(words, color=colours[one.role], **_TITLE)
    title = "What one training step compares: an anchor, images of its value, and of others"
    lines = textwrap.fill(title, round(9 * size[0]))
    figure.suptitle(lines, **_OF_ALL)
    return figure


@dataclass(frozen=True)
class RegionSteps:
    """What `asen_tf.layers.region_boxes` goes through for one map, and what comes out.

    Attributes:
        enlarged: `(g, g)` float32, the map in the frame of the global input.
        stretched: `(g, g)` float32, the same from 0 to 1.
        kept: `(g, g)` bool, the pixels that the layer's rule keeps.
        box: top, left, bottom, right in pixels of the frame, as the layer gives them.
        crop: `(c, c, 3)` uint8, as the layer cuts it out of the source image.
    """

    enlarged: np.ndarray
    stretched: np.ndarray
    kept: np.ndarray
    box: tuple[int, int, int, int]
    crop: np.ndarray


def region_steps(attention: np.ndarray, image: np.ndarray, layer: RegionOfInterest) -> RegionSteps:
    """Return the steps from a map to the region, which are those of the layer itself.

    Args:
        attention: `(h, w)` float, one map.
        image: `(S, S, 3)` uint8, its source image.
        layer: of a model, `model.region`.
    """
    maps = tf.constant(attention, tf.float32)[None]
    enlarged, kept = (found[0].numpy() for found in layer.kept(maps))
    span = float(np.ptp(enlarged))
    stretched = (enlarged - enlarged.min()) / span if span else np.zeros_like(enlarged)
    crops, boxes = layer([maps, tf.constant(image)[None]])
    crop = np.clip(np.rint(crops[0].numpy()), 0, 255).astype(np.uint8)
    top, left, bottom, right = boxes[0].numpy().tolist()
    return RegionSteps(enlarged, stretched, kept, (top, left, bottom, right), crop)


@themed
def attention_by_attribute(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    extent: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Draw an image, and its attention map for each attribute: cells as the layer gives them.

    Args:
        image: `(S, S, 3)` uint8.
        maps: `(h, w)` by attribute.
        extent: where they start and end on the image: the model's `map_extent`.
    """
    title = "Where the global branch looks when it is asked for each attribute"
    figure, panels = _panels(title, 1 + 2 * len(maps))
    _show(panels[0], image, "the image")
    for (name, attention), cells in zip(
        maps.items(), zip(panels[1::2], panels[2::2], strict=True), strict=True
    ):
        height, width = attention.shape
        cells[0].imshow(attention, cmap="inferno")
        cells[0].set_title(f"{label(name)}:\n{height} x {width} cells", **_TITLE)
        _show(cells[1], with_attention(image, attention, None, extent=extent), "over the image")
    return figure


@themed
def region_pictures(steps: RegionSteps, image: np.ndarray) -> Figure:
    """Draw the five steps from a map to what the local branch sees.

    Args:
        steps: of `region_steps`.
        image: `(S, S, 3)` uint8, the source image.
    """
    title = "From the attention map to the region that the local branch sees"
    figure, panels = _panels(title, 5, height=1.4)  # of titles of two lines, and of scales
    side = len(steps.kept)
    for axes, values, words in (
        (panels[0], steps.enlarged, f"1. enlarged to\n{side} x {side} px"),
        (panels[1], steps.stretched, "2. stretched\nto 0..1"),
        (panels[2], steps.kept, f"3. cut: {steps.kept.mean():.0%}\nof the pixels stay"),
    ):
        drawn = axes.imshow(values, cmap="inferno")
        axes.set_title(words, **_TITLE)
        if values.dtype != bool:
            scale = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.9, pad=0.02)
            ends = [float(values.min()), float(values.max())]
            scale.set_ticks(ends, labels=[f"{end:.2g}" for end in ends])
    top, left, bottom, right = steps.box
    panels[3].imshow(image, extent=(0, side, side, 0))
    frame = {"fill": False, "edgecolor": COLOURS["region"], "linewidth": 2.5}
    panels[3].add_patch(Rectangle((left, top), right - left, bottom - top, **frame))
    panels[3].set_title(f"4. squared:\n{right - left} x {bottom - top} px", **_TITLE)
    _show(panels[4], steps.crop, f"5. cropped from the\nsource: {len(steps.crop)} px")
    return figure


@themed
def triplet_step(
    images: np.ndarray, values: Sequence[str], cosines: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw a triplet, and its two cosines as bars, one group for each moment.

    Args:
        images: `(3, S, S, 3)` uint8: anchor, positive, negative.
        values: of the attribute, of each of them.
        cosines: to the positive and to the negative, by moment ("before a step", ...).
    """
    title = "A triplet, and what a step against the gradient does to its cosines"
    figure, panels = _panels(title, 4, width_ratios=(1, 1, 1, 1.6))
    for axes, image, role, value in zip(
        panels, images, ("anchor", "positive", "negative"), values, strict=False
    ):
        _show(axes, image, f"{role}:\n{value}")
    bars = panels[3]
    bars.set_axis_on()
    places = np.arange(len(cosines))
    for offset, number, name, colour in (
        (-0.2, 0, "positive", "right"),
        (0.2, 1, "negative", "wrong"),
    ):
        heights = [pair[number] for pair in cosines.values()]
        drawn = bars.bar(places + offset, heights, 0.38, color=COLOURS[colour], label=name)
        bars.bar_label(drawn, fmt="%.3f", fontsize=_SMALLEST)
    bars.set_xticks(places, list(cosines))
    bars.set_ylabel("cosine to the anchor")
    bars.margins(y=0.25)
    bars.legend(loc="upper center", ncols=2, fontsize=_SMALLEST)
    return figure


@themed
def overview(
    image: np.ndarray,
    seen: Mapping[str, tuple[np.ndarray, tuple[float, float, float, float]]],
    nearest: Mapping[str, np.ndarray],
    *,
    extent: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Draw a garment, what a model attends to in it for each attribute, and the nearest others.

    Args:
        image: `(S, S, 3)` uint8.
        seen: by attribute, the map `(h, w)` and the region: left, top, right, bottom in pixels.
        nearest: by attribute, `(k, S, S, 3)` uint8, the most similar garments, best first.
        extent: where the maps start and end on the image: the model's `map_extent`.
    """
    most = max(len(found) for found in nearest.values())
    columns = 2 + most
    figure = Figure(
        figsize=(WIDTH, len(seen) * (WIDTH / columns + 0.1) + 0.5), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    title = "What the model attends to for each attribute, and which garments are nearest in it"
    figure.suptitle(title, **_OF_ALL)
    grid = figure.add_gridspec(len(seen), columns)
    first = figure.add_subplot(grid[:, 0])
    _show(first, image, "a garment")
    first.set_axis_off()
    for row, (name, (attention, region)) in enumerate(seen.items()):
        looked = figure.add_subplot(grid[row, 1])
        shares = tuple(edge / len(image) for edge in region)
        laid = with_attention(image, attention, shares, extent=extent)
        _show(looked, laid, f"asked for its {label(name)}")
        for rank, found in enumerate(nearest[name]):
            words = f"nearest in {label(name)}" if rank == 0 else f"number {rank + 1}"
            _show(figure.add_subplot(grid[row, 2 + rank]), found, words)
        arrow = {"arrowstyle": "->", "color": COLOURS["random"], "linewidth": 1.2}
        ends = {"xyA": (1.0, 0.5), "xyB": (0.0, 0.5), "coordsA": "axes fraction"}
        figure.add_artist(
            ConnectionPatch(**ends, coordsB="axes fraction", axesA=first, axesB=looked, **arrow)
        )
    return figure


def _panels(
    title: str, count: int, *, height: float = 0.85, **grid: Sequence[float]
) -> tuple[Figure, list[Axes]]:
    """Return a figure of one row of square pictures; `height` in inches is added for words."""
    figure = Figure(figsize=(WIDTH, WIDTH / count + height), layout="constrained")
    figure.suptitle(title, **_OF_ALL)
    panels = list(figure.subplots(1, count, gridspec_kw=grid))
    for axes in panels:
        axes.set_axis_off()
    return figure, panels


def _show(axes: Axes, image: np.ndarray, words: str) -> None:
    axes.imshow(image)
    axes.set_title(words, **_TITLE)
    axes.set_axis_off()
