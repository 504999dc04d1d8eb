"""A study of one's own data: from a table and images to tables, a report, and what is next."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image, ImageDraw
from study_process import run_study

from asen_apps.commands import main

pytestmark = pytest.mark.slow
COUNT = 60
COLOURS, SLEEVES = ("blue", "red"), ("long", "short")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Draw 60 shirts of two colours and two sleeves, and study them; give folder and output."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    (folder / "images").mkdir()
    lines = ["image;Colour;Sleeve;price"]
    for number in range(COUNT):
        colour, sleeve = COLOURS[number % 2], SLEEVES[number // 2 % 2]
        picture = Image.new("RGB", (64, 64), tuple(rng.integers(180, 255, 3).tolist()))
        draw, left = ImageDraw.Draw(picture), int(rng.integers(12, 20))
        draw.rectangle((left, 12, left + 28, 60), colour)
        draw.rectangle((left - 10, 12, left + 38, 50 if sleeve == "long" else 22), colour)
        picture.save(folder / "images" / f"{number}.png")
        lines.append(f"{number}.png;{colour};{sleeve};{number},90")
    (folder / "shop.csv").write_text("\n".join(lines))
    options = ["dataset=Shop", f"raw={folder / 'images'}", f"table={folder / 'shop.csv'}"]
    done = run_study(folder, *options, "preset=smoke", "rows=features,asen_v2", profile="own")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


def test_both_tables_say_whether_training_was_worth_it(shop: tuple[Path, str]) -> None:
    folder, output = shop
    scores = pd.read_csv(folder / "results" / "Shop" / "map.csv")
    first, second = output.split("(MAP) on the test split, percent\n")[1].split("\n\n")[:2]
    overall = scores[scores["attribute"] == "overall"].set_index("method")["map"].round(2)
    assert set(overall.index) == {"random", "features", "asen_v2"}
    for method, value in overall.items():
        (line,) = (line for line in first.splitlines() if line.startswith(f"{method} "))
        assert float(line.split()[2]) == value  # after method and embedding
    title, head, *lines = second.splitlines()
    assert title == "Beside features without training, by attribute"
    assert head.split() == ["method", "random", "features", "asen_v2"]
    by_name = scores.set_index(["attribute", "method"])["map"].round(2)
    shown = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in lines[1:]}
    assert {"colour", "sleeve"} < set(shown)  # the price names no value
    for name, cells in shown.items():
        assert cells == [by_name[name, method] for method in head.split()[1:]]


def test_the_report_is_there_and_named(shop: tuple[Path, str]) -> None:
    folder, output = shop
    path = folder / "results" / "Shop" / "report.html"
    assert f"report: {path}\n" in output
    page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    assert page.h1.get_text() == "Study Shop" and "failed in this study" not in page.get_text()
    assert {"ASEN_v2", "Features, no training"} <= {cell.get_text() for cell in page.select("th")}


def test_the_commands_that_come_next_are_named_and_work(shop: tuple[Path, str], capsys) -> None:
    folder, output = shop
    after = [line.strip() for line in output.split("Next:\n")[1].splitlines()]
    index, attributes = (
        next(line for line in after if line.startswith(f".venv/bin/asen {name} "))
        for name in ("index", "attributes")
    )
    assert index.endswith("--csv TABLE --images FOLDER --out catalogue")
    assert "make explore STUDY=Shop" in after
    capsys.readouterr()
    assert main(shlex.split(attributes)[1:]) == 0
    assert capsys.readouterr().out.split("  (MAP")[0] == "colour"
    given = {"TABLE": str(folder / "shop.csv"), "FOLDER": str(folder / "images")}
    words = [given.get(word, word) for word in shlex.split(index)[1:-1]]
    assert main([*words, str(folder / "catalogue")]) == 0
    assert f"{COUNT} images, 2 attributes" in capsys.readouterr().out
