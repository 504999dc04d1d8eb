"""A design against a catalogue: found, ranked and counted as a naive loop does it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import hostile_catalogue
import numpy as np
import pytest
from hostile_catalogue import NAMES

from asen_apps.evidence import TOGETHER, CatalogueFiles, EvidenceError, Examination, examine
from asen_tf.embedder import Embedder
from asen_tf.models import build_model
from asen_tf.presets import smoke

WEIGHTS = {"neckline": 0.25, "buttons": 0.75}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_catalogue.make(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder.load(folder / "model.keras")


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> CatalogueFiles:
    return CatalogueFiles.from_folder(folder / "catalogue")


@pytest.fixture(scope="module")
def found(embedder: Embedder, catalogue: CatalogueFiles, folder: Path) -> Examination:
    return examine(embedder, catalogue, folder / "design.png", WEIGHTS, top=4)


def cosines(embedder: Embedder, one: Path, other: Path) -> dict[str, float]:
    """Return the similarity of two files by view, one vector at a time."""
    parts = {
        name: float(embedder.embed(one, name) @ embedder.embed(other, name)) for name in WEIGHTS
    }
    return parts | {TOGETHER: sum(WEIGHTS[name] * part for name, part in parts.items())}


# === The catalogue ===


def test_a_catalogue_is_all_images_of_a_folder_by_name(catalogue: CatalogueFiles) -> None:
    assert catalogue.names == tuple(sorted([*NAMES, "copy of d.png"]))
    assert catalogue.repeated == 1
    assert set(catalogue.left_out) == {"broken.jpg", "link.png", "notes.txt"}
    assert catalogue.left_out["broken.jpg"] == catalogue.left_out["notes.txt"] == "not an image"
    assert "No such file" in catalogue.left_out["link.png"]


def test_a_catalogue_of_links_is_what_they_lead_to(folder: Path, tmp_path: Path) -> None:
    """DVC, git-annex and the caches of hubs keep the files elsewhere, under other names."""
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "a.jpg").symlink_to(folder / "catalogue" / "a.png")
    (tmp_path / "cache").symlink_to(folder / "catalogue")
    (tmp_path / "shop" / "deep" / "b").symlink_to("../../cache/b.png")
    (tmp_path / "shop" / "all").symlink_to(tmp_path)  # in a circle
    found = CatalogueFiles.from_folder(tmp_path / "shop")
    assert found.names == ("a.jpg", "deep/b")
    expected = [folder / "catalogue" / name for name in ("a.png", "b.png")]
    assert found.digests == tuple(hashlib.sha256(p.read_bytes()).hexdigest() for p in expected)
    assert list(found.left_out) == ["all"] and "a link to a folder" in found.left_out["all"]
    assert len(CatalogueFiles.from_folder(tmp_path / "shop" / "all" / "shop")) == 2  # the remedy


def test_the_fingerprint_is_what_the_page_says_a_shell_gives(catalogue: CatalogueFiles) -> None:
    command = 'sha256sum "$@" | cut -c 1-64 | sort | sha256sum'
    names = [str(path) for path in catalogue.paths]
    done = subprocess.run(["sh", "-c", command, "sh", *names], capture_output=True, text=True)
    assert done.stdout.split()[0] == catalogue.fingerprint
    digest = hashlib.sha256(catalogue.paths[0].read_bytes()).hexdigest()
    assert catalogue.digests[0] == digest


def test_the_fingerprint_knows_contents_not_names(folder: Path, tmp_path: Path) -> None:
    for name, other in (("a.png", "z.png"), ("b.png", "y.png")):
        shutil.copy(folder / "catalogue" / name, tmp_path / other)
    moved = CatalogueFiles.from_folder(tmp_path).fingerprint
    assert moved == CatalogueFiles.from_files(folder / "catalogue", ["a.png", "b.png"]).fingerprint
    assert moved != CatalogueFiles.from_files(folder / "catalogue", ["a.png", "d.png"]).fingerprint


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="must be a folder of images; got .*nowhere"):
        CatalogueFiles.from_folder(tmp_path / "nowhere")
    (tmp_path / "notes.jpg").write_text("no image")
    with pytest.raises(
        EvidenceError, match="of 1 files .* none can be used; notes.jpg: not an image"
    ):
        CatalogueFiles.from_folder(tmp_path)


# === Finding and counting ===


def test_ranks_and_similarities_are_those_of_a_naive_loop(
    embedder: Embedder, catalogue: CatalogueFiles, found: Examination, folder: Path
) -> None:
    every = {
        name: cosines(embedder, folder / "design.png", path)
        for name, path in zip(catalogue.names, catalogue.paths, strict=True)
    }
    assert [view.name for view in found.views] == [*WEIGHTS, TOGETHER]
    for view in found.views:
        order = sorted(every, key=lambda name: -round(every[name][view.name], 6))
        assert [item.name for item in view.found] == order[:4]
        for rank, item in enumerate(view.found, start=1):
            assert item.rank == rank and list(item.similarities)[0] == view.name
            for name, similarity in item.similarities.items():
                assert similarity.value == pytest.approx(every[item.name][name], abs=2e-6)


def test_counts_are_those_of_a_naive_loop(
    embedder: Embedder, catalogue: CatalogueFiles, found: Examination
) -> None:
    assert found.compared == len(catalogue) == 8 and found.settings["pairs"] == 28
    table = {
        (i, j): cosines(embedder, catalogue.paths[i], catalogue.paths[j])
        for i, j in combinations(range(8), 2)
    }
    for view in found.views:
        random = [parts[view.name] for parts in table.values()]
        nearest = [
            max(parts[view.name] for pair, parts in table.items() if i in pair) for i in range(8)
        ]
        np.testing.assert_allclose(sorted(view.random), sorted(random), atol=2e-6)
        np.testing.assert_allclose(view.nearest, nearest, atol=2e-6)
        for item in view.found:
            value = item.similarities[view.name].value
            for counted, reference in (
                (item.similarities[view.name].random, random),
                (item.similarities[view.name].nearest, nearest),
            ):
                certain, possible = (
                    sum(other >= value + margin for other in reference) for margin in (3e-6, -3e-6)
                )
                assert certain <= counted.at_least <= possible and counted.of == len(reference)


def test_one_attribute_has_one_view(embedder, catalogue, folder: Path) -> None:
    single = examine(embedder, catalogue, folder / "design.png", ["sleeve"])
    assert [view.name for view in single.views] == ["sleeve"]
    assert len(single.views[0].found) == 5


# === Inputs that say little or nothing ===


def test_the_design_in_the_catalogue_is_left_out_or_marked(embedder, catalogue) -> None:
    design = catalogue.root / "d.png"  # and its copy has the same content
    without = examine(embedder, catalogue, design, ["sleeve"], top=20)
    assert without.same_files == ("copy of d.png", "d.png")
    assert without.compared == 6 and len(without.views[0].found) == 6
    assert not any(item.same_file for item in without.views[0].found)
    with_it = examine(embedder, catalogue, design, ["sleeve"], leave_out_same=False)
    first, second, third = with_it.views[0].found[:3]
    assert first.same_file and second.same_file and not third.same_file
    assert (first.name, second.name) == with_it.same_files  # of equal ones the first in order
    assert first.similarities["sleeve"].value == 1.0


def test_a_catalogue_of_one_image_says_nothing(embedder, catalogue) -> None:
    root, design = catalogue.root, catalogue.root / "a.png"
    with pytest.raises(EvidenceError, match="must hold 2 images or more, .* got 1"):
        examine(embedder, CatalogueFiles.from_files(root, ["b.png"]), design, ["sleeve"])
    two = CatalogueFiles.from_files(root, ["a.png", "b.png"])
    with pytest.raises(EvidenceError, match="besides the design's own file, .* got 1"):
        examine(embedder, two, design, ["sleeve"])
    assert examine(embedder, two, design, ["sleeve"], leave_out_same=False).compared == 2


def test_invalid_arguments_are_refused(embedder, catalogue, folder: Path) -> None:
    with pytest.raises(EvidenceError, match="did you mean 'sleeve'"):
        examine(embedder, catalogue, folder / "design.png", ["sleeves"])
    with pytest.raises(EvidenceError, match="top, .* must be 1 or more; got 0"):
        examine(embedder, catalogue, folder / "design.png", ["sleeve"], top=0)
    for name, why in (("missing.png", "no such file"), ("catalogue/broken.jpg", "not a readable")):
        with pytest.raises(EvidenceError, match=f"the design image cannot be used: .*{why}"):
            examine(embedder, catalogue, folder / name, ["sleeve"])


def test_a_model_that_knows_no_attributes_says_so(catalogue, found, folder: Path) -> None:
    blind = Embedder(build_model(smoke().override(method="triplet"), ("neckline", "buttons")))
    said = examine(blind, catalogue, folder / "design.png", WEIGHTS)
    assert not said.tells_attributes_apart and found.tells_attributes_apart
