"""A sheet's numbers as JSON values, so that every one can be checked and used again."""

from __future__ import annotations

from typing import Any

import numpy as np

from asen_tf.evidence import histograms, statements
from asen_tf.evidence.records import Found, Similarity, View
from asen_tf.evidence.sheet import Sheet

FORMAT = 1  # of the file; another number when a name changes its meaning
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


def numbers(sheet: Sheet) -> dict[str, Any]:
    """Return everything that the page says, but for the pictures."""
    examination = sheet.examination
    design, catalogue = examination.design, examination.catalogue
    return {
        "format": FORMAT,
        "name": sheet.name,
        "made": sheet.made,
        "what_it_is_not": list(statements.WHAT_IT_IS_NOT),
        "notes": sheet.notes,
        "design": {
            "file": design.path.name,
            "sha256": design.sha256,
            "bytes": design.size,
            "width": design.width,
            "height": design.height,
            "regions": {
                attribute: _box(seen.box)
                for (path, attribute), seen in sheet.seen.items()
                if path == design.path
            },
        },
        "catalogue": {
            "folder": catalogue.root.name,
            "images": len(catalogue),
            "compared": examination.compared,
            "fingerprint": catalogue.fingerprint,
            "repeated": catalogue.repeated,
            "same_files": list(examination.same_files),
            "left_out": dict(catalogue.left_out),
        },
        "weights": dict(examination.weights),
        "settings": dict(examination.settings),
        "views": [_view(view, sheet) for view in examination.views],
        "model": dict(sheet.origin),
        "software": dict(sheet.software),
    }


def _view(view: View, sheet: Sheet) -> dict[str, Any]:
    edges = histograms.edges(view)
    return {
        "name": view.name,
        "attributes": list(view.attributes),
        "random_pairs": _distribution(view.random, edges),
        "nearest_neighbours": _distribution(view.nearest, edges),
        "found": [_found(found, view, sheet) for found in view.found],
    }


def _distribution(values: np.ndarray, edges: np.ndarray) -> dict[str, Any]:
    quantiles = np.quantile(values, _QUANTILES).round(6).tolist()
    return {
        "number": len(values),
        "mean": round(float(values.mean()), 6),
        "quantiles": {str(q): value for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "histogram": {
            "edges": edges.round(6).tolist(),
            "counts": np.histogram(values, edges)[0].tolist(),
        },
    }


def _found(found: Found, view: View, sheet: Sheet) -> dict[str, Any]:
    looked = {name: sheet.seen.get((found.path, name)) for name in view.attributes}
    return {
        "rank": found.rank,
        "file": found.name,
        "sha256": found.sha256,
        "same_file": found.same_file,
        "similarities": {name: _similarity(s) for name, s in found.similarities.items()},
        "regions": {name: _box(seen.box) for name, seen in looked.items() if seen is not None},
    }


def _similarity(similarity: Similarity) -> dict[str, Any]:
    tails = {"random_pairs": similarity.random, "nearest_neighbours": similarity.nearest}
    return {
        "similarity": similarity.value,
        **{
            name: {"at_least": tail.at_least, "of": tail.of, "tail_probability": tail.probability}
            for name, tail in tails.items()
        },
    }


def _box(box: tuple[float, float, float, float]) -> list[float]:
    return [round(float(edge), 2) for edge in box]
