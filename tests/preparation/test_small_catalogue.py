"""Ten images are too few to measure anything; the user is told so before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from asen_study import experiment
from asen_study.runs import Places
from asen_tf.data import AnnotationError
from asen_tf.presets import smoke
from data_prep import catalog


def test_a_split_without_queries_is_refused_before_training(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = ["image,colour"]
    for index in range(10):
        Image.new("RGB", (40, 40), (25 * index, 0, 0)).save(raw / f"{index}.png")
        lines.append(f"{index}.png,{('red', 'black')[index % 2]}")
    (tmp_path / "shop.csv").write_text("\n".join(lines))
    data = tmp_path / "data"
    options = ["--raw", str(raw), "--csv", str(tmp_path / "shop.csv"), "--out", str(data)]
    catalog.main([*options, "--dataset", "Shop"])
    config = smoke().override(dataset="Shop", sampling="random_triplets")
    with pytest.raises(AnnotationError, match="query_valid.txt: the valid split needs at least"):
        experiment.run(config, Places(data, tmp_path / "results", "small"))
    assert not (tmp_path / "results").exists()
