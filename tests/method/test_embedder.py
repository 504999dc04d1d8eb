"""Your own images: files in; embeddings, maps and regions of a saved model out."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_model import NAMES, VIEW, pictures, save_catalogue, small_model

import asen_tf
from asen_apps.commands import main
from asen_tf.data.images import ImageError, load_image
from asen_tf.embedder import Embedder, EmbedderError, _decoded, image_file
from asen_tf.models import build_model
from asen_tf.presets import smoke

ROOT = Path(__file__).parents[2]
SIDE = 64  # px, of the sources that the model takes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and images: square, wide, grey, rotated, broken."""
    path = tmp_path_factory.mktemp("own images")
    save_catalogue(path, 4, side=90)
    Image.fromarray(pictures(1, side=90)[0][:60]).save(path / "wide photo.png")
    Image.open(path / "0.png").convert("L").save(path / "grey.jpg")
    upright = Image.open(path / "wide photo.png")
    turned = upright.rotate(90, expand=True)  # EXIF says: turn it back
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(path / "turned.png", exif=exif)
    (path / "broken.jpg").write_bytes(b"not an image")
    return path


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return asen_tf.Embedder.load(folder / "model.keras")


def test_the_model_brings_its_attributes_and_sizes_along(embedder: Embedder) -> None:
    assert embedder.attribute_names == NAMES
    assert embedder.model.source_size == SIDE and embedder.model.global_size == VIEW


@pytest.mark.parametrize("name", ["0.png", "wide photo.png", "grey.jpg", "turned.png"])
def test_embed_is_what_the_model_says_of_the_prepared_image(
    embedder: Embedder, folder: Path, name: str
) -> None:
    expected = embedder.model.embed(load_image(folder / name, SIDE)[None], ["sleeve"])[0]
    found = embedder.embed(folder / name, "sleeve")
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)
    assert found.dtype == np.float32 and np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)


def test_a_turned_photograph_is_seen_upright(embedder: Embedder, folder: Path) -> None:
    upright, turned = (
        embedder.embed(folder / f"{n}.png", "neckline") for n in ("wide photo", "turned")
    )
    np.testing.assert_allclose(turned, upright, atol=1e-5)


@pytest.mark.parametrize("embedding", [None, "global", "local", "fused"])
def test_embed_all_agrees_with_embed(
    embedder: Embedder, folder: Path, embedding: str | None
) -> None:
    paths = [folder / f"{number}.png" for number in (2, 0, 1)]
    vectors = embedder.embed_all(paths, embedding=embedding)
    assert vectors.shape[:2] == (3, len(NAMES))
    for i, path in enumerate(paths):
        for j, attribute in enumerate(NAMES):
            single = embedder.embed(path, attribute, embedding=embedding)
            np.testing.assert_allclose(vectors[i, j], single, atol=1e-5)
    chosen = embedder.embed_all(paths, attributes=["buttons", "neckline"], embedding=embedding)
    np.testing.assert_allclose(chosen, vectors[:, [2, 0]], atol=1e-5)


def test_a_broken_file_raises_or_is_told_and_left_out(embedder: Embedder, folder: Path) -> None:
    paths = [folder / "0.png", folder / "broken.jpg", folder / "missing.jpg", folder / "1.png"]
    with pytest.raises(ImageError, match="broken.jpg: not a readable image"):
        embedder.embed_all(paths)
    told: list[ImageError] = []
    vectors = embedder.embed_all(paths, skip=told.append)
    assert [("broken.jpg" in str(e), "no such file" in str(e)) for e in told] == [
        (True, False),
        (False, True),
    ]
    assert np.isnan(vectors[1:3]).all() and np.isfinite(vectors[[0, 3]]).all()
    np.testing.assert_allclose(vectors[[0, 3]], embedder.embed_all(paths[::3]), atol=1e-5)


def test_batches_without_any_usable_file_are_passed_over(
    embedder: Embedder, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = folder / "broken.jpg", folder / "0.png"
    told: list[ImageError] = []
    vectors = embedder.embed_all([bad] * 33 + [good], skip=told.append)  # more than wait at once
    assert len(told) == 33 and np.isnan(vectors[:33]).all()
    np.testing.assert_allclose(vectors[33:], embedder.embed_all([good]), atol=1e-6)
    assert embedder.embed_all([good] + [bad] * 40, skip=told.append).shape == (41, 3, 16 * 2)
    assert embedder.embed_all([bad], skip=told.append).shape == (1, 3, 0)
    words = ["embed", folder / "model.keras", bad, "--out", tmp_path / "vectors.npz"]
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert "not written: no image can be used" in said and not (tmp_path / "vectors.npz").exists()
    assert said.count("broken.jpg: not a readable image") == 1


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return 45 images: several batches, the last one not full, more than are decoded ahead."""
    path = tmp_path_factory.mktemp("many")
    for number, pixels in enumerate(pictures(45, side=72)):
        Image.fromarray(pixels).save(path / f"{number}.png")
    return [path / f"{number}.png" for number in range(45)]


@pytest.mark.parametrize("embedding", ["global", "fused"])
def test_vectors_do_not_depend_on_the_batch_and_keep_their_order(
    embedder: Embedder, many: list[Path], embedding: str
) -> None:
    found = embedder.embed_all(many, embedding=embedding)
    for number in (0, 7, 8, 31, 32, 33, 44):
        alone = embedder.embed_all([many[number]], embedding=embedding)[0]
        np.testing.assert_allclose(found[number], alone, atol=1e-5)
    shifted = embedder.embed_all(many[3:], embedding=embedding)  # other neighbours in each batch
    np.testing.assert_allclose(found[3:], shifted, atol=1e-5)
    turned = embedder.embed_all(many[::-1], embedding=embedding)
    np.testing.assert_allclose(found[::-1], turned, atol=1e-5)


def test_files_are_told_in_their_order_while_others_are_decoded(
    embedder: Embedder, many: list[Path], folder: Path
) -> None:
    mixed = [*many[:20], folder / "broken.jpg", *many[20:30], folder / "none.jpg", *many[30:]]
    told: list[ImageError] = []
    vectors = embedder.embed_all(mixed, skip=told.append)
    assert [str(error).split(": ")[0] for error in told] == [str(mixed[20]), str(mixed[31])]
    usable = np.isfinite(vectors).all(axis=(1, 2))
    assert np.flatnonzero(~usable).tolist() == [20, 31]
    np.testing.assert_allclose(vectors[usable], embedder.embed_all(many), atol=1e-5)


def test_few_images_wait_for_the_network(many: list[Path]) -> None:
    opened, running, most = [], threading.active_count(), 0
    images = _decoded(many * 3, lambda path: opened.append(path) or load_image(path, SIDE))
    for taken, _ in enumerate(images, start=1):
        most = max(most, len(opened) - taken)
        if taken == 60:
            images.close()
    assert 60 <= len(opened) < len(many * 3) and most <= 33
    assert threading.active_count() == running  # none is left behind


def test_an_open_file_may_come_twice(embedder: Embedder, many: list[Path]) -> None:
    with open(many[0], "rb") as first, open(many[1], "rb") as second:
        found = embedder.embed_all([first, second, first, first])
    expected = embedder.embed_all([many[0], many[1], many[0], many[0]])
    np.testing.assert_array_equal(found, expected)


def test_a_pillow_image_that_is_not_loaded_yet_may_come_twice(
    embedder: Embedder, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "large.jpg"
    Image.fromarray(rng.integers(0, 256, (1200, 1200, 3), np.uint8)).save(path)
    for _ in range(3):
        with Image.open(path) as image:
            found = embedder.embed_all([image] * 4)
        np.testing.assert_array_equal(found, embedder.embed_all([path] * 4))


def test_what_cannot_be_read_any_more_is_skipped_like_a_broken_file(
    embedder: Embedder, many: list[Path], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jpg"
    Image.fromarray(pictures(1, side=90)[0]).save(cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    closed = Image.open(many[0])
    closed.close()
    with open(many[0], "rb") as file:
        pass
    told: list[ImageError] = []
    vectors = embedder.embed_all([many[0], Image.open(cut), closed, file], skip=told.append)
    assert np.isfinite(vectors).all(axis=(1, 2)).tolist() == [True, False, False, False]
    assert all("cannot be read" in str(error) for error in told) and len(told) == 3


def test_16_bits_of_grey_keep_their_upper_8_as_a_pillow_image_too(tmp_path: Path) -> None:
    grey = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 32
    big_endian = grey.astype(">u2").tobytes()
    (tmp_path / "grey.pgm").write_bytes(b"P5 50 40 65535\n" + big_endian)
    given = [
        ("I;16", Image.fromarray(grey)),
        ("I;16B", Image.frombytes("I;16B", (50, 40), big_endian)),
        ("I", Image.open(tmp_path / "grey.pgm")),
        ("I", Image.open(tmp_path / "grey.pgm").copy()),  # which has no format
        ("I", Image.open(tmp_path / "grey.pgm").crop((0, 0, 50, 40))),
    ]
    assert np.ptp(grey) > 60_000
    for mode, image in given:
        assert image.mode == mode
        found = load_image(image_file(image), None)
        np.testing.assert_array_equal(found, np.repeat(grey[..., None] // 256, 3, axis=2))


def test_wide_grey_whose_values_are_not_of_16_bits_is_clipped_as_pillow_does() -> None:
    for values, seen in (([0, 200, 255], [0, 200, 255]), ([0, 300, 70_000], [0, 255, 255])):
        image = Image.fromarray(np.array([values], np.int32))
        assert image.mode == "I"
        assert load_image(image_file(image), None)[0, :, 0].tolist() == seen


@pytest.mark.parametrize("attributes", ["sleeve", [], ()])
def test_one_attribute_or_none_is_refused(
    embedder: Embedder, many: list[Path], attributes: str | list[str]
) -> None:
    with pytest.raises(ValueError, match="attributes must be several names; got .*write"):
        embedder.embed_all(many[:1], attributes=attributes)


def test_a_stream_that_cannot_be_read_twice_is_refused(many: list[Path]) -> None:
    with subprocess.Popen(["cat", many[0]], stdout=subprocess.PIPE) as shown:
        with pytest.raises(ImageError, match="a file opened with mode 'rb'.*; got BufferedReader$"):
            image_file(shown.stdout)


def test_what_is_not_wanted_is_not_computed(many: list[Path]) -> None:
    model = small_model()
    pixels = np.stack([load_image(path, SIDE) for path in many[:2]])
    every = model.embed_pairs(pixels, [0, 1, 1], [0, 1, 2])
    alone = model.embed_pairs(pixels, [0, 1, 1], [0, 1, 2], wanted=("global",))
    assert list(alone) == ["global"]
    np.testing.assert_allclose(alone["global"], every["global"], atol=1e-5)

    def operations(wanted: tuple[str, ...]) -> set[str]:
        graph = model._traced(wanted).get_concrete_function().graph
        outputs = [tensor.op.name for tensor in graph.outputs]
        needed = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), outputs)
        return {node.op for node in needed.node}

    # The local branch alone cuts regions out of images, in a loop over them.
    more = operations(("fused",)) - operations(("global",))
    assert "ArgMax" in more and any(name.endswith("While") for name in more)


def test_the_global_backbone_sees_each_image_once(
    many: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model()
    seen = {"global": [], "local": []}
    for part, batches in seen.items():
        backbone = getattr(model, f"{part}_branch").get_layer(f"{part}_backbone")

        def call(images, *rest, call=backbone.call, batches=batches, **options):
            batches.append(len(images))
            return call(images, *rest, **options)

        monkeypatch.setattr(backbone, "call", call)
    tf.config.run_functions_eagerly(True)
    try:
        Embedder(model).embed_all(many[:11])
    finally:
        tf.config.run_functions_eagerly(False)
    assert sum(seen["global"]) == 11 and sum(seen["local"]) == 11 * len(NAMES)


def test_a_place_that_cannot_be_written_is_named_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "vectors.npz"
    words = ["embed", folder / "model.keras", folder / "0.png", "--out", out]
    assert main([str(word) for word in words]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err.splitlines()[-1]


def test_damaged_exif_data_do_not_matter(embedder: Embedder, folder: Path, tmp_path: Path) -> None:
    exif = b"Exif\x00\x00II*\x00\xff"
    Image.open(folder / "0.png").save(tmp_path / "bad exif.png", exif=exif)
    found, expected = (
        embedder.embed(path, "sleeve") for path in (tmp_path / "bad exif.png", folder / "0.png")
    )
    np.testing.assert_array_equal(found, expected)
    seen = embedder.attend(tmp_path / "bad exif.png", "sleeve")
    assert seen.region == embedder.attend(folder / "0.png", "sleeve").region


def test_no_image_gives_no_vector(embedder: Embedder) -> None:
    assert embedder.embed_all([]).shape[:2] == (0, len(NAMES))


@pytest.mark.parametrize("name", ["0.png", "wide photo.png"])
def test_attend_gives_the_map_and_the_region_in_the_photographs_pixels(
    embedder: Embedder, folder: Path, name: str
) -> None:
    seen = embedder.attend(folder / name, "neckline")
    outputs = embedder.model.embed_pairs(load_image(folder / name, SIDE)[None], [0], [0])
    np.testing.assert_array_equal(seen.map, outputs["attention"][0])
    width, height = Image.open(folder / name).size
    side = min(width, height)
    top, left, bottom, right = outputs["boxes"][0] * side / VIEW
    x, y = (width - side) // 2, (height - side) // 2
    assert seen.region == pytest.approx((x + left, y + top, x + right, y + bottom))
    assert 0 <= seen.region[0] < seen.region[2] <= width
    np.testing.assert_array_equal(seen.crop, load_image(folder / name, SIDE))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_region_of_a_turned_file_lies_in_the_upright_image(
    embedder: Embedder, tmp_path: Path, kind: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pictures(1, side=80)[0][:, :60])  # taller than wide, once upright
    image.rotate(90, expand=True).save(tmp_path / "a", kind, exif=exif)
    frame = embedder.attend(tmp_path / "a", "sleeve").frame
    assert frame[:2] == pytest.approx((0.0, 10.0))  # the centre square is 10 px from the top


def test_a_method_without_attention_says_so(folder: Path) -> None:
    model = build_model(smoke().override(method="csn"), NAMES)
    with pytest.raises(ValueError, match="ConditionalSimilarityNetwork has no attention"):
        Embedder(model).attend(folder / "0.png", "sleeve")


def test_wrong_names_are_refused(embedder: Embedder, folder: Path) -> None:
    with pytest.raises(ValueError, match="the attribute 'x'; there are neckline, sleeve, buttons"):
        embedder.embed(folder / "0.png", "x")
    with pytest.raises(ValueError, match="no embedding 'x'; there are global, local, fused"):
        embedder.embed(folder / "0.png", "sleeve", embedding="x")


def test_files_that_are_no_models_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="no such model"):
        Embedder.load(tmp_path / "model.keras")
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(EmbedderError, match="not a readable model"):
        Embedder.load(tmp_path / "text.keras")


def test_the_command_line_writes_vectors_and_tells_of_bad_files(
    embedder: Embedder, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "asen_tf", "embed", str(folder / "model.keras")]
    command += [str(folder / name) for name in ("0.png", "broken.jpg", "1.png")]
    command += ["--attribute", "sleeve", "--out", str(tmp_path / "vectors.npz")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "1 images left out" in done.stdout
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "not a readable image" in line]
    assert len(told) == 1 and "broken.jpg" in told[0]
    assert "embedding" in done.stderr  # the progress bar
    with np.load(tmp_path / "vectors.npz", allow_pickle=False) as stored:
        assert list(stored["paths"]) == [str(folder / name) for name in ("0.png", "1.png")]
        assert list(stored["attributes"]) == ["sleeve"]
        expected = [embedder.embed(path, "sleeve") for path in stored["paths"]]
        np.testing.assert_allclose(stored["vectors"][:, 0], expected, atol=1e-5)
    command[command.index("sleeve")] = "pockets"
    assert main(command[3:]) == 2
    assert "does not know the attribute 'pockets'" in capsys.readouterr().err
