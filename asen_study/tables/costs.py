"""What an embedding costs: parameters, time per image, images seen in training.

Costs are measured from a study's runs; of a run that has lost its model, from its settings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from asen_study.matrix import images_seen
from asen_study.production import open_dataset
from asen_study.runs import Places
from asen_study.tables.collecting import StudyTables
from asen_tf.backbones import freeze
from asen_tf.config import ExperimentConfig
from asen_tf.data import label, read_meta
from asen_tf.models import SimilarityModel, build_model

_IMAGES, _REPEATS = 64, 5


def measure_costs(tables: StudyTables, places: Places) -> pd.DataFrame:
    """Count parameters and time the embedding of test images, a row per method and embedding.

    Runs are measured one after the other, for each row of the matrix the one with the lowest seed.
    64 images of the test split are embedded for one attribute each: the time is the fastest of five
    repetitions, from images in memory at source size to embeddings. The global embedding of ASEN++
    is timed with the global branch alone. A run that has lost its model is measured as
    `measure_untrained_costs` does.

    Args:
        tables: of `collect`.
        places: where the study and its data are.

    Returns:
        `method, embedding, parameters, ms_per_image, images_seen`: trainable parameters that the
        embedding needs; milliseconds on this machine; images shown in training.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for run, row in tables.selection.named:
        if row in rows:
            continue
        dataset = open_dataset(run.config, places)
        if not run.holds("model.keras"):  # it came from elsewhere, without its weights
            untrained = measure_untrained_costs({row: run.config}, dataset.attributes.names)
            rows[row] = untrained.to_dict("records")
            continue
        images = dataset.split("test")
        model = run.load_model()
        chosen = np.resize(np.arange(len(images.sources)), _IMAGES)
        boxes = images.squares[chosen, 0] if model.needs_boxes else None
        seen = images_seen(run.settings, len(dataset.attributes.names))
        rows[row] = list(_costs(row, model, images.sources[chosen], boxes, seen))
    return pd.DataFrame([line for lines in rows.values() for line in lines])


def measure_untrained_costs(
    configs: Mapping[str, ExperimentConfig], attributes: Sequence[str]
) -> pd.DataFrame:
    """Measure what embeddings cost without runs or data: weights and pixels do not matter.

    Each row's model is built with fresh weights and embeds 64 images of noise in its source size;
    the rest is as in `measure_costs`.

    Args:
        configs: the settings, by row.
        attributes: names of the models' attributes.

    Returns:
        The table of `measure_costs`.
    """
    policy = keras.mixed_precision.global_policy()
    lines = []
    for row, config in tqdm(configs.items(), desc="measuring costs", unit="row"):
        keras.backend.clear_session()
        keras.mixed_precision.set_global_policy(config.mixed_precision)
        try:
            model = build_model(config, attributes)
            shape = (_IMAGES, config.source_size, config.source_size, 3)
            images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            whole = np.tile([0, 0, config.global_size, config.global_size], (_IMAGES, 1))
            boxes = whole if model.needs_boxes else None
            seen = images_seen(config.to_dict(), len(attributes))
            lines += _costs(row, model, images, boxes, seen)
        finally:
            keras.mixed_precision.set_global_policy(policy)
    return pd.DataFrame(lines)


def count_parameters(model: SimilarityModel, *, joint: bool) -> int:
    """Return the number of trainable parameters of all branches, or of the global one alone."""
    layers = model.global_layers + (model.local_layers if joint else [])
    return sum(int(np.prod(w.shape)) for layer in layers for w in layer.trainable_weights)


def model_parts(config: ExperimentConfig, places: Places) -> pd.DataFrame:
    """Count the parameters of a configuration's model, part by part, before it is trained.

    Args:
        config: the settings.
        places: where meta.json is, which names the attributes.

    Returns:
        `parameters, trained`, indexed by part: numbers of its weights, statistics of batch norms
        included, and of those that training changes; the last row is the sum.
    """
    model = build_model(config, read_meta(places.data_dir, config.dataset).names)
    for name, backbone in model.backbones:
        norms = not config.train_batch_norms
        freeze(name, backbone, stages=config.frozen_stages, batch_norms=norms)
    rows: dict[str, tuple[int, int]] = {}
    for top in model.global_layers + model.local_layers:
        branch = isinstance(top, keras.Model) and not top.name.endswith("backbone")
        for layer in top.layers if branch else [top]:
            if layer.weights:
                trained = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
                rows[label(layer.name)] = (layer.count_params(), trained)
    table = pd.DataFrame.from_dict(rows, "index", columns=["parameters", "trained"])
    table.loc["together"] = table.sum()
    return table


def milliseconds_per_image(
    model: SimilarityModel, images: np.ndarray, boxes: np.ndarray | None = None
) -> float:
    """Return the time per image to embed a batch, each image for one attribute.

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


def _costs(
    row: str, model: SimilarityModel, images: np.ndarray, boxes: np.ndarray | None, seen: int
) -> Iterator[dict[str, Any]]:
    """Yield the table's lines for one row: its embeddings, the global one timed on its own."""
    names = model.embedding_names
    for joint in (False, True) if model.local_layers else (True,):
        model.joint = joint
        spent = milliseconds_per_image(model, images, boxes)
        for name in names[:1] if not joint else names[len(names) > 1 :]:
            yield {
                "method": row,
                "embedding": name,
                "parameters": count_parameters(model, joint=joint),
                "ms_per_image": spent,
                "images_seen": seen,
            }
