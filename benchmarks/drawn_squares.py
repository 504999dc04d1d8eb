"""What the squares at true parts of the built-in data give away of the values, by random forests.

    python -m benchmarks.drawn_squares [--data data] [--out results/benchmarks]

The row `asen_pp/true_region` shows its local branch a square at the true part. A forest is told the
square's side, and then also its offset: how far the edges of the frame have shifted it off its
part, in shares of its side, which a crop can show. It learns from the training split; test images
are ranked by what it expects of them. The same is done with the boxes as they are: a square with
the longer side of the part's box, or the whole frame where the part cannot be seen. The table,
`drawn_squares.csv`, has the MAP over that of a random ranking, in points, with its 95% interval
over queries.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from asen_study.provenance import commit
from asen_tf.data import read_split
from asen_tf.data.fitting import Box
from asen_tf.data.regions import boxes_in_square, read_regions, true_squares
from asen_tf.evaluation.intervals import bootstrap_interval
from asen_tf.evaluation.metrics import (
    average_precision,
    queries_and_candidates,
    random_average_precision,
)
from asen_tf.files import write_text
from asen_tf.presets import quick

Boxes = Mapping[tuple[int, int], Box]
HEADER = "square,seen,attribute,over_chance,ci_low,ci_high,queries"
SEEN = {"side": 1, "side and offset": 3}  # columns that the forest is given


def drawn(
    boxes: Boxes, labels: np.ndarray, *, reference: Boxes, shape: tuple[int, int], size: int
) -> np.ndarray:
    """Return side and offset (down, right) of the squares of `true_squares`, `(n, A, 3)`.

    Arguments are those of `true_squares`. Where a part cannot be seen, the box of another image is
    drawn for it; parts as small as points have the same ones, and squares at their centres.
    """
    given = {"labels": labels, "shape": shape}
    squares = true_squares(boxes, **given, reference=reference, size=size) / size
    fine = 1000 * size
    points = true_squares(_points(boxes), **given, reference=_points(reference), size=fine) / fine
    sides = (squares[..., 2] - squares[..., 0])[..., None]
    centres, parts = ((some[..., :2] + some[..., 2:]) / 2 for some in (squares, points))
    return np.concatenate([sides, (parts - centres) / sides], axis=-1)


def _points(boxes: Boxes) -> dict[tuple[int, int], Box]:
    centres = {
        key: ((left + right) / 2, (top + bottom) / 2)
        for key, (left, top, right, bottom) in boxes.items()
    }
    return {key: (x - 1e-5, y - 1e-5, x + 1e-5, y + 1e-5) for key, (x, y) in centres.items()}


def as_they_are(boxes: Boxes, shape: tuple[int, int]) -> np.ndarray:
    """Return side and offset of squares around the boxes themselves, `(n, A, 3)`."""
    found = np.tile(np.array([1.0, 0.0, 0.0]), (*shape, 1))
    for key, (left, top, right, bottom) in boxes.items():
        side = max(right - left, bottom - top)
        free = np.array([top + bottom, left + right]) / 2
        found[key] = side, *(free - np.clip(free, side / 2, 1 - side / 2)) / side
    return found


def over_chance(
    known: np.ndarray, values: np.ndarray, queries: tuple, candidates: tuple, *, leaf: int = 5
) -> np.ndarray:
    """Rank by what a forest makes of numbers; return each query's precision over chance.

    Args:
        known: `(n, k)`, what it learns from.
        values: `(n,)`, to be told.
        queries: such numbers and values to ask with.
        candidates: likewise, to be ranked.
        leaf: how many known ones a leaf of its trees has at least.
    """
    forest = RandomForestClassifier(100, min_samples_leaf=leaf, random_state=0).fit(known, values)
    asked, among = (forest.predict_proba(part[0]) for part in (queries, candidates))
    among = among / np.linalg.norm(among, axis=1, keepdims=True)
    found = []
    for guess, value in zip(asked, queries[1], strict=True):
        relevant = candidates[1] == value
        order = np.argsort(-(among @ guess), kind="stable")
        chance = random_average_precision(int(relevant.sum()), len(relevant))
        found.append(average_precision(relevant[order]) - chance)
    return np.array(found)


def table(data: Path, dataset: str = "Garments") -> list[str]:
    """Return the lines of the table for a dataset that has true boxes."""
    size, source = quick().global_size, quick().source_size
    splits = [read_split(data, dataset, name) for name in ("train", "test")]
    boxes = [
        boxes_in_square(split, read_regions(data, dataset, split.name) or {}, side=source)
        for split in splits
    ]
    shapes = [(len(split.files), len(split.attributes.names)) for split in splits]
    kinds = {
        "drawn": [
            drawn(own, split.labels, reference=boxes[0], shape=shape, size=size)
            for own, split, shape in zip(boxes, splits, shapes, strict=True)
        ],
        "box": [as_they_are(own, shape) for own, shape in zip(boxes, shapes, strict=True)],
    }
    lines = [HEADER]
    for kind, (train, test) in kinds.items():
        for seen, columns in SEEN.items():
            for index, (name, *parts) in enumerate(queries_and_candidates(splits[1])):
                rows = splits[0].labels[splits[0].labels[:, 1] == index]
                asked, among = ((test[part[:, 0], index, :columns], part[:, 2]) for part in parts)
                known = train[rows[:, 0], index, :columns]
                found = 100 * over_chance(known, rows[:, 2], asked, among)
                low, high = bootstrap_interval(found, seed=0)
                numbers = ",".join(f"{part:z.2f}" for part in (found.mean(), low, high))
                lines.append(f"{kind},{seen},{name},{numbers},{len(found)}")
                print(lines[-1], flush=True)
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code, 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drawn_squares", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args(arguments)
    head = ["# python -m benchmarks.drawn_squares", f"# commit {commit()}"]
    lines = table(options.data)
    write_text(options.out / "drawn_squares.csv", "\n".join([*head, *lines]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
