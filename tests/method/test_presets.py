"""The named configurations."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pandas as pd
import pytest

from asen_tf import presets
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.presets import compact, paper, preset, quick, smoke
from asen_tf.training import Phase, phases

# The method as the authors released it; sizes are those of FashionAI's runs.
PAPER = {
    "method": "asen_pp",
    "dataset": "FashionAI",
    "global_size": 224,
    "local_size": 112,
    "global_backbone": "resnet50",
    "local_backbone": "resnet34",
    "attribute_dim": 512,
    "global_attention_dim": 512,
    "local_attention_dim": 256,
    "channel_attribute_dim": 512,
    "channel_reduction": 2,
    "embedding_dim": 1024,
    "roi_threshold": 0.1,
    "fusion_weight": 0.6,
    "starting_weights": "imagenet",
    "pretrain_epochs": 0,
    "margin": 0.2,
    "global_loss_weight": 1.0,
    "local_loss_weight": 0.1,
    "alignment_loss_weight": 0.1,
    "sampling": "random_triplets",
    "triplets_per_step": 16,
    "stage1_epochs": 50,
    "stage1_learning_rate": 1e-4,
    "stage1_decay": 0.9,
    "stage1_decay_epochs": 3,
    "stage2_epochs": 20,
    "stage2_local_learning_rate": 1e-4,
    "stage2_global_learning_rate": 1e-5,
    "stage2_decay": 0.9,
    "stage2_decay_epochs": 1,
}


def test_the_paper_preset_is_the_paper() -> None:
    config = paper()
    assert {name: getattr(config, name) for name in PAPER} == PAPER
    assert config.triplets_per_step * config.steps_per_epoch == 100_000
    assert config.source_size > config.global_size  # the zoom sees what the view has lost
    assert config == ExperimentConfig()


BASES = {
    **dict.fromkeys(("fashionai_rpf", "darn", "deepfashion", "zappos50k", "compact"), paper()),
    **dict.fromkeys(("quick", "photos"), presets._from_imagenet()),
    **dict.fromkeys(("smoke", "tune"), compact()),
}


@pytest.mark.parametrize(("changed", "base"), BASES.items())
def test_a_preset_overrides_its_base_and_repeats_nothing(
    changed: str, base: ExperimentConfig
) -> None:
    tree = ast.parse(inspect.getsource(getattr(presets, changed)))
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "override"
    )
    written = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    repeated = [name for name, value in written.items() if getattr(base, name) == value]
    assert not repeated, f"{changed} repeats {repeated} of its base"
    assert preset(changed) == base.override(**written)


@pytest.mark.parametrize("name", ["strong", "quick", "photos", "compact", "tune", "smoke"])
def test_rates_fall_to_the_papers_share_for_every_method_alike(name: str) -> None:
    def last_share(phase: Phase) -> float:
        return phase.decay ** ((phase.epochs - 1) // phase.decay_epochs)

    for method in ("asen_pp", "asen_v2", "csn", "triplet"):
        first, *second = phases(preset(name).override(method=method))
        # 0.9 every third of 50 epochs, and every one of 20: 0.9**16 and 0.9**19.
        assert last_share(first) == pytest.approx(0.185, abs=0.006)
        assert [last_share(phase) for phase in second] == pytest.approx(
            [0.14] * len(second), abs=0.01
        )


def test_the_papers_own_relatives_end_at_its_share_too() -> None:
    (phase,) = phases(paper().override(method="asen_v2"))
    assert (phase.epochs, phase.decay_epochs) == (70, 3)
    assert phase.decay ** (69 // 3) == pytest.approx(0.9**16)


def test_one_branch_alone_may_be_trained_at_the_rates_of_asen_pp() -> None:
    both = phases(quick())
    alone = phases(quick().override(method="asen_v2", single_branch_stages=2))
    assert [phase.joint for phase in (*both, *alone)] == [False, True, False, False]
    for name in ("name", "first_epoch", "epochs", "global_rate", "decay", "decay_epochs"):
        assert [getattr(p, name) for p in both] == [getattr(p, name) for p in alone], name
    assert "both" not in alone[1].title


@pytest.mark.parametrize("name", ["strong", "quick", "photos", "compact", "smoke"])
def test_smaller_presets_keep_the_method(name: str) -> None:
    kept = ["method", "margin", "roi_threshold", "fusion_weight", "channel_reduction"]
    kept += ["global_loss_weight", "local_loss_weight", "alignment_loss_weight"]
    assert all(getattr(preset(name), key) == PAPER[key] for key in kept)


def test_presets_by_name() -> None:
    assert (preset("paper"), preset("quick"), preset("smoke")) == (paper(), quick(), smoke())
    with pytest.raises(
        ConfigError, match="one of paper, fashionai, .*, quick, compact, tune, smoke; got 'fast'"
    ):
        preset("fast")


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("fashionai", "FashionAI"),
        ("darn", "DARN"),
        ("deepfashion", "DeepFashion"),
        ("zappos50k", "Zappos50k"),
    ],
)
def test_each_dataset_of_the_papers_has_its_preset(name: str, dataset: str) -> None:
    config = preset(name)
    assert config.dataset == dataset
    differing = {key for key in PAPER if getattr(config, key) != PAPER[key]}
    assert differing <= {"dataset", "sampling"}  # the release trains all datasets alike
    assert (config.sampling == "listed_triplets") == (name == "zappos50k")


@pytest.mark.parametrize("name", ["fashionai", "fashionai_rpf", "darn", "deepfashion", "zappos50k"])
def test_what_a_preset_says_was_published_is_in_the_reference(name: str) -> None:
    text = inspect.getdoc(getattr(presets, name))
    table = pd.read_csv(Path(__file__).parents[2] / "reference" / "published_results.csv")
    dataset = preset(name).dataset.lower()
    known = table[table["dataset"].str.lower() == dataset]["percent"]
    quoted = [float(number) for number in re.findall(r"\b(\d+\.\d\d)\b", text)]
    assert quoted and set(quoted) <= set(known)
    assert f"python -m data_prep.{dataset} " in text and f"-p preset {name} " in text
