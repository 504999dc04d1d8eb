"""Which split is looked at for what: the test split decides nothing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from asen_study import evaluation, experiment
from asen_tf.presets import smoke
from asen_tf.training.similarity import phases


def dataset() -> SimpleNamespace:
    """Return a dataset whose splits know their names, and nothing else."""

    def split(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=name, split=SimpleNamespace(name=name, triplets=None, queries=[0])
        )

    attributes = SimpleNamespace(names=("a", "b"))
    return SimpleNamespace(split=split, attributes=attributes, true_boxes=lambda name: {})


def test_epochs_are_compared_on_the_validation_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = smoke()
    monkeypatch.setattr(experiment, "starting_model", lambda *_: "a model")
    monkeypatch.setattr(experiment, "validate", lambda images, *, batch: (images.name, batch))
    monkeypatch.setattr(experiment, "train", lambda *_, validate, **__: validate)
    team, phase = SimpleNamespace(scope=nullcontext), phases(config)[0]
    found = experiment._train(config, dataset(), phase, team, tmp_path, backbone=None)
    assert found == ("valid", config.embed_batch)


def test_results_are_of_the_test_split_and_the_fusion_weight_of_the_validation_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {}

    def embed(model: Any, images: Any, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(of=images.name, pairs=np.zeros((1, 2)), arrays={})

    def sweep(embedded: Any, split: Any) -> list[dict[str, Any]]:
        return [{"weight": 0.5, "embedded": embedded.of, "asked": split.name}]

    def retrieval(embedded: Any, config: Any, split: Any, *_: Any) -> dict[str, Any]:
        measured["retrieval"] = embedded.of, split.name
        return {}

    def triplets(embedded: Any, split: Any, **_: Any) -> list[dict[str, Any]]:
        measured["triplets"] = embedded.of, split.name
        return []

    monkeypatch.setattr(evaluation, "embed_labelled_pairs", embed)
    monkeypatch.setattr(evaluation, "fusion_sweep", sweep)
    monkeypatch.setattr(evaluation, "_evaluate_retrieval", retrieval)
    monkeypatch.setattr(evaluation, "triplet_rows", triplets)
    model = SimpleNamespace(embedding_names=("global", "local", "fused"), global_size=32)
    evaluation.evaluate(model, smoke(), dataset(), tmp_path)
    assert measured == dict.fromkeys(("retrieval", "triplets"), ("test", "test"))
    (row,) = pd.read_csv(tmp_path / "fusion.csv").to_dict("records")
    assert (row["embedded"], row["asked"], row["weight"]) == ("valid", "valid", 0.5)
