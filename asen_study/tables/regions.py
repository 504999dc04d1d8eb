"""Region geometry: what a trained model's maps would let its local branch see, rule by rule.

Nothing is trained: the maps of a finished run are read again by other rules, on the validation
split, so that a rule can be chosen there before a network is spent on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from asen_study.matrix import THRESHOLDS
from asen_study.production import open_dataset
from asen_study.runs import Places, Run
from asen_study.tables.collecting import origin
from asen_tf.evaluation.localisation import region_side
from asen_tf.evaluation.retrieval import embed_labelled_pairs
from asen_tf.layers.region_of_interest import region_boxes

_THRESHOLDS = tuple(sorted((0.1, *THRESHOLDS)))  # with the paper's
_SHARES = (0.6, 0.7, 0.8)  # of rule "mass"
_LEAST = (0.0, 0.3, 0.5)  # sides, shares of the frame's
_BATCH = 1024  # maps that are read together


def region_geometry(run: Run, row: str, places: Places) -> pd.DataFrame:
    """Measure the regions that other rules would take from a run's attention maps.

    Args:
        run: a finished run of a method with attention, on data with true boxes.
        row: its row of the matrix.
        places: where the study and its data are.

    Returns:
        A row per rule, least side and attribute (`overall` last): `method, seed`; `rule` and
        `value`, the threshold or the share of the map's sum (see
        `asen_tf.layers.region_of_interest.kept_pixels`);
        `least`, the squares' least side; `pairs`, images of the validation split with a true box;
        and, in percent, `side`, the region's mean side as a share of the frame's; `coverage`, the
        mean share of the true box that the region holds; `whole`, how many regions hold all of it;
        `filled`, the mean share of the region that the true box fills. Its origin is in `attrs`.
        Empty for a method without attention maps, where no true box is known, and for a run that
        has lost its model.
    """
    if not run.holds("model.keras"):
        return pd.DataFrame()
    dataset = open_dataset(run.config, places)
    truths = dataset.true_boxes("valid")
    if not truths:
        return pd.DataFrame()
    images, model = dataset.split("valid"), run.load_model()
    embedded = embed_labelled_pairs(model, images, batch=run.config.embed_batch, progress=True)
    if "attention" not in embedded.arrays:
        return pd.DataFrame()
    known = [i for i, pair in enumerate(embedded.pairs.tolist()) if tuple(pair) in truths]
    pairs, maps = embedded.pairs[known], embedded.arrays["attention"][known]
    boxes = np.array([truths[tuple(pair)] for pair in pairs.tolist()])
    own = {"method": row, "seed": run.settings["seed"]}
    rows = []
    for rule, value, least in rules():
        read = {"map_size": model.global_size, "extent": model.map_extent, "least": least}
        squares = squares_of(maps, rule, value, **read)
        measured = geometry(squares, boxes, map_size=model.global_size)
        for index, name in [*enumerate(dataset.attributes.names), (None, "overall")]:
            chosen = np.full(len(pairs), True) if index is None else pairs[:, 1] == index
            if chosen.any():
                means = {key: 100 * column[chosen].mean() for key, column in measured.items()}
                named = {"rule": rule, "value": value, "least": least, "attribute": name}
                rows.append({**own, **named, "pairs": int(chosen.sum()), **means})
    table = pd.DataFrame(rows)
    table.attrs["origin"] = origin([(run, row)], run.config)
    return table


def region_cells(measured: pd.DataFrame) -> pd.DataFrame:
    """Lay out side and coverage over all attributes: a row per rule, a column per least side."""
    if measured.empty:
        return measured
    overall = measured[measured["attribute"] == "overall"]
    table = overall.pivot(index=["rule", "value"], columns="least", values=["side", "coverage"])
    return table.round(1).rename(columns=lambda least: f"least {least:g}", level="least")


def rules() -> Iterator[tuple[str, float, float]]:
    """Yield the rules that are compared: rule, threshold or share, least side."""
    for least in _LEAST:
        yield from (("threshold", value, least) for value in _THRESHOLDS)
        yield from (("mass", value, least) for value in _SHARES)
        yield from (("peak", value, least) for value in _THRESHOLDS)


def squares_of(maps: np.ndarray, rule: str, value: float, **frame: Any) -> np.ndarray:
    """Return the regions that a rule takes from `(P, h, w)` maps, `(P, 4)` int32.

    Args:
        maps: attention maps.
        rule: see `asen_tf.layers.region_of_interest.kept_pixels`.
        value: the threshold, or the share of the map's sum.
        **frame: `map_size`, `extent` and `least` of `asen_tf.layers.region_of_interest`.
    """
    read = {"rule": rule, "threshold": value, "share": value}  # each rule reads one of the two
    starts = range(0, len(maps), _BATCH)
    parts = [region_boxes(maps[start : start + _BATCH], **read, **frame) for start in starts]
    return np.concatenate(parts)


def geometry(squares: np.ndarray, boxes: np.ndarray, *, map_size: int) -> dict[str, np.ndarray]:
    """Compare regions with true boxes.

    Args:
        squares: `(P, 4)`: top, left, bottom, right in pixels of a `map_size` frame.
        boxes: `(P, 4)`: left, top, right, bottom as shares of the frame, of some area.
        map_size: px.

    Returns:
        `side`, `coverage`, `whole` (0 or 1) and `filled`, each `(P,)` in 0..1.
    """
    top, left, bottom, right = np.asarray(squares, np.float64).T / map_size
    wide = np.minimum(right, boxes[:, 2]) - np.maximum(left, boxes[:, 0])
    high = np.minimum(bottom, boxes[:, 3]) - np.maximum(top, boxes[:, 1])
    common = np.clip(wide, 0.0, None) * np.clip(high, 0.0, None)
    coverage = common / ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return {
        "side": region_side(squares, map_size),
        "coverage": coverage,
        "whole": (coverage > 1.0 - 1e-9).astype(np.float64),
        "filled": common / ((right - left) * (bottom - top)),
    }
