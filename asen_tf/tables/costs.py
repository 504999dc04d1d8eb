"""What an embedding costs: parameters, time per image, images seen in training."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from asen_tf.matrix import images_seen
from asen_tf.models import SimilarityModel
from asen_tf.production import open_dataset
from asen_tf.results import Run
from asen_tf.tables.collecting import StudyTables

_IMAGES, _REPEATS = 64, 5


def measure_costs(tables: StudyTables, data_dir: Path | str) -> pd.DataFrame:
    """Count parameters and time the embedding of test images, a row per method and embedding.

    Each row's run of the lowest seed is measured, one after the other, with 64 images of the test
    split, each for one attribute: the fastest of five repetitions, from images in memory at source
    size to embeddings. The global embedding of ASEN++ is timed with the global branch alone.

    Args:
        tables: of `collect`.
        data_dir: the directory of meta.json and the datasets.

    Returns:
        `method, embedding, parameters, ms_per_image, images_seen`: trainable parameters of what
        the embedding needs; milliseconds on this machine; images that the training showed.
    """
    rows, measured = [], set()
    for finished, row in zip(tables.selection.runs, tables.selection.rows, strict=True):
        if row in measured:
            continue
        measured.add(row)
        run = Run(finished.path)
        images = open_dataset(run.config, data_dir).split("test")
        model = run.load_model()
        chosen = np.resize(np.arange(len(images.sources)), _IMAGES)
        boxes = images.squares[chosen, 0] if model.needs_boxes else None
        names = model.embedding_names
        for joint in (False, True) if model.local_layers else (True,):
            model.joint = joint
            spent = milliseconds_per_image(model, images.sources[chosen], boxes)
            layers = model.global_layers + (model.local_layers if joint else [])
            parameters = sum(
                int(np.prod(w.shape)) for layer in layers for w in layer.trainable_weights
            )
            for name in names[:1] if not joint else names[len(names) > 1 :]:
                rows.append(
                    {
                        "method": row,
                        "embedding": name,
                        "parameters": parameters,
                        "ms_per_image": spent,
                        "images_seen": images_seen(finished.settings),
                    }
                )
    return pd.DataFrame(rows)


def milliseconds_per_image(
    model: SimilarityModel, images: np.ndarray, boxes: np.ndarray | None = None
) -> float:
    """Return the time per image of embedding a batch, each image for one attribute.

    Args:
        model: any method.
        images: `(B, S, S, 3)` uint8.
        boxes: `(B, 4)`, for models that need them.
    """
    rows, attributes = np.arange(len(images)), np.zeros(len(images), np.int32)
    times = []
    for _ in range(_REPEATS + 1):  # the first one builds the graph
        started = time.perf_counter()
        model.embed_pairs(images, rows, attributes, boxes)
        times.append(time.perf_counter() - started)
    return 1000.0 * min(times[1:]) / len(images)
