"""Tables from shops and spreadsheets: what is read, what is left out, and what is reported."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from asen_tf.data import AnnotationError, read_meta, read_split, read_value_names
from data_prep import catalog
from data_prep.catalog_table import read_catalogue
from data_prep.problems import find_problems

ROWS = 60
COLOURS = ("red", "blue", "green")


def pictures(raw: Path, rows: int = ROWS) -> Path:
    raw.mkdir()
    for number in range(rows):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(raw / f"{number}.png")
    return raw


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def cells(path: Path) -> list[dict[str, str]]:
    return [{"image": row.image, **row.cells} for row in read_catalogue(path)[0]]


# === CSV as Excel and pandas write it ===


@pytest.mark.parametrize(
    "text",
    [
        "image;hue\na.png;red\nb.png;blue\n",
        "sep=;\r\nimage;hue\r\na.png;red\r\nb.png;blue\r\n",
        "\ufeffsep=,\nimage,hue\na.png,red\nb.png,blue\n",
        "image,hue,,\na.png,red,,\nb.png,blue,,\n,,,\n",  # empty trailing columns and rows
        "image,hue\na.png,red,,,\nb.png,blue,\n",
        ",image,hue\n0,a.png,red\n1,b.png,blue\n",  # with an index
        "image,\u200bhue\na.png,\xa0red\u200b\nb.png,blue\xa0\n",
        "image\thue\na.png\tred\nb.png\tblue\n",
    ],
)
def test_the_same_table_in_many_dresses(tmp_path: Path, text: str) -> None:
    expected = [{"image": "a.png", "hue": "red"}, {"image": "b.png", "hue": "blue"}]
    assert cells(written(tmp_path / "shop.csv", text)) == expected


def test_a_quoted_header_and_line_breaks_in_cells(tmp_path: Path) -> None:
    text = '"image";"colour, shade, or tone";"neck\nline"\na.png;"dark\nred";"V, deep"\n'
    (row,) = cells(written(tmp_path / "shop.csv", text))
    assert row == {
        "image": "a.png",
        "colour, shade, or tone": "dark red",
        "neck line": "V, deep",
    }
    broken = written(tmp_path / "shop.csv", text + "b.png;x\n")
    with pytest.raises(AnnotationError, match=r"shop.csv:5: a row must have 3 cells"):
        read_catalogue(broken)


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    table = pd.DataFrame({"image": ["a.png", "b.png"], "hue": ['"red"', None], "size": [1.5, None]})
    table.to_csv(tmp_path / "shop.csv", na_rep="nan")
    expected = [
        {"image": "a.png", "hue": '"red"', "size": "1.5"},
        {"image": "b.png", "hue": "", "size": ""},
    ]
    assert cells(tmp_path / "shop.csv") == expected


def test_missing_markers_are_missing_and_counted(tmp_path: Path) -> None:
    markers = ["nan", "NaN", "None", "N/A", "NA", "null", "-", "–"]
    lines = "".join(f"{number}.png,{marker}\n" for number, marker in enumerate(markers))
    rows, notes = read_catalogue(written(tmp_path / "shop.csv", f"image,hue\n{lines}x.png,nah\n"))
    assert [row.cells["hue"] for row in rows] == [""] * len(markers) + ["nah"]
    assert "1 cells 'N/A' count as not labelled" in notes and len(notes) == len(markers)


@pytest.mark.parametrize("data", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1"])
def test_a_spreadsheet_is_refused_in_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "shop.xlsx").write_bytes(data)
    with pytest.raises(AnnotationError, match='shop.xlsx:1: .* save it as "CSV UTF-8'):
        read_catalogue(tmp_path / "shop.xlsx")


def test_values_that_look_alike_get_a_note(tmp_path: Path) -> None:
    hues = ("red", "Red", "blue")
    lines = "".join(f"{number}.png,{hues[number % 3]}\n" for number in range(ROWS))
    path = written(tmp_path / "shop.csv", f"image,hue\n{lines}")
    report = catalog.prepare(
        pictures(tmp_path / "raw"), tmp_path / "data", table=path, dataset="Shop"
    )
    assert "hue has values that look alike: 'Red', 'red'" in str(report)
    assert sorted(read_value_names(tmp_path / "data", "Shop")["hue"]) == ["Red", "blue", "red"]


# === A shop's own table ===


def shop(path: Path) -> Path:
    """Write a table whose columns are mostly no attributes."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(
            ["", "id", "title", "image", "price", "colour", "brand", "description", "shoe size"]
        )
        for number in range(ROWS):
            table.writerow(
                [
                    number,
                    f"SKU{number:05d}",
                    f"Dress no. {number}",
                    f"{number}.png",
                    f"{10 + number % 12}.99",
                    COLOURS[number % 3],
                    f"brand {number % 20}",
                    f"{'A dress to wear. ' * 5}{number % 15}",
                    f"{36 + number % 11 / 2:g}",
                ]
            )
    return path


def made(tmp_path: Path, **options: object) -> tuple[str, tuple[str, ...]]:
    """Prepare the shop; return the report and the names of the attributes."""
    raw = tmp_path / "raw" if (tmp_path / "raw").exists() else pictures(tmp_path / "raw")
    path, data = shop(tmp_path / "shop.csv"), tmp_path / "data"
    report = catalog.prepare(raw, data, table=path, dataset="Shop", **options)
    return str(report), read_meta(data, "Shop").names


def test_columns_that_name_rows_are_left_out_and_listed(tmp_path: Path) -> None:
    report, names = made(tmp_path)
    assert names == ("colour", "brand", "shoe_size")
    for line in (
        "column 'id' is left out: it names single images: 60 values in 60 rows",
        "column 'title' is left out: it names single images: 60 values in 60 rows",
        "column 'price' is left out: its values are prices",
        "column 'description' is left out: it is free text",
    ):
        assert line in report
    train = read_split(tmp_path / "data", "Shop", "train")
    assert not [p for p in find_problems(train) if p.stops_training]


def test_attributes_can_be_chosen_by_anyone(tmp_path: Path, capsys) -> None:
    report, names = made(tmp_path, attributes="brand, price")
    assert (
        names == ("brand", "price") and "column 'colour' is left out: it was not chosen" in report
    )
    options = ["--raw", str(tmp_path / "raw"), "--csv", str(tmp_path / "shop.csv")]
    options += ["--out", str(tmp_path / "data"), "--dataset", "Shop"]
    assert catalog.main([*options, "--attributes", "color"]) == 2
    assert "got 'color'; did you mean 'colour'?" in capsys.readouterr().err
    assert catalog.main([*options, "--attributes", "colour"]) == 0
    assert read_meta(tmp_path / "data", "Shop").names == ("colour",)


def test_every_remedy_for_too_many_values_works(tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError,
        match="may have 15 values.*got 'brand: 20'; choose other columns with --attributes, "
        "raise --max-values, or fold the rarest values into 'other' with --fold-rare",
    ):
        made(tmp_path, max_values=15)
    assert made(tmp_path, max_values=15, attributes="colour")[1] == ("colour",)
    assert "brand" in made(tmp_path, max_values=20)[1]
    report, _ = made(tmp_path, max_values=15, fold=True)
    names = read_value_names(tmp_path / "data", "Shop")
    assert len(names["brand"]) == 15 and names["brand"][-1] == "other"
    assert "brand: the 6 rarest values are folded into 'other'" in report
    assert names["colour"] == sorted(COLOURS)


def test_what_is_folded_is_the_rarest(tmp_path: Path) -> None:
    hues = ["red"] * 30 + ["blue"] * 20 + ["teal"] * 6 + ["plum"] * 3 + ["other"]
    lines = "".join(f"{number}.png,{hue}\n" for number, hue in enumerate(hues))
    path, data = written(tmp_path / "shop.csv", f"image,hue\n{lines}"), tmp_path / "data"
    raw = pictures(tmp_path / "raw")
    catalog.prepare(raw, data, table=path, dataset="Shop", max_values=3, fold=True)
    names = read_value_names(data, "Shop")["hue"]
    assert names == ["blue", "other", "red"]
    counts = dict.fromkeys(names, 0)
    for split in ("train", "valid", "test"):
        for _, _, value in read_split(data, "Shop", split).labels.tolist():
            counts[names[value]] += 1
    assert counts == {"red": 30, "blue": 20, "other": 10}


def test_a_table_without_attributes_says_what_each_column_is(tmp_path: Path) -> None:
    lines = "".join(f"{number}.png,SKU{number},new\n" for number in range(ROWS))
    path = written(tmp_path / "shop.csv", f"image,sku,state\n{lines}")
    raw, data = pictures(tmp_path / "raw"), tmp_path / "data"
    with pytest.raises(AnnotationError) as caught:
        catalog.prepare(raw, data, table=path, dataset="Shop")
    message = str(caught.value)
    assert "'sku' (it names single images" in message and "'state' (it has fewer than" in message
    catalog.prepare(raw, data, table=path, dataset="Shop", attributes="sku")  # the second remedy
    lines = "".join(f"{number}.png,SKU{number},{number % 2}\n" for number in range(ROWS))
    path = written(tmp_path / "shop.csv", f"image,sku,state\n{lines}")  # the first
    catalog.prepare(raw, data, table=path, dataset="Shop")
    assert read_meta(data, "Shop").names == ("state",)


def column(tmp_path: Path, title: str, values: list[str]) -> tuple[tuple[str, ...], str]:
    """Prepare a table of colours and one more column; return the attributes and the report."""
    cells = [values[number % len(values)] for number in range(ROWS)]
    lines = [f'{n}.png;{COLOURS[n % 3]};"{cell}"' for n, cell in enumerate(cells)]
    path = written(tmp_path / "shop.csv", "\n".join([f'image;colour;"{title}"', *lines]))
    raw = tmp_path / "raw" if (tmp_path / "raw").exists() else pictures(tmp_path / "raw")
    report = catalog.prepare(raw, tmp_path / "data", table=path, dataset="Shop")
    return read_meta(tmp_path / "data", "Shop").names, str(report)


SIZES = [str(size) for size in range(36, 45)]


def test_prices_and_numbers_of_products_are_no_attributes_however_few(tmp_path: Path) -> None:
    left_out = {
        "price": ["49", "59", "69"],
        "Preis (EUR)": ["49.9", "59", "1.299,00"],
        "Verkaufspreis": SIZES,  # numbers like sizes: the header decides
        "amount": ["EUR 49,90", "49,90 EUR", "CHF 1'299.00", "49 €", "$5"],
        "now": ["49,-", "59,-"],
        "cost": ["12,50", "13,-"],
        "precio": ["49", "59"],
    }
    for title, values in left_out.items():
        names, report = column(tmp_path, title, values)
        assert names == ("colour",), title
        assert f"column {title!r} is left out: its values are prices" in report
    for title in ("sku", "EAN", "id", "Product ID", "Title", "Artikelnummer"):
        names, report = column(tmp_path, title, ["a1", "a2", "a3"])
        assert names == ("colour",), title
        assert f"column {title!r} is left out: its header says that it names products" in report


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("shoe size", SIZES),
        ("heel", ["2.5", "5.0", "7.5"]),
        ("price range", ["1", "2", "3"]),
        ("price", ["low", "high"]),
        ("brand id", ["7", "8"]),
        ("number of buttons", ["0", "2", "4"]),
        ("size", ["US 8", "US 9"]),
    ],
)
def test_attributes_of_few_numbers_stay(tmp_path: Path, title: str, values: list[str]) -> None:
    assert column(tmp_path, title, values)[0] == ("colour", title.replace(" ", "_"))


# What is wrong with a table: its header and cell, what the message says, and the remedies: another
# header, another cell, or further options.
LONG = "very " * 250 + "long"
REMEDIES = {
    "a long value": (
        "image,hue,more",
        (LONG, "short"),
        "at most 1000 characters.*shorten it, or choose other columns with --attributes",
        [("image,hue,more", ("long", "short"), {}), ("", (), {"attributes": "hue"})],
    ),
    "equal names": (
        "image,Neck line,neck-line",
        ("V", "round"),
        "distinct names.*rename a column, or choose others with --attributes",
        [("image,Neck line,collar", (), {}), ("", (), {"attributes": "Neck line"})],
    ),
    "no name but marks": (
        "image,hue,!?",
        ("V", "round"),
        "of letters or digits.*rename a column, or choose others with --attributes",
        [("image,hue,collar", (), {}), ("", (), {"attributes": "hue"})],
    ),
    "the same name": (
        "image,hue,hue",
        ("V", "round"),
        "distinct names.*name the column of image paths `image`, and no two columns alike",
        [("image,hue,collar", (), {})],
    ),
    "no name": (
        "image,hue,",
        ("V", "round"),
        "a column with values must have a name.*name it in the header, or remove it",
        [("image,hue,collar", (), {}), ("image,hue,", ("", ""), {})],
    ),
}


@pytest.mark.parametrize("fault", REMEDIES)
def test_every_remedy_that_a_message_names_works(tmp_path: Path, fault: str) -> None:
    head, cells, message, remedies = REMEDIES[fault]
    raw, data = pictures(tmp_path / "raw"), tmp_path / "data"

    def prepared(head: str, cells: tuple[str, ...], **options: str) -> tuple[str, ...]:
        rows = [f"{number}.png,{COLOURS[number % 3]},{cells[number % 2]}" for number in range(ROWS)]
        path = written(tmp_path / "shop.csv", "\n".join([head, *rows]))
        catalog.prepare(raw, data, table=path, dataset="Shop", **options)
        return read_meta(data, "Shop").names

    with pytest.raises(AnnotationError, match=message):
        prepared(head, cells)
    for other_head, other_cells, options in remedies:
        names = prepared(other_head or head, other_cells or cells, **options)
        assert len(names) == (1 if options or other_cells == ("", "") else 2)
