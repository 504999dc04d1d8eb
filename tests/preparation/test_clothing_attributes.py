"""The Clothing Attribute Dataset: label files and photographs made here, and the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from asen_tf.data import AnnotationError, read_meta, read_split, read_value_names
from data_prep import clothing_attributes
from data_prep.clothing_attributes import FOLDS, VALUES, main, prepare
from data_prep.prepare import RELEASES
from data_prep.prepare import prepare as prepare_release

COUNT = 60
PATTERNS = ("solid", "floral", "spot", "graphics", "plaid", "stripe")
ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "ClothingAttributeDataset"


def column(folder: Path, name: str, values: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / f"{name}_GT.mat", {"GT": np.asarray(values, float)[:, None]})


@pytest.fixture()
def raw(tmp_path: Path) -> Path:
    """Write labels of 60 numbers, with NaN, and photographs of all but 7 and 8."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "raw"
    for attribute, names in VALUES.items():
        values = rng.integers(1, len(names) + 1, COUNT).astype(float)
        values[rng.random(COUNT) < 0.2] = np.nan
        values[3] = np.nan  # image 4 has no label at all
        file = "sleevelength" if attribute == "sleeve_length" else attribute
        column(folder / "labels", file, values)
    kinds = np.ones((COUNT, 6))
    kinds[0, 1] = 2  # image 1: floral
    kinds[1, [0, 5]] = 2  # image 2: two kinds, so none
    kinds[2, 4] = np.nan  # image 3: nobody agreed on anything
    for at, name in enumerate(PATTERNS):
        column(folder / "labels", f"pattern_{name}", kinds[:, at])
    (folder / "images").mkdir()
    for number in range(1, COUNT + 1):
        if number not in (7, 8):
            shade = Image.new("RGB", (8, 12), (4 * number, 0, 0))
            shade.save(folder / "images" / f"{number:06d}.jpg")
    return folder


def labels(out: Path, fold: int, split: str) -> dict[str, dict[str, str]]:
    name = f"ClothingAttributes-{fold}"
    read = read_split(out, name, split)
    named = read_value_names(out, name)
    rows = read.labels if split == "train" else np.concatenate([read.queries, read.candidates])
    found: dict[str, dict[str, str]] = {Path(file).stem: {} for file in read.files}
    for image, attribute, value in rows.tolist():
        key = read.attributes.names[attribute]
        found[Path(read.files[image]).stem][key] = named[key][value]
    return found


def test_equal_photographs_are_in_one_split(raw: Path, tmp_path: Path) -> None:
    pictures = sorted((raw / "images").glob("*.jpg"))
    for first, copy in zip(pictures[0::3], pictures[1::3], strict=False):
        copy.write_bytes(first.read_bytes())
    labelled = {path.name: path.read_bytes() for path in pictures if path.stem != "000004"}
    copies = len(labelled) - len(set(labelled.values()))
    assert copies > 15
    tested = []
    for fold in range(FOLDS):
        report = prepare(raw, tmp_path / "data", fold=fold)
        assert f"{copies} images equal another one; equal images are in one split" in report.notes
        owner: dict[bytes, str] = {}
        for split in ("train", "valid", "test"):
            found = read_split(tmp_path / "data", f"ClothingAttributes-{fold}", split)
            for index in range(len(found.files)):
                content = found.path(index).read_bytes()
                assert owner.setdefault(content, split) == split
            tested += [Path(name).name for name in found.files] * (split == "test")
    assert sorted(tested) == sorted(labelled)  # each once


def test_values_patterns_nan_and_absent_photographs(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path / "data", fold=0)
    assert sum(report.images.values()) == COUNT - 3
    assert report.notes == (
        "2 of 60 labelled numbers have no photograph here",
        "1 photographs have no label and are left out",
    )
    found = {
        k: v for s in ("train", "valid", "test") for k, v in labels(tmp_path / "data", 0, s).items()
    }
    assert found["000001"]["pattern"] == "Floral"
    assert "pattern" not in found["000002"] and "pattern" not in found["000003"]
    assert not {"000004", "000007", "000008"} & found.keys()
    neck = scipy.io.loadmat(raw / "labels" / "neckline_GT.mat")["GT"][:, 0]
    for number in (1, 2, 3, 5, 6, 9):
        wanted = (
            None if np.isnan(neck[number - 1]) else VALUES["neckline"][int(neck[number - 1]) - 1]
        )
        assert found[f"{number:06d}"].get("neckline") == wanted
    table = read_meta(tmp_path / "data", "ClothingAttributes-0")
    assert table.names[0] == "category" and table.names[-1] == "pattern" and len(table.names) == 10


def test_every_photograph_is_tested_once_and_splits_share_none(raw: Path, tmp_path: Path) -> None:
    tested: list[str] = []
    for fold in range(FOLDS):
        prepare(raw, tmp_path / "data", fold=fold)
        parts = {s: set(labels(tmp_path / "data", fold, s)) for s in ("train", "valid", "test")}
        assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == COUNT - 3
        tested += parts["test"]
    assert len(tested) == len(set(tested)) == COUNT - 3


def test_the_same_seed_divides_alike_and_another_does_not(raw: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(raw, tmp_path / name, seed=seed)
    first, same, other = (set(labels(tmp_path / name, 0, "test")) for name in "abc")
    assert first == same != other


def test_label_files_that_break_a_rule_are_named(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column(raw / "labels", "collar", np.full(COUNT, 3.0))
    with pytest.raises(AnnotationError, match=r"collar_GT.mat.*from 1 to 2"):
        prepare(raw, tmp_path / "data")
    column(raw / "labels", "collar", np.ones(COUNT - 1))
    with pytest.raises(AnnotationError, match="same length"):
        prepare(raw, tmp_path / "data")
    (raw / "labels" / "collar_GT.mat").write_bytes(b"MATLAB 5.0 MAT-file, or so it says" * 9)
    with pytest.raises(AnnotationError, match="must be MATLAB's"):
        prepare(raw, tmp_path / "data")
    (raw / "labels" / "collar_GT.mat").unlink()
    assert main(["--raw", str(raw), "--out", str(tmp_path / "data")]) == 2
    assert "a label file is missing" in capsys.readouterr().err


def test_a_fold_beyond_the_last_and_an_empty_folder_are_refused(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="0 to 4"):
        prepare(raw, tmp_path / "data", fold=5)
    for photograph in (raw / "images").iterdir():
        photograph.unlink()
    with pytest.raises(AnnotationError, match="photographs images/000001.jpg"):
        prepare(raw, tmp_path / "data")


def test_the_notebook_can_ask_for_each_fold(raw: Path, tmp_path: Path) -> None:
    folds = [name for name in RELEASES if name.startswith(clothing_attributes.DATASET)]
    assert folds == [f"ClothingAttributes-{fold}" for fold in range(FOLDS)]
    prepare_release(folds[3], raw, tmp_path / "a")
    prepare(raw, tmp_path / "b", fold=3)
    assert labels(tmp_path / "a", 3, "test") == labels(tmp_path / "b", 3, "test")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published photographs")
def test_the_published_files_have_the_numbers_that_are_known(tmp_path: Path) -> None:
    report = prepare(PUBLISHED, tmp_path / "data", fold=4)
    assert sum(report.images.values()) == 1392
    found = labels(tmp_path / "data", 4, "train")
    assert {"Suit", "Dress"} <= {row.get("category") for row in found.values()}


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published photographs")
def test_the_photographs_of_the_committed_study_are_listed() -> None:
    listed = (ROOT / "results" / "photos" / "photographs.csv").read_text().split()
    held = sorted(int(path.stem) for path in (PUBLISHED / "images").glob("*.jpg"))
    assert listed == ["number", *map(str, held)]
