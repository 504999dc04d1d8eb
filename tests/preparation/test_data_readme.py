"""What data_prep/README.md says about commands and counts is true."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from asen_tf.data import AnnotationError
from asen_tf.presets import PRESETS
from data_prep import darn, fashionai, zappos50k
from data_prep.prepare import RELEASES, prepare

TEXT = (Path(__file__).parents[2] / "data_prep" / "README.md").read_text(encoding="utf-8")
PAPERS = ("fashionai", "darn", "deepfashion", "zappos50k")
COMMANDS = sorted(set(re.findall(r"python -m (data_prep\.\w+)((?: [^`\n#|]+)?)", TEXT)))


@pytest.mark.parametrize(("module", "arguments"), COMMANDS)
def test_every_command_is_one_with_these_options(
    module: str, arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        importlib.import_module(module).main(["--help"])
    assert left.value.code == 0
    known = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", arguments):
        assert f"{option} " in known, f"{module} has no {option}"
    lines = known.splitlines()
    assert max(map(len, lines)) <= 80
    explained = lines[lines.index("options:") + 1 :]
    for line, after in zip(explained, [*explained[1:], ""], strict=True):
        if line.startswith("  -"):  # its help is beside it, or below where there is no room
            assert re.search(r"\S {2,}\S", line) or after.startswith(" " * 20), line


def test_every_dataset_has_a_row_and_a_preset() -> None:
    rows = [line.split("|")[1].strip() for line in TEXT.splitlines() if line.startswith("| ")]
    releases = {name.split("-")[0] for name in RELEASES}  # a dataset's folds share a row
    assert {*releases, "Garments", "yours"} <= set(rows)
    presets = {"photos" if name == "ClothingAttributes" else name.lower() for name in releases}
    assert presets <= set(PRESETS)


def test_counts_of_values_are_those_of_the_tables() -> None:
    assert sum(fashionai.TABLE.sizes) == 54 and f"{len(fashionai.TABLE)} attributes, 54" in TEXT
    assert sum(darn.TABLE.sizes) == 185 and f"{len(darn.TABLE)} attributes, 185" in TEXT
    assert f"{len(zappos50k.TABLE)} conditions" in TEXT


def test_what_the_presets_start_from_is_said_where_they_are_recommended() -> None:
    assert {preset().starting_weights for preset in map(PRESETS.get, PAPERS)} == {"imagenet"}
    page = re.search(r"The presets start from ImageNet; \[Weights\]\((.*?)\)", TEXT)
    linked = (Path(__file__).parents[2] / "data_prep" / page[1]).read_text(encoding="utf-8")
    for text in (linked, *(inspect.getdoc(PRESETS[name]) for name in PAPERS)):
        assert "`weights/`" in text and "make install-torch" in text and "ImageNet" in text
    for name in ("resnet50-19c8e357.pth", "resnet34-333f7ec4.pth", "imagenet_dir"):
        assert name in linked


def test_an_unknown_dataset_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="FashionAI, DARN, .*-4; got 'Mine'"):
        prepare("Mine", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("DARN", ["splits"], "splits is .*; got 'DARN'; .* FashionAI and DeepFashion only$"),
        ("Mine", ["table", "splits"], "splits is no option of this dataset; got 'Mine'; leave spl"),
        ("FashionAI", ["download"], "download is .*'FashionAI'; .*: only DARN's images are down"),
        ("DARN", ["table", "download"], "download is no .*, and put the images into the raw"),
        ("ClothingAttributes-0", ["splits"], "splits is no option of this dataset"),
    ],
)
def test_an_option_that_a_dataset_does_not_have_is_refused_with_the_way_out(
    tmp_path: Path, dataset: str, options: list[str], message: str
) -> None:
    with pytest.raises(AnnotationError, match=message):
        prepare(dataset, tmp_path, tmp_path, **{name: str(tmp_path) for name in options})
