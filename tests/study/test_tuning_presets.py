"""Preset files: overrides over a named preset, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asen_study.matrix import images_seen
from asen_study.notebook import configuration
from asen_tf.config import ConfigError
from asen_tf.presets import compact, preset, smoke


def written(folder: Path, content: Any) -> str:
    path = folder / "best.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_file_overrides_the_preset_that_it_names(tmp_path: Path) -> None:
    content = {"preset": "smoke", "overrides": {"margin": 0.3, "embedding_dim": 8}, "note": "x"}
    assert preset(written(tmp_path, content)) == smoke().override(margin=0.3, embedding_dim=8)


def test_a_notebook_takes_the_file_where_it_takes_a_name(tmp_path: Path) -> None:
    name = written(tmp_path, {"preset": "smoke", "overrides": {"margin": 0.3}})
    namespace = {"__annotations__": {"preset": str, "seed": int}, "preset": name, "seed": 7}
    assert configuration(namespace) == smoke().override(margin=0.3, seed=7)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"preset": "smoke", "overrides": {"marign": 0.3}}, "'marign'.*did you mean 'margin'"),
        ({"preset": "smoke", "overrides": {"margin": 3.0}}, r"margin must lie in \[0, 2\]; got 3"),
        ({"preset": "smoke", "overrides": {"margin": "0.3"}}, "margin must be of type float"),
        ({"preset": "fast", "overrides": {}}, "preset must be one of .*; got 'fast'"),
        ({"preset": ["smoke"], "overrides": {}}, r"preset must be one of .*; got \['smoke'\]"),
        ({"preset": "smoke", "overrides": [1]}, r"overrides must be an object of settings"),
        ({"preset": "smoke"}, r"with preset and overrides.*got \['preset'\]"),
        ({"preset": "smoke", "overrides": {}, "seed": 1}, "with preset and overrides"),
        ([1], "with preset and overrides.*got list"),
        ("{", "best.json: Expecting"),
        ('{"preset": "smoke", "overrides": {"margin": 0.1, "margin": 0.2}}', "occurs twice"),
    ],
)
def test_whatever_else_it_holds_is_an_error_that_names_the_file(
    tmp_path: Path, content: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=f"preset file .*best.json: .*{says}|{says}") as caught:
        preset(written(tmp_path, content))
    assert "best.json" in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none.json: cannot be read .No such file"):
        preset(str(tmp_path / "none.json"))


def test_tune_is_compact_with_fewer_images() -> None:
    small, own = preset("tune").to_dict(), compact().to_dict()
    assert (images_seen(small), images_seen(own)) == (10_800, 57_600)
    changed = {name for name in own if small[name] != own[name]}
    epochs = {"pretrain_epochs", "stage1_epochs", "stage2_epochs", "steps_per_epoch"}
    assert changed == epochs | {"stage1_decay", "stage2_decay", "bootstrap_resamples"}
