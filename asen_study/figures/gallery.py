"""Examples from the test split: what a finished run saw and found, chosen at random.

Images, what the attention makes of them, and what is found for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from asen_study.figures.overlays import Box
from asen_study.figures.style import COLOURS, WIDTH, themed
from asen_study.production import open_dataset
from asen_study.runs import Run
from asen_tf.data import label, read_regions, read_value_names
from asen_tf.data.regions import boxes_in_square
from asen_tf.evaluation import average_precision, normalise


@dataclass(frozen=True)
class AttentionExample:
    """An image as one attribute sees it.

    Attributes:
        image: `(S, S, 3)` uint8, the source image.
        value: name of the image's value.
        attention: `(h, w)` float, the global branch's map.
        region: the square that the local branch sees.
        truth: the true box of the part, or None where it is not known.
    """

    image: np.ndarray
    value: str
    attention: np.ndarray
    region: Box
    truth: Box | None


@dataclass(frozen=True)
class RetrievalExample:
    """A query and the candidates that rank highest.

    Attributes:
        images: `(1 + k, g, g, 3)` uint8, the query first, then by rank.
        values: `1 + k` names of the images' values.
        precision: the query's average precision over the full ranking, a fraction.
    """

    images: np.ndarray
    values: tuple[str, ...]
    precision: float


class Gallery:
    """Examples of a run, the same ones for the same seed: no best and no worst ones.

    Args:
        run: a finished run.
        data_dir: the directory of meta.json and the datasets.

    Attributes:
        attributes: names of the attributes that have queries, or listed triplets, in the test
            split.
        split: the test split's labels.
        names: names of the values by attribute, where they are known.
    """

    def __init__(self, run: Run, data_dir: str | Path) -> None:
        """Read what the run said of the test split; images are read when asked for."""
        self.config = run.config
        dataset = open_dataset(self.config, data_dir)
        self._images = dataset.split("test")
        self.split = self._images.split
        self._pairs = run.test_pairs()
        regions = read_regions(data_dir, dataset.name, "test") or {}
        self._truths = boxes_in_square(self.split, regions)
        self.names = read_value_names(data_dir, dataset.name) or {}
        asking = self.split.queries if self.split.triplets is None else self.split.labels
        asked = set(asking[:, 1].tolist())
        names = dataset.attributes.names
        self.attributes = tuple(name for index, name in enumerate(names) if index in asked)

    @property
    def has_attention(self) -> bool:
        """Whether the run's method has attention maps."""
        return "attention" in self._pairs.arrays

    def attention(self, attribute: str, *, count: int = 3, seed: int = 0) -> list[AttentionExample]:
        """Return random images of an attribute; where true boxes are known, those with one.

        Raises:
            KeyError: the run's method has no attention.
        """
        rows = self._rows(self.split.labels, attribute)
        boxed = np.array([tuple(pair) in self._truths for pair in rows[:, :2].tolist()], bool)
        rows = self._sample(rows[boxed] if boxed.any() else rows, count, seed)
        found = self._pairs.rows(rows)
        sources = self._images.sources[rows[:, 0]]
        boxes = self._pairs.arrays["boxes"][found] / self.config.global_size
        return [
            AttentionExample(
                image=image,
                value=self._value(attribute, row[2]),
                attention=attention,
                region=(left, top, right, bottom),
                truth=self._truths.get((int(row[0]), int(row[1]))),
            )
            for image, row, attention, (top, left, bottom, right) in zip(
                sources, rows, self._pairs.arrays["attention"][found], boxes.tolist(), strict=True
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
        """Return random queries of an attribute with the candidates that rank highest.

        By the embedding of that name; by default the fused one, or else the global one. Of listed
        triplets, which know no queries, there are none.
        """
        if embedding is None:
            embedding = "fused" if "fused" in self._pairs.arrays else "global"
        candidates = self._rows(self.split.candidates, attribute)
        vectors = normalise(self._pairs.arrays[embedding])
        among = vectors[self._pairs.rows(candidates)]
        examples = []
        for query in self._sample(self._rows(self.split.queries, attribute), count, seed):
            scores = among @ vectors[self._pairs.rows(query[None])[0]]
            ranked = candidates[np.argsort(-scores, kind="stable")]
            shown = np.concatenate([query[None], ranked[:top]])
            examples.append(
                RetrievalExample(
                    images=self._images.views[shown[:, 0]],
                    values=tuple(self._value(attribute, value) for value in shown[:, 2]),
                    precision=float(average_precision(ranked[:, 2] == query[2])),
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
            return ""  # listed triplets know no values
        names = self.names.get(attribute)
        return names[int(value)] if names else f"value {value}"


_OUTLINE = [effects.withStroke(linewidth=3.0, foreground="black")]
_TRUTH = {"edgecolor": COLOURS["truth"], "linestyle": "--"}
_REGION = {"edgecolor": COLOURS["region"], "linestyle": "-"}


@themed
def attention_maps(
    examples: Mapping[str, Sequence[AttentionExample]], *, crop: int = 112
) -> Figure:
    """Draw attention maps with true boxes and regions, each beside the region zoomed.

    Args:
        examples: by attribute, the same number for each: a row per attribute.
        crop: px, side of the zoomed region: the local branch's input size.
    """
    columns = max(len(row) for row in examples.values())
    side = WIDTH / (2 * columns)
    figure = Figure(figsize=(WIDTH, len(examples) * (side + 0.22) + 0.5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.0, hspace=0.0)
    panels = figure.subplots(len(examples), 2 * columns, squeeze=False)
    for (attribute, row), cells in zip(examples.items(), panels, strict=True):
        for axes in cells:
            axes.set_axis_off()
        for example, axes, zoom in zip(row, cells[::2], cells[1::2], strict=False):
            _attention(axes, example)
            zoom.imshow(_zoomed(example, crop))
            zoom.set_title(example.value, fontweight="normal", loc="center", fontsize="small")
        cells[0].set_title(label(attribute), fontsize="small")
    handles = [Rectangle((0, 0), 1, 1, fill=False, lw=2, **style) for style in (_TRUTH, _REGION)]
    figure.legend(
        handles,
        ["true box of the part", "region of interest, zoomed to the right"],
        loc="outside lower center",
        ncols=2,
        facecolor="#808080",
        frameon=True,
    )
    return figure


@themed
def retrieval_strips(examples: Sequence[RetrievalExample], attribute: str) -> Figure:
    """Draw queries, each with its best-ranked candidates framed as right or wrong.

    Args:
        examples: of one attribute: a row per query.
        attribute: the attribute's name.
    """
    columns = max(len(example.images) for example in examples)
    side = WIDTH / columns
    figure = Figure(figsize=(WIDTH, len(examples) * (side + 0.25) + 0.35), layout="constrained")
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
                title = f"{value}\nquery, AP {100 * example.precision:.0f} %"
                axes.set_title(title, fontsize="small", loc="center")
                _frame(axes, "black")
                continue
            verdict = "right" if value == example.values[0] else "wrong"
            mark = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}[verdict]
            axes.set_title(
                f"{rank} {mark}\n{value}",
                fontsize="x-small",
                fontweight="normal",
                loc="center",
                color=COLOURS[verdict],
            )
            _frame(axes, COLOURS[verdict], "-" if verdict == "right" else "--")
    figure.suptitle(f"Retrieval by {label(attribute)}", fontweight="bold", fontsize="medium")
    return figure


def _attention(axes: Axes, example: AttentionExample) -> None:
    """Draw a map over its image in grey, with both boxes."""
    size = len(example.image)
    axes.imshow(np.asarray(Image.fromarray(example.image).convert("L")), cmap="gray")
    low, high = example.attention.min(), example.attention.max()
    heat = (example.attention - low) / max(high - low, 1e-12)
    axes.imshow(
        heat,
        cmap="inferno",
        alpha=0.55,
        extent=(0, size, size, 0),
        interpolation="bilinear",
    )
    if example.truth is not None:
        _box(axes, example.truth, size, _TRUTH)
    _box(axes, example.region, size, _REGION)


def _box(axes: Axes, box: Box, size: int, style: Mapping[str, str]) -> None:
    left, top, right, bottom = (edge * size for edge in box)
    corner, extent = (left, top), (right - left, bottom - top)
    axes.add_patch(Rectangle(corner, *extent, fill=False, lw=1.5, path_effects=_OUTLINE, **style))


def _zoomed(example: AttentionExample, crop: int) -> np.ndarray:
    """Return the region as the local branch's input shows it: cut from the source image."""
    box = tuple(edge * len(example.image) for edge in example.region)
    return np.asarray(Image.fromarray(example.image).resize((crop, crop), Image.BILINEAR, box=box))


def _frame(axes: Axes, colour: str, style: str = "-") -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=2.5, linestyle=style)
