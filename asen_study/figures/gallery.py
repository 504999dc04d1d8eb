"""Examples from the test split, chosen at random: what a run attends to, and what it retrieves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asen_study.figures.style import COLOURS, WIDTH, themed, wrapped
from asen_study.production import open_dataset
from asen_study.runs import Places, Run, Selection
from asen_tf.backbones import map_extent
from asen_tf.data import label, read_value_names
from asen_tf.data.fitting import Box
from asen_tf.evaluation import average_precision, normalise, ranked


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
    """Examples of a run, chosen at random, but the same ones every time.

    Args:
        run: a finished run.
        places: where the study and its data are.

    Raises:
        FileNotFoundError: the run's embeddings are not here.

    Attributes:
        attributes: names of the attributes that have queries, or listed triplets, in the test
            split.
        split: the test split's labels.
        names: names of the values by attribute, where they are known.
        pairs: the model's outputs for the test images.
    """

    def __init__(self, run: Run, places: Places) -> None:
        if not run.holds("test_pairs.npz"):
            raise FileNotFoundError(
                f"{run.path}: its embeddings are not here, as if it was unpacked from records; "
                "pictures need a run that was trained in this folder: remove one, and train it"
            )
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

    def attention(self, attribute: str, *, count: int = 3) -> list[AttentionExample]:
        """Return random images of an attribute; if true boxes are known, only images with one.

        Raises:
            KeyError: the run's method has no attention maps.
        """
        rows = self._rows(self.split.labels, attribute)
        boxed = np.array([tuple(pair) in self._truths for pair in rows[:, :2].tolist()], bool)
        rows = self._sample(rows[boxed] if boxed.any() else rows, count)
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

    def retrieval(self, attribute: str) -> list[RetrievalExample]:
        """Return three random queries of an attribute with their eight highest-ranked candidates.

        They are ranked by `embedding`. Listed triplets have no queries, so there are no examples
        of them.
        """
        candidates = self._rows(self.split.candidates, attribute)
        vectors = normalise(self.pairs.arrays[self.embedding])
        among = vectors[self.pairs.rows(candidates)]
        examples = []
        for query in self._sample(self._rows(self.split.queries, attribute), 3):
            scores = among @ vectors[self.pairs.rows(query[None])[0]]
            found = candidates[ranked(scores)]
            shown = np.concatenate([query[None], found[:8]])
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

    def _sample(self, rows: np.ndarray, count: int) -> np.ndarray:
        order = np.random.default_rng(0).permutation(len(rows))
        return rows[order[:count]]

    def _value(self, attribute: str, value: int) -> str:
        if self.split.triplets is not None:
            return ""  # listed triplets have no values
        names = self.names.get(attribute)
        return names[int(value)] if names else f"value {value}"


def first_run(selection: Selection, row: str) -> tuple[Run, str]:
    """Return the run of a row with the lowest seed, or, if there is none, one of the last row.

    Runs that were unpacked from records, without their embeddings, count if there are no others.
    """
    named = [(run, name) for run, name in selection.named if run.holds("test_pairs.npz")]
    named = named or selection.named
    chosen = row if row in {name for _, name in named} else named[-1][1]
    return next((run, name) for run, name in named if name == chosen)


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
        rows: of the matrix; those without a run, without attention maps, or whose run has lost its
            embeddings, are left out.
        places: where the study and its data are.
        ending: of the attributes' names, to take those alone.
        boxed: leave out attributes whose true boxes are not known.
    """
    found = {}
    for row in rows:
        if row in selection.rows:
            run, _ = first_run(selection, row)
            if not run.holds("test_pairs.npz"):
                continue
            found[row] = {
                name: examples[0]
                for name, examples in Gallery(run, places).attentions(count=1).items()
                if name.endswith(ending) and (examples[0].truth or not boxed)
            }
    return {row: seen for row, seen in found.items() if seen}


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
    lines = max(wrapped(value, side).count("\n") for value in values) + 2
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
                title = f"query, AP {100 * example.precision:.0f} %\n{wrapped(value, side)}"
                axes.set_title(title, fontsize="x-small", loc="center")
                _frame(axes, "black")
                continue
            verdict = "right" if value == example.values[0] else "wrong"
            mark = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}[verdict]
            axes.set_title(
                f"{rank} {mark}\n{wrapped(value, side)}",
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


def _frame(axes: Axes, colour: str, style: str = "-") -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=2.5, linestyle=style)
