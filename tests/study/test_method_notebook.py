"""00_method runs, in real calls, and its pictures are those of the layers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import papermill
import pytest
from nbformat import NotebookNode
from PIL import Image
from small_model import NAMES, pictures, small_model

from asen_study import figures, measurement
from asen_tf.layers import RegionOfInterest, crop_regions
from asen_tf.presets import smoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NotebookNode]:
    """Run the notebook without a trained model; return its results folder and its copy."""
    folder = tmp_path_factory.mktemp("method")
    notebook = papermill.execute_notebook(
        ROOT / "notebooks" / "00_method.ipynb",
        folder / "00_method.ipynb",
        parameters={"results_dir": str(folder), "preset": "smoke", "study": "none", "catalogue": 6},
        kernel_name="python3",
        cwd=ROOT,
        progress_bar=False,
    )
    return folder, notebook


@pytest.fixture(scope="module")
def printed(executed: tuple[Path, NotebookNode]) -> tuple[Path, str]:
    """Return the results folder and all that the notebook printed."""
    folder, notebook = executed
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return folder, "".join(out.get("text", "") for out in outputs if out.get("name") == "stdout")


def test_it_says_that_nothing_was_trained_and_draws_its_pictures(
    printed: tuple[Path, str],
) -> None:
    folder, text = printed
    assert "none holds no trained model" in text
    for name in ("method_attention", "method_region", "method_triplet", "overview"):
        with Image.open(folder / "none" / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 250 and np.ptp(np.asarray(picture.convert("L"))) > 100


def test_its_steps_are_those_of_the_branch(printed: tuple[Path, str]) -> None:
    text = printed[1]
    (difference,) = re.findall(r"largest difference to the branch called at once: ([\d.e-]+)", text)
    assert float(difference) < 1e-4
    assert "each map adds up to [1.]" in text
    number = r"(-?[\d.]+)"
    own = re.search(rf"fused +neckline_design: .*positive {number}, .*negative {number}", text)
    theirs = re.search(rf"'neckline_design': \[{number}, {number}\]", text)  # what Embedder has
    assert [float(one) for one in own.groups()] == pytest.approx(
        [float(one) for one in theirs.groups()], abs=0.0011
    )


def test_a_step_against_the_gradient_helps(printed: tuple[Path, str]) -> None:
    text = printed[1]
    before, after = re.search(r"margin 1: ([\d.]+); after a step ([\d.]+)", text).groups()
    change = r"([+-][\d.e+-]+)"
    moved = re.search(rf"positive changes by {change}, to the negative by {change}", text)
    nearer, farther = moved.groups()
    assert float(after) < float(before)
    assert float(nearer) > 0 > float(farther)


@pytest.mark.parametrize("seed", range(4))
def test_the_steps_to_the_region_lead_to_the_layers_own(seed: int) -> None:
    heat = np.random.default_rng(seed).uniform(size=(5, 5)).astype(np.float32) ** 8
    image, layer = pictures(1)[0], RegionOfInterest(32, 16, 0.4)
    steps = figures.region_steps(heat, image, layer)
    top, left, bottom, right = steps.box
    rows, columns = np.flatnonzero(steps.kept.any(1)), np.flatnonzero(steps.kept.any(0))
    assert top <= rows[0] and rows[-1] < bottom and left <= columns[0] and columns[-1] < right
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    assert bottom - top == right - left == longer
    crop = crop_regions(image[None], np.array([steps.box]), map_size=32, crop_size=16)[0]
    assert np.abs(steps.crop - crop.numpy()).max() <= 0.5
    assert steps.stretched.min() == 0.0 and steps.stretched.max() == 1.0


def test_a_flat_map_keeps_the_whole_frame() -> None:
    steps = figures.region_steps(np.full((3, 3), 0.1), pictures(1)[0], RegionOfInterest(32, 16))
    assert steps.kept.all() and steps.box == (0, 0, 32, 32)


def test_a_studys_model_is_taken_and_otherwise_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asen_pp-seed0-0").mkdir()
    model = small_model()
    model.save(tmp_path / "asen_pp-seed0-0" / "model.keras")
    taken = measurement.trained_or_new(tmp_path, smoke(), ("other",))
    assert taken.attribute_names == NAMES
    assert capsys.readouterr().out == f"The trained model of {tmp_path}.\n"
    for ours, theirs in zip(taken.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    first, again = (measurement.trained_or_new(tmp_path / "none", smoke(), ("a",)) for _ in "12")
    assert "untrained" in capsys.readouterr().out and first.attribute_names == ("a",)
    for ours, theirs in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
