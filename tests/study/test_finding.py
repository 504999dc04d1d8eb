"""What a study says first: its finding, worked out by hand, and the opening of its report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from asen_study.report import finding, whether_it_pays, write

KEPT = Path(__file__).parents[2] / "results" / "quick"

SCORES = "method,embedding,seed,attribute,map\n"
PAIRS = "method_a,method_b,attribute,difference,ci_low,ci_high\n"
RANDOM = "random,-,0,overall,20\n"
ASEN_V2 = "asen_v2,global,0,overall,50\nasen_v2,global,1,overall,54\nasen_v2,global,0,macro,99\n"
ASEN_PP = "asen_pp,global,0,overall,90\nasen_pp,fused,0,overall,{}\n"


@pytest.mark.parametrize(
    ("scores", "pairs", "said"),
    [
        (  # the mean over seeds, the last embedding; "macro" plays no part
            RANDOM + ASEN_V2 + ASEN_PP.format(55),
            "asen_pp,asen_v2,macro,1,8,9\nasen_pp,asen_v2,overall,3,0.5,5.5\n",
            "ASEN++ is ahead with 55.0 overall, 35.0 above a random ranking and 3.0 above ASEN_v2 "
            "(95% interval 0.5 to 5.5; significant).",
        ),
        (  # the pair stands the other way round in the table
            RANDOM + ASEN_V2 + ASEN_PP.format(51),
            "asen_pp,asen_v2,overall,-1,-3,1\n",
            "ASEN_v2 is ahead with 52.0 overall, 32.0 above a random ranking and 1.0 above ASEN++ "
            "(95% interval -1.0 to 3.0; open: it may be chance).",
        ),
        (
            RANDOM + ASEN_V2 + ASEN_PP.format(51),
            None,
            "ASEN_v2 is ahead with 52.0 overall, 32.0 above a random ranking and 1.0 above "
            "ASEN++, of which no interval is known.",
        ),
        (
            RANDOM + ASEN_V2,
            "asen_v2,random,overall,32,30,34\n",
            "ASEN_v2 is ahead with 52.0 overall, 32.0 above a random ranking; there is no other "
            "method to compare.",
        ),
        (RANDOM, None, "Only the random ranking is there: nothing was trained."),
    ],
)
def test_it_names_the_method_ahead_and_how_sure_that_is(
    tmp_path: Path, scores: str, pairs: str | None, said: str
) -> None:
    (tmp_path / "map.csv").write_text(SCORES + scores)
    if pairs is not None:
        (tmp_path / "pairs.csv").write_text(PAIRS + pairs)
    assert finding(tmp_path) == said


def pairs(row: str, *gaps: tuple[str, float, float, float]) -> pd.DataFrame:
    """Return pairs of a row and its controls; overall they differ by half as much."""
    columns = PAIRS.strip().split(",")
    lines = [(row, other, "macro", *numbers) for other, *numbers in gaps]
    lines += [(a, b, "overall", *(x / 2 for x in numbers)) for a, b, _, *numbers in lines]
    return pd.DataFrame(lines, columns=columns)


V2, TWO, WHOLE = "asen_v2", "asen_v2/two_seeds", "asen_pp/whole_frame"


def test_it_pays_if_it_is_above_all_three_with_certainty() -> None:
    found = pairs("asen_pp", (V2, 4, 2, 6), (TWO, 3, 0.5, 5), (WHOLE, 5, 3, 7))
    assert whether_it_pays(found) == (
        "ASEN++ pays: in macro MAP it is above ASEN_v2 (+4.00 points, +2.00 to +6.00; overall "
        "+2.00), ASEN_v2, two seeds fused (+3.00 points, +0.50 to +5.00; overall +1.50), ASEN++, "
        "whole frame instead of region (+5.00 points, +3.00 to +7.00; overall +2.50)."
    )
    other = found.replace({"asen_pp": "asen_pp/adapted"})  # the other form has a control of its own
    assert whether_it_pays(other).startswith("It cannot be said that ASEN++, adapted pays")
    own = other.replace({WHOLE: "asen_pp/adapted_whole_frame"})
    assert whether_it_pays(own).startswith("ASEN++, adapted pays: in macro MAP it is above")
    both = whether_it_pays(pd.concat([found, own]))
    assert both == f"{whether_it_pays(found)} {whether_it_pays(own)}"


@pytest.mark.parametrize(
    ("gaps", "says"),
    [
        # An interval that touches zero does not leave it out.
        ([(V2, 4, 2, 6), (TWO, 3, 0, 5), (WHOLE, 5, 3, 7)], r"open .* to ASEN_v2, two seeds fused"),
        ([(V2, 4, 2, 6), (TWO, 3, 1, 5), (WHOLE, -5, -7, -3)], r"below ASEN\+\+, whole frame"),
        ([(V2, 4, 2, 6), (WHOLE, 5, 3, 7)], r"not measured is ASEN_v2, two seeds fused\.$"),
        ([(V2, 4, float("nan"), float("nan")), (TWO, 3, 1, 5), (WHOLE, 5, 3, 7)], r"to ASEN_v2 \("),
    ],
)
def test_otherwise_it_says_what_is_open(gaps: list, says: str) -> None:
    found = pairs("asen_pp", *gaps)
    for table in (found, found[::-1]):
        said = whether_it_pays(table)
        assert said.startswith("It cannot be said that ASEN++ pays: ") and re.search(says, said)
    assert whether_it_pays(found[found["method_a"] != "asen_pp"]) == ""


def test_the_report_opens_with_the_finding_and_the_table(tmp_path: Path) -> None:
    for name in ("map.csv", "map.md", "pairs.csv", "provenance.json"):
        shutil.copy(KEPT / name, tmp_path)
    cell = nbformat.v4.new_markdown_cell("# 1. Data")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")
    write([tmp_path / "one.ipynb"], tmp_path / "report.html")
    page = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    titles = [title.get_text().strip("\N{PILCROW SIGN}") for title in page.find_all("h1")]
    assert titles == [f"Study {tmp_path.name}", "1. Data"]
    text = page.get_text()
    assert "2026-11-27, 2 cores, Linux" in text and finding(KEPT) in text
    pays = whether_it_pays(pd.read_csv(KEPT / "pairs.csv"))
    assert pays in text and "not measured is ASEN_v2, two seeds fused" in pays
    assert text.index(finding(KEPT)) < text.index(pays) < text.rindex("1. Data")
    rows = page.find("table").find_all("tr")
    assert len(rows) == 8 and rows[-1].find_all("td")[0].get_text() == "ASEN++ fused"
