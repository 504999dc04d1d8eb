"""Images that are not square: cut or padded to a square, with their boxes, caches and models."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_model import NAMES, VIEW, pictures, small_model

from asen_tf import Embedder
from asen_tf.config import FITS, ConfigError, ExperimentConfig
from asen_tf.data import AttributeTable, Split, load_image
from asen_tf.data.dataset import Dataset
from asen_tf.data.fitting import Frame, fit_square, frame_of
from asen_tf.data.images import PIXELS
from asen_tf.data.regions import boxes_in_square
from asen_tf.models import AsenPlusPlus, load_saved
from data_prep.writing import write_meta, write_regions, write_split

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
WHOLE = ("whole_edge", "whole_mean")
SAVED = Path(__file__).with_name("saved_before_the_move.keras")


def grey(rows: list[list[int]]) -> Image.Image:
    """Return an RGB image of grey pixels."""
    return Image.fromarray(np.repeat(np.array(rows, np.uint8)[:, :, None], 3, axis=2))


def fitted(image: Image.Image, side: int, fit: str) -> list[list[int]]:
    square = fit_square(image, side, fit)
    assert square.shape == (side, side, 3) and square.dtype == np.uint8
    assert (square == square[..., :1]).all()
    return square[..., 0].tolist()


# === Worked examples ===


def test_a_wide_image_is_padded_above_and_below() -> None:
    wide = grey([[10, 20, 30, 40], [50, 60, 70, 80]])  # 2 : 1
    edge = [[10, 20, 30, 40], [10, 20, 30, 40], [50, 60, 70, 80], [50, 60, 70, 80]]
    assert fitted(wide, 4, "whole_edge") == edge
    mean = [[45] * 4, [10, 20, 30, 40], [50, 60, 70, 80], [45] * 4]
    assert fitted(wide, 4, "whole_mean") == mean
    assert fitted(wide, 2, "square") == [[20, 30], [60, 70]]


def test_a_tall_image_is_padded_at_the_left_and_the_right() -> None:
    tall = grey([[10 * row, 10 * row + 5] for row in range(6)])  # 1 : 3
    edge = [[10 * row] * 3 + [10 * row + 5] * 3 for row in range(6)]
    assert fitted(tall, 6, "whole_edge") == edge
    mean = round(np.mean([[10 * row, 10 * row + 5] for row in range(6)]))
    expected = [[mean] * 2 + [10 * row, 10 * row + 5] + [mean] * 2 for row in range(6)]
    assert fitted(tall, 6, "whole_mean") == expected


def test_the_smaller_half_of_the_padding_comes_first() -> None:
    assert fitted(grey([[1, 2, 3, 4]]), 4, "whole_mean")[1] == [1, 2, 3, 4]  # 1 row above, 2 below
    assert fitted(grey([[1], [2], [3], [4]]), 4, "whole_mean")[0] == [2, 1, 2, 2]


@pytest.mark.parametrize("fit", WHOLE)
def test_a_line_one_pixel_wide_stays_one_pixel_wide(fit: str) -> None:
    line = Image.new("RGB", (1, 100), WHITE)
    line.paste(BLACK, (0, 50, 1, 100))
    square = fit_square(line, 8, fit)
    assert frame_of(line.size, 8, fit) == (-3, 0, 8, 100)  # 1 px of 8 is the image's whole width
    assert (square[:3, 3] == 255).all() and (square[5:, 3] == 0).all()
    around = np.delete(square, 3, axis=1)
    expected = square[:, 3:4] if fit == "whole_edge" else round(square[:, 3].mean())
    assert (around == expected).all()


@pytest.mark.parametrize(("width", "kept"), [(5, 2), (7, 4), (1, 1), (9, 4)])
def test_the_shorter_side_is_rounded_as_python_rounds(width: int, kept: int) -> None:
    image = Image.new("RGB", (width, 10), WHITE)  # in 5 px: 2.5, 3.5, 0.5 and 4.5 px wide
    image.paste(BLACK, (0, 0, width, 5))
    square = fit_square(image, 5, "whole_mean")
    assert ((square[0] == 0).all(axis=-1)).sum() == kept


@pytest.mark.parametrize("fit", WHOLE)
def test_a_square_image_is_the_same_in_every_fit(fit: str) -> None:
    image = Image.fromarray(pictures(1, side=50)[0])
    np.testing.assert_array_equal(fit_square(image, 20, fit), fit_square(image, 20, "square"))
    assert frame_of((50, 50), 20, fit) == (0, 0, 50, 50)


def test_the_frame_of_the_docstring() -> None:
    assert frame_of((100, 200), 8, "whole_edge") == Frame(-50, 0, 200, 200)
    assert frame_of((100, 200), 8, "square") == Frame(0, 50, 100, 100)
    frame = Frame(-50, 0, 200, 200)
    assert frame.shares((0, 20, 100, 200)) == (0.25, 0.1, 0.75, 1.0)
    assert frame.pixels((0.25, 0.1, 0.75, 1.0)) == (0, 20, 100, 200)


@pytest.mark.parametrize("fit", FITS)
def test_a_turned_photograph_is_fitted_upright(tmp_path: Path, fit: str) -> None:
    upright = Image.fromarray(pictures(1, side=60)[0][:, :20])
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "upright.png")
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    found, expected = (
        load_image(tmp_path / f"{name}.png", 30, fit=fit) for name in ("turned", "upright")
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(expected, fit_square(upright, 30, fit))
    split, boxes = split_of(tmp_path, "turned.png"), {(0, 0): (0.0, 20.0, 10.0, 40.0)}
    left, width = {"square": (0.0, 0.5)}.get(fit, (1 / 3, 1 / 6))
    (box,) = boxes_in_square(split, boxes, side=30, fit=fit).values()
    top, bottom = (0.0, 1.0) if fit == "square" else (1 / 3, 2 / 3)
    assert box == pytest.approx((left, top, left + width, bottom))


def test_an_unknown_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fit must be one of square, whole_edge, whole_mean"):
        ExperimentConfig(fit="whole")
    for use in (
        lambda: load_image(tmp_path / "none.png", 8, fit="whole_edg"),
        lambda: frame_of((8, 8), 8, "whole_edg"),
        lambda: fit_square(Image.new("RGB", (8, 8)), 8, "whole_edg"),
    ):
        with pytest.raises(ValueError, match="whole_edge, whole_mean; got 'whole_edg'"):
            use()


# === True boxes ===


def split_of(folder: Path, *names: str) -> Split:
    nothing = np.zeros((0, 3), np.int64)
    table = AttributeTable(("hue",), (2,))
    return Split(folder, "Tiny", "test", table, names, nothing, nothing, nothing, ())


@pytest.mark.parametrize("fit", FITS)
def test_a_painted_box_is_where_the_mapped_box_says(tmp_path: Path, fit: str) -> None:
    """The box is painted white on black, and looked for among the pixels of the square."""
    rng, side, boxes = np.random.default_rng(0), 50, {}
    for number in range(30):
        width, height = rng.integers(60, 400, 2).tolist()
        # Inside the centre square, away from its edges, and covering less than half of the image:
        # the padding is dark.
        cut = min(width, height)
        x, y = (width - cut) // 2, (height - cut) // 2
        left, top, across, down = (rng.uniform(0.2, 0.4, 4) * cut).astype(int).tolist()
        box = x + left, y + top, x + left + across, y + top + down
        image = Image.new("RGB", (width, height), BLACK)
        image.paste(WHITE, box)
        image.save(tmp_path / f"{number}.png")
        boxes[number, 0] = tuple(map(float, box))
    split = split_of(tmp_path, *(f"{number}.png" for number in range(30)))
    mapped = boxes_in_square(split, boxes, side=side, fit=fit)
    assert list(mapped) == list(boxes)
    for (number, _), box in mapped.items():
        seen = load_image(split.path(number), side, fit=fit)[..., 0] > 127
        rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        found = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        np.testing.assert_allclose(np.array(box) * side, found, atol=0.75)


@pytest.mark.parametrize("fit", WHOLE)
def test_a_box_in_the_padded_square_by_exact_fractions(tmp_path: Path, fit: str) -> None:
    for width, height, side in ((3, 7, 10), (640, 481, 64), (1, 300, 32), (333, 1000, 97)):
        Image.new("RGB", (width, height)).save(tmp_path / "a.png")
        pixel = Fraction(side, max(width, height))
        exact = [max(Fraction(1), Fraction(round(length * pixel))) for length in (width, height)]
        margins = [(side - int(length)) // 2 for length in exact]
        box = (Fraction(0), Fraction(height, 4), Fraction(width, 2), Fraction(height))
        expected = [
            (margins[axis] + edge * exact[axis] / (width, height)[axis]) / side
            for edge, axis in zip(box, (0, 1, 0, 1), strict=True)
        ]
        given = {(0, 0): tuple(map(float, box))}
        found = boxes_in_square(split_of(tmp_path, "a.png"), given, side=side, fit=fit)
        assert found[0, 0] == pytest.approx(tuple(map(float, expected)), abs=1e-12)


def test_what_the_centre_square_cuts_off_a_whole_image_keeps(tmp_path: Path) -> None:
    Image.new("RGB", (100, 200)).save(tmp_path / "a.png")
    collar = {(0, 0): (40.0, 10.0, 60.0, 30.0)}
    split = split_of(tmp_path, "a.png")
    assert boxes_in_square(split, collar, side=20) == {}
    found = boxes_in_square(split, collar, side=20, fit="whole_edge")
    assert found[0, 0] == pytest.approx((0.45, 0.05, 0.55, 0.15))


# === Datasets ===


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "Tiny"
    root.mkdir()
    for number, pixels in enumerate(pictures(4, side=60)):
        Image.fromarray(pixels[:, : 60 - 10 * number]).save(root / f"{number}.png")
    write_meta(tmp_path, "Tiny", AttributeTable(("length", "neck"), (2, 2)))
    files, labels = [f"{number}.png" for number in range(4)], [(n, 0, n % 2) for n in range(4)]
    write_split(tmp_path, "Tiny", "train", files=files, labels=labels)
    write_regions(tmp_path, "Tiny", "train", {(3, 1): (0, 0, 15, 30)})
    return tmp_path


CONFIG = ExperimentConfig(dataset="Tiny", source_size=20, global_size=10)


@pytest.mark.parametrize("cache", [True, False])
def test_datasets_of_different_fits_do_not_share_a_cache(folder: Path, cache: bool) -> None:
    every, seen = np.arange(4), {}
    for fit in (*FITS, *FITS):  # the second time from the cache
        dataset = Dataset(folder, CONFIG.override(fit=fit, cache_images=cache))
        images = dataset.split("train")
        paths = [images.split.path(number) for number in every]
        expected = np.stack([load_image(path, 20, fit=fit) for path in paths])
        np.testing.assert_array_equal(images.sources[every], expected)
        seen[fit] = images.views[every]
    assert all((seen["square"][1:] != seen[fit][1:]).any() for fit in WHOLE)
    assert (seen["whole_edge"][1:] != seen["whole_mean"][1:]).any()
    names = sorted(path.name[16:] for path in (folder / "Tiny").glob(".cache/*.npy"))
    fits = ("", "-whole_edge", "-whole_mean")
    files = [f"-train-20-{PIXELS}{fit}{size}.npy" for fit in fits for size in ("", "-10")]
    assert names == (sorted(files) if cache else [])


def test_images_whose_files_are_absent_have_no_true_box(folder: Path) -> None:
    write_regions(folder, "Tiny", "train", {(2, 0): (0, 0, 20, 20), (3, 1): (0, 0, 15, 30)})
    config = CONFIG.override(fit="whole_mean", cache_images=False)
    every = Dataset(folder, config).true_boxes("train")
    (folder / "Tiny" / "3.png").unlink()
    config = config.override(missing_images="skip")
    assert Dataset(folder, config).true_boxes("train") == {(2, 0): every[2, 0]}
    squares = Dataset(folder, config.override(region="true")).split("train").squares
    assert squares.shape == (4, 2, 4) and (squares[2, 0] != (0, 0, 10, 10)).any()


def test_the_local_branch_is_given_the_true_part_of_the_padded_image(folder: Path) -> None:
    dataset = Dataset(folder, CONFIG.override(region="true", fit="whole_mean"))
    # 30 x 60 px become 10 x 20 between margins of 5, and 5 x 10 of 10 x 10 in the frame.
    assert dataset.true_boxes("train")[3, 1] == pytest.approx((0.25, 0.0, 0.5, 0.5))
    squares = dataset.split("train").squares
    # Columns 2.5 to 5 and rows 0 to 5, moved and scaled by up to 15%: a square near column 1.
    top, left, bottom, right = squares[3, 1].tolist()
    assert top <= 1 and left in (0, 1, 2) and bottom - top == right - left in (4, 5, 6)
    assert squares[0, 0].tolist() == [0, 0, 10, 10]  # no image shows this part


# === Models ===


@pytest.fixture(scope="module")
def model() -> AsenPlusPlus:
    source = small_model()
    model = AsenPlusPlus(**{**source.get_config(), "fit": "whole_mean"})
    model.set_weights(source.get_weights())
    return model


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    Image.fromarray(pictures(1, side=128)[0][:, 20:68]).save(tmp_path / "tall.png")
    return tmp_path / "tall.png"


def by_hand(path: Path, side: int) -> np.ndarray:
    """Prepare the tall photograph, 48 x 128 px, in 64 px: 24 columns after 20 of its mean."""
    small = np.asarray(Image.open(path).resize((24, 64), Image.Resampling.BILINEAR), float)
    square = np.zeros((side, side, 3))
    square[:] = np.round(small.mean(axis=(0, 1)))
    square[:, 20:44] = small
    return square.astype(np.uint8)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_saved_model_remembers_its_fit(
    model: AsenPlusPlus, photograph: Path, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    embedder = Embedder.load(tmp_path / "model.keras")
    assert embedder.model.settings.fit == "whole_mean"
    prepared = by_hand(photograph, model.source_size)[None]
    expected = model.embed(prepared, ["sleeve"])[0]
    found = embedder.embed(photograph, "sleeve")
    assert cosine(found, expected) == pytest.approx(1.0, abs=1e-5)
    together = embedder.embed_all([photograph], attributes=["sleeve"])[0, 0]
    assert cosine(together, expected) == pytest.approx(1.0, abs=1e-5)
    cut = model.embed(load_image(photograph, model.source_size)[None], ["sleeve"])[0]
    assert cosine(cut, expected) < 0.9999


def test_attention_is_mapped_back_to_the_padded_photograph(
    model: AsenPlusPlus, photograph: Path
) -> None:
    seen = Embedder(model).attend(photograph, "neckline")
    prepared = by_hand(photograph, model.source_size)
    np.testing.assert_array_equal(seen.crop, prepared)
    outputs = model.embed_pairs(prepared[None], [0], [NAMES.index("neckline")])
    np.testing.assert_allclose(seen.map, outputs["attention"][0], atol=1e-6)
    top, left, bottom, right = outputs["boxes"][0] / VIEW * 128
    assert seen.region == pytest.approx((left - 40, top, right - 40, bottom))
    assert seen.frame == (-40, 0, 128, 128)


def test_models_saved_before_there_was_a_choice_take_the_centre_square() -> None:
    assert load_saved(SAVED).settings.fit == "square"
