"""Empty cells: which images vote, what is written where, and what a table may look like."""

from __future__ import annotations

import csv
import hashlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from known_vectors import KnownEmbedder, paths
from PIL import Image
from small_model import small_model

from asen_apps.commands import main
from asen_apps.explorer.gallery import CatalogueGallery
from asen_apps.search import AttributeIndex, SearchIndexError
from asen_apps.search import tagging as module
from asen_apps.search.catalogue_table import read_catalogue_table
from asen_apps.search.storage import FILES
from asen_apps.search.tagging import as_table, tag
from asen_tf.data import AnnotationError, AttributeTable
from data_prep import catalog
from data_prep.catalog_table import read_catalogue
from data_prep.writing import write_listed_split, write_meta, write_split

ROOT = Path(__file__).parents[2]


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


# Images 0 to 4 lie near 0 degrees, 5 to 9 near 90, 10 between them; for "buttons" they are turned
# round, so that another attribute has other neighbours.
ANGLES = (0, 1, 2, 3, 4, 90, 91, 92, 93, 94, 47)
TURNED = (0, 90, 1, 91, 2, 92, 3, 93, 4, 94, 47)


def known_index(metadata: list[dict] | None = None) -> AttributeIndex:
    embedder = KnownEmbedder(neckline=at(*ANGLES), buttons=at(*TURNED))
    return AttributeIndex.build(embedder, paths(11), metadata)


def write(path: Path, *rows: str, head: str = "image,Neckline") -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def shop(path: Path, *known: str, empty: tuple[int, ...] = (3, 8, 10)) -> Path:
    """Write a table of images 0 to 10: V below 5, round from there, and some cells empty."""
    cells = ["" if i in empty else "V" if i < 5 else "round" for i in range(11)]
    return write(path, *(f"{i}.png,{cell}" for i, cell in enumerate(cells)))


def test_the_nearest_images_fill_what_is_empty(tmp_path: Path) -> None:
    table, (filling,) = tag(known_index(), shop(tmp_path / "shop.csv"), confidence=0.7)
    assert table.columns == ("image", "Neckline", "neckline_confidence")
    texts = [row[1] for row in table.rows]
    assert (texts[3], texts[8]) == ("V", "round")
    assert [row[0] for row in table.rows] == [f"{i}.png" for i in range(11)]
    assert [bool(row[2]) for row in table.rows] == [i in (3, 8, 10) for i in range(11)]
    # All 8 labelled images were right about one another: (8 + 1) / (8 + 2), never certain.
    assert table.rows[3][2] == "0.900" and filling.expected_accuracy == pytest.approx(0.9)
    assert (filling.labelled, filling.filled, filling.left_empty) == (8, 3, 0)
    assert filling.majority_share == 0.5 and filling.calibration.images == 8


def test_a_vote_that_is_not_sure_enough_leaves_its_cell_empty(tmp_path: Path) -> None:
    table, (filling,) = tag(known_index(), shop(tmp_path / "shop.csv"), confidence=0.95)
    assert [row[1] for row in table.rows if not row[1]] == [""] * 3
    assert (filling.filled, filling.left_empty) == (0, 3)
    assert math.isnan(filling.expected_accuracy)
    assert as_table([filling]).splitlines()[1].split()[:5] == ["neckline", "8", "0", "3", "-"]


def test_each_attribute_has_its_own_neighbours(tmp_path: Path) -> None:
    rows = [f"{i}.png,{'V' if i < 5 else 'round'},{'one' if i % 2 else 'two'}" for i in range(10)]
    rows[3], rows[4] = "3.png,,", "4.png,,"
    table, fillings = tag(
        known_index(), write(tmp_path / "shop.csv", *rows, head="image,neckline,buttons")
    )
    assert [filling.attribute for filling in fillings] == ["neckline", "buttons"]
    assert table.rows[3][1:3] == ("V", "one") and table.rows[4][1:3] == ("V", "two")
    chosen, (filling,) = tag(known_index(), tmp_path / "shop.csv", attributes=["buttons"])
    assert chosen.rows[3] == ("3.png", "", "one", "0.900") and filling.attribute == "buttons"


def test_all_else_stays_as_it_was(tmp_path: Path) -> None:
    text = (
        "\ufeffsep=;\nprice;image;Neckline;note;\n"
        '"1,50";./0.png; V ;"said ""no""\nand left";\n;;;;\n'
        "2;1.png;V;;\n3;5.png;round;=1;\n4;6.png;round;é;\n5;7.png;n/a;;\n6;2.png;–;;\n"
    )
    (tmp_path / "shop.csv").write_text(text, encoding="utf-8")
    table, _ = tag(known_index(), tmp_path / "shop.csv", confidence=0.5)
    table.write(tmp_path / "out" / "tagged.csv")
    assert (tmp_path / "out" / "tagged.csv").read_text(encoding="utf-8") == (
        "\ufeffsep=;\nprice;image;Neckline;note;;neckline_confidence\n"
        '1,50;./0.png; V ;"said ""no""\nand left";;\n;;;;;\n'
        "2;1.png;V;;;\n3;5.png;round;=1;;\n4;6.png;round;é;;\n"
        "5;7.png;round;;;0.833\n6;2.png;V;;;0.833\n"
    )


def test_what_was_filled_before_neither_votes_nor_changes(tmp_path: Path) -> None:
    rows = [f"{i}.png,{'V' if i < 4 else 'round' if 5 <= i < 9 else ''}," for i in range(11)]
    rows[4] = "4.png,round,0.61"  # a vote, and a wrong one
    file = write(tmp_path / "shop.csv", *rows, head="image,neckline,neckline_confidence")
    table, (filling,) = tag(known_index(), file)
    assert table.columns == ("image", "neckline", "neckline_confidence")
    assert table.rows[4] == ("4.png", "round", "0.61") and filling.labelled == 8
    table.write(tmp_path / "tagged.csv")
    again, (filling,) = tag(known_index(), tmp_path / "tagged.csv")
    assert again.rows == table.rows and (filling.filled, filling.left_empty) == (0, 0)
    rows[4] = "4.png,,0.61"  # somebody has cleared it
    cleared = write(file, *rows, head="image,neckline,neckline_confidence")
    assert tag(known_index(), cleared)[0].rows[4] == ("4.png", "V", "0.900")
    assert tag(known_index(), cleared, confidence=0.95)[0].rows[4] == ("4.png", "", "")


def test_metadata_are_labels_too_and_the_table_comes_first(tmp_path: Path) -> None:
    metadata = [{"neckline": "V"} if i < 5 else {"neckline": "round"} for i in range(11)]
    metadata[3], metadata[10] = {"neckline": None}, {}
    index = known_index(metadata)
    table, (filling,) = tag(index, write(tmp_path / "a.csv", "3.png,", "0.png,", "9.png,square"))
    # "square" is alone, so its own vote was wrong: (8 + 1) / (9 + 2).
    assert table.rows == (("3.png", "V", "0.818"), ("0.png", "V", ""), ("9.png", "square", ""))
    assert (filling.labelled, filling.filled) == (9, 1)
    alone, (filling,) = tag(index, confidence=0.5)
    assert alone.columns == ("image", "neckline", "neckline_confidence") and len(alone.rows) == 11
    assert alone.rows[3] == (str(Path("/pictures/3.png")), "V", "0.909")
    with pytest.raises(SearchIndexError, match="must be text, a number"):
        tag(known_index([{"neckline": ["V"]}] * 11))


def test_numbers_and_truth_values_are_values() -> None:
    table, _ = tag(known_index([{"neckline": i < 5} if i != 3 else {} for i in range(11)]))
    assert table.rows[3][1] == "true" and table.rows[9][1] == "false"


@pytest.mark.parametrize(
    ("rows", "head", "attributes", "message"),
    [
        (["0.png,V"], "image,collar", None, "no column is an attribute of the model"),
        (["0.png,V"], "image,neckline", ["buttons"], "no column is the attribute 'buttons'"),
        (["0.png,V"], "image,necklin", ["neckline"], "did you mean 'necklin'"),
        (["0.png,V"], "image,neckline", ["nekline"], "did you mean 'neckline'"),
        (["0.png,", "1.png,-"], "image,neckline", None, "got no labelled image"),
        (["0.png,V", "1.png,V"], "image,neckline", None, "two different values.*got 'V' alone"),
        (["0.png,V", "77.png,V"], "image,neckline", None, "csv:3: an image is not in the index"),
        (["77.png,V", "x/0.png,"], "image,neckline", None, "an image is not in the index; got"),
        (["0.png,V", "./0.png,V"], "image,neckline", None, "csv:3: an image must have one row"),
        (["0.png,V", "pictures/0.png,V"], "image,neckline", None, "rows are named by their path"),
        ([",V"], "image,neckline", None, "csv:2: a row must name an image"),
        (["0.png,V,1"], "image,neckline", None, "csv:2: a row must have 2 cells"),
        (["0.png,V"], "photo,neckline", None, "distinct names, one of them image"),
        (["0.png,V,V"], "image,neckline,Neckline", None, "must have one column"),
        (['0.png,"V'], "image,neckline", None, "the text must be CSV"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, rows, head, attributes, message) -> None:
    file = write(tmp_path / "shop.csv", *rows, head=head)
    with pytest.raises((AnnotationError, SearchIndexError), match=message):
        tag(known_index(), file, attributes=attributes)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_share(tmp_path: Path, confidence: float) -> None:
    with pytest.raises(SearchIndexError, match="between 0 and 1"):
        tag(known_index(), shop(tmp_path / "shop.csv"), confidence=confidence)


def test_images_that_the_index_lacks_can_be_passed_over(tmp_path: Path) -> None:
    file, told = shop(tmp_path / "shop.csv"), []
    file.write_text(file.read_text() + "77.png,\n88.png,V\n")
    table, _ = tag(known_index(), file, skip=told.append)
    assert table.rows[-2:] == (("77.png", "", ""), ("88.png", "V", "")) and len(told) == 2
    with pytest.raises(AnnotationError, match="no image of the table is in the index"):
        tag(known_index(), write(file, "77.png,V"), skip=told.append)


def test_of_images_that_end_alike_the_one_in_the_common_folder_counts(tmp_path: Path) -> None:
    images = [Path("/p/0.png"), Path("/p/b/0.png"), Path("/p/b/c/0.png"), Path("/p/d/c/0.png")]
    index = AttributeIndex.build(KnownEmbedder(neckline=at(0, 90)), images)

    def places(*names: str) -> list[int]:
        table = read_catalogue_table(write(tmp_path / "x.csv", *(f"{name}," for name in names)))
        return module._places(table, index, None).tolist()

    assert places("0.png", "b/0.png", "b/c/0.png", "d/c/0.png") == [0, 1, 2, 3]
    assert places("/p/b/0.png", "d/c/0.png") == [1, 3]
    with pytest.raises(AnnotationError, match="must be one image of the index"):
        places("c/0.png")


def test_an_image_that_is_missing_is_no_other_one_of_its_name(tmp_path: Path) -> None:
    """0.png was left out of the index, which holds new/0.png; other rows show what is meant."""
    images = [Path("/p/new/0.png"), *(Path(f"/p/{i}.png") for i in range(1, 11))]
    index = AttributeIndex.build(KnownEmbedder(neckline=at(*ANGLES)), images)
    file, told = write(tmp_path / "x.csv", "0.png,V", *(f"{i}.png," for i in range(1, 11))), []
    found = module._places(read_catalogue_table(file), index, told.append)
    assert found.tolist() == [-1, *range(1, 11)]
    assert "csv:2: an image is not in the index; got '0.png'" in str(told[0])
    file = write(file, "0.png,V", "1.png,", "new/0.png,")
    found = module._places(read_catalogue_table(file), index, told.append)
    assert found.tolist() == [-1, 1, 0]


@pytest.mark.parametrize("title", ["नेकलाइन का प्रकार", "สีเสื้อ", "Größe-2"])
def test_a_column_in_any_script_is_the_attribute_that_data_prep_makes_of_it(
    tmp_path: Path, title: str
) -> None:
    (name,) = catalog._attribute_names([title], tmp_path).values()
    index = AttributeIndex.build(KnownEmbedder(**{name: at(*ANGLES)}), paths(11))
    file = shop(tmp_path / "shop.csv")
    file.write_text(file.read_text().replace("Neckline", title), encoding="utf-8")
    assert [filling.filled for filling in tag(index, file, confidence=0.7)[1]] == [3]
    labelled = [{title: "V" if i < 5 else "round"} if i not in (3, 8) else {} for i in range(11)]
    index = AttributeIndex.build(KnownEmbedder(**{name: at(*ANGLES)}), paths(11), labelled)
    index.prepare(progress=False)
    gallery = CatalogueGallery(index)
    assert gallery.value(0, name) == "V" and gallery.details(0) == ()  # a label, no further detail


def test_a_table_means_the_same_as_to_data_prep(tmp_path: Path) -> None:
    cells = ["V", " V ", "n/a", "NA", "Na", "NaN", "-", "–", "none", "null", "#N/A", "a\xa0 b", ""]
    cells += ["\u200bV", "a  b", '"two\nlines"', "0", "false"]
    for separator in ",;\t|":
        rows = [f"{i}.png{separator}{cell}" for i, cell in enumerate(cells)]
        file = write(tmp_path / "shop.csv", *rows, head=f"image{separator}Neck line")
        theirs, _ = read_catalogue(file)
        ours = read_catalogue_table(file)
        assert ours.values("Neck line") == [item.cells["Neck line"] for item in theirs]
        assert ours.images() == [item.image for item in theirs]
        assert list(ours.lines) == [item.line for item in theirs]


# === Validation ===


def dataset(root: Path, *labels: tuple[int, int], names: list[str] | None = None) -> Path:
    """Write a dataset of attribute neckline, its split valid with (image, value) labels."""
    folder = root / "data" / "mine"
    folder.mkdir(parents=True)
    for image, _ in labels:
        (folder / f"{image}.png").write_text(f"picture {image}")
    named = None if names is None else {"neckline": names}
    write_meta(root / "data", "mine", AttributeTable(("neckline",), (3,)), named)
    rows = np.array([(place, 0, value) for place, (_, value) in enumerate(labels)])
    write_split(
        root / "data",
        "mine",
        "valid",
        files=[f"{image}.png" for image, _ in labels],
        queries=rows[:1],
        candidates=rows[1:],
    )
    return folder


NAMES = ["V", "round", "square"]


def test_confidence_is_learned_from_validation_images(tmp_path: Path) -> None:
    folder = dataset(tmp_path, (0, 0), (1, 0), (6, 1), (7, 2), names=NAMES)
    table, (filling,) = tag(
        known_index(), shop(tmp_path / "shop.csv"), confidence=0.5, validation=folder
    )
    # Three of four are right: image 7 is square here, which no image of the table is.
    assert filling.calibration.images == 4
    assert table.rows[3][1:] == ("V", f"{4 / 6:.3f}")


def test_validation_images_do_not_vote_for_themselves(tmp_path: Path) -> None:
    # Image 10 is the only one at 47 degrees: if it voted for itself, it would be right.
    folder = dataset(tmp_path, (10, 2), names=NAMES)
    images = [tmp_path / "pictures" / f"{i}.png" for i in range(11)]
    images[0].parent.mkdir()
    for image in images:
        image.write_text(f"picture {image.stem}")
    embedder = KnownEmbedder(neckline=at(*ANGLES))
    metadata = [{"neckline": "V" if i < 5 else "round"} for i in range(10)]
    index = AttributeIndex.build(embedder, images, [*metadata, {"neckline": "square"}])
    (filling,) = tag(index, validation=folder)[1]
    fitted = filling.calibration
    assert fitted.confidence(np.ones(1))[0] == pytest.approx(1 / 3)  # (0 + 1) / (1 + 2)
    images[10].write_text("another picture")
    (filling,) = tag(index, validation=folder)[1]
    assert filling.calibration.confidence(np.ones(1))[0] == pytest.approx(2 / 3)
    # What the file was when it was embedded counts, wherever it is now.
    content = hashlib.sha256(b"picture 10").hexdigest()
    index.notes = {FILES: {"10": [10, 0, content]}}
    for gone in (False, True):
        if gone:
            images[10].unlink()
        (filling,) = tag(index, validation=folder)[1]
        assert filling.calibration.confidence(np.ones(1))[0] == pytest.approx(1 / 3)


def test_a_validation_dataset_that_does_not_fit_is_named(tmp_path: Path) -> None:
    file = shop(tmp_path / "shop.csv")
    with pytest.raises(AnnotationError, match="meta.json: the file is missing"):
        tag(known_index(), file, validation=tmp_path / "data" / "mine")
    unnamed = dataset(tmp_path / "unnamed", (0, 0))
    with pytest.raises(SearchIndexError, match="must have values of 'neckline' that the catalogue"):
        tag(known_index(), file, validation=unnamed)
    other = write(tmp_path / "other.csv", "0.png,a", "1.png,b", head="image,buttons")
    with pytest.raises(AnnotationError, match="must have the attribute 'buttons'"):
        tag(known_index(), other, validation=unnamed)
    files, triplets = ["0.png", "1.png", "2.png"], np.array([[0, 0, 1, 2]])
    write_listed_split(unnamed.parent, "mine", "valid", files=files, triplets=triplets)
    with pytest.raises(AnnotationError, match="must list values"):
        tag(known_index(), file, validation=unnamed)


# === As a person types it ===


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, pictures of two colours, a table and an index."""
    folder = tmp_path_factory.mktemp("shop")
    model = small_model()
    model.save(folder / "model.keras")
    rng, lines = np.random.default_rng(0), ["image,Sleeve"]
    (folder / "photos").mkdir()
    for number in range(40):
        red = number % 2
        pixels = rng.integers(0, 90, (70, 60, 3))
        pixels[..., 0 if red else 2] += 160
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / f"{number}.png")
        value = "" if number >= 30 else "red" if red else "blue"
        lines.append(f"{number}.png,{value}")
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    images = sorted((folder / "photos").iterdir())
    words = ["index", folder / "model.keras", *images, "--out", folder / "index"]
    assert main([str(word) for word in words]) == 0
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_catalogue_is_filled_from_the_command_line(typed: Path) -> None:
    words = ["tag", typed / "model.keras", "--index", typed / "index", "--csv", typed / "shop.csv"]
    command = [sys.executable, "-m", "asen_apps.commands", *map(str, words)]
    command += ["--out", str(typed / "tagged.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = rows_of(typed / "tagged.csv")
    assert [row["image"] for row in rows] == [f"{number}.png" for number in range(40)]
    assert [row["Sleeve"] for row in rows] == ["blue", "red"] * 20
    assert [bool(row["sleeve_confidence"]) for row in rows] == [False] * 30 + [True] * 10
    head, line, last = done.stdout.splitlines()
    assert head.split()[:3] == ["attribute", "labelled", "filled"]
    assert line.split() == ["sleeve", "30", "10", "0", "96.9%", "50.0%", "blue"]
    assert last == f"{typed / 'tagged.csv'}: 40 rows, 10 cells filled"
    assert "caution" in done.stderr and "Traceback" not in done.stderr


def test_a_catalogue_is_filled_by_its_own_validation_images(
    typed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is divided by data_prep.catalog first, so both have the same images."""
    words = ["--raw", typed / "photos", "--out", typed / "data", "--csv", typed / "shop.csv"]
    assert catalog.main([str(word) for word in [*words, "--dataset", "shop"]]) == 0
    words = ["tag", typed / "model.keras", "--index", typed / "index", "--csv", typed / "shop.csv"]
    words += ["--validation", typed / "data" / "shop", "--confidence", "0.5"]
    words += ["--out", typed / "validated.csv"]
    assert main([str(word) for word in words]) == 0
    assert [row["Sleeve"] for row in rows_of(typed / "validated.csv")] == ["blue", "red"] * 20
    assert "caution" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--confidence", "2"], "a confidence must be between 0 and 1; got 2.0"),
        (["--attribute", "sleave"], "did you mean 'sleeve'?"),
        (["--attribute", "buttons"], "no column is the attribute 'buttons'"),
        (["--csv", "none.csv"], "none.csv: the file is missing"),
    ],
)
def test_faults_are_told_in_a_sentence(typed: Path, capsys, words: list[str], message: str) -> None:
    usual = ["tag", typed / "model.keras", "--index", typed / "index", "--csv", typed / "shop.csv"]
    out = typed / "never.csv"
    assert main([*map(str, usual), *words, "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert message in told.err and "fault of this program" not in told.err and not out.exists()


def test_rows_of_unknown_images_are_told_and_end_with_2(typed: Path, capsys) -> None:
    table = typed / "more.csv"
    table.write_text((typed / "shop.csv").read_text() + "new.png,\n")
    words = ["tag", typed / "model.keras", "--index", typed / "index", "--csv", table]
    assert main([*map(str, words), "--out", str(typed / "more tagged.csv")]) == 2
    told = capsys.readouterr()
    assert "more.csv:42: an image is not in the index; got 'new.png'" in told.err
    assert told.out.endswith("41 rows, 10 cells filled; 1 images left out\n")
    assert rows_of(typed / "more tagged.csv")[-1]["Sleeve"] == ""
