"""What a study says first: its finding, worked out by hand, and the opening of its report."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from asen_study.findings import finding, pays, show, whether_it_pays
from asen_study.report import write

KEPT = Path(__file__).parents[2] / "results" / "quick"

SCORES = "method,embedding,seed,attribute,map\n"
PAIRS = "method_a,method_b,attribute,difference,ci_low,ci_high\n"
AHEAD = "is ahead with a mean average precision (MAP)"
RANDOM = "random,-,0,overall,20\n"
ASEN_V2 = "asen_v2,global,0,overall,50\nasen_v2,global,1,overall,54\nasen_v2,global,0,macro,99\n"
FEATURES = "features,global,0,overall,{}\nfeatures,global,1,overall,{}\n"
ASEN_PP = "asen_pp,global,0,overall,90\nasen_pp,fused,0,overall,{}\n"


def test_beside_features_stand_means_of_what_a_method_retrieves_with(
    tmp_path: Path, capsys
) -> None:
    lines = RANDOM + FEATURES.format(44, 40) + ASEN_V2 + ASEN_PP.format(55)
    (tmp_path / "map.csv").write_text(SCORES + lines)
    (tmp_path / "provenance.json").write_text(json.dumps({"runs": [], "settings": {}}))
    show(tmp_path)
    _, beside = capsys.readouterr().out.split("Beside features without training, by attribute\n")
    head, _, overall, *_ = beside.splitlines()
    shown = dict(zip(head.split()[1:], map(float, overall.split()[1:]), strict=True))
    assert shown == {"random": 20, "features": 42, "asen_v2": 52, "asen_pp": 55}


@pytest.mark.parametrize(
    ("scores", "pairs", "said"),
    [
        (  # the mean over seeds, the last embedding; "macro" plays no part
            RANDOM + ASEN_V2 + ASEN_PP.format(55),
            "asen_pp,asen_v2,macro,1,8,9\nasen_pp,asen_v2,overall,3,0.5,5.5\n",
            f"ASEN++ {AHEAD} of 55.0 overall, 35.0 above a random "
            "ranking and 3.0 above ASEN_v2 (95% interval 0.5 to 5.5; significant).",
        ),
        (  # the pair stands the other way round in the table
            RANDOM + ASEN_V2 + ASEN_PP.format(51),
            "asen_pp,asen_v2,overall,-1,-3,1\n",
            f"ASEN_v2 {AHEAD} of 52.0 overall, 32.0 above a random "
            "ranking and 1.0 above ASEN++ (95% interval -1.0 to 3.0; open: it may be chance).",
        ),
        (
            RANDOM + ASEN_V2 + ASEN_PP.format(51),
            None,
            f"ASEN_v2 {AHEAD} of 52.0 overall, 32.0 above a random "
            "ranking and 1.0 above ASEN++; no interval is available.",
        ),
        (
            RANDOM + ASEN_V2,
            "asen_v2,random,overall,32,30,34\n",
            f"ASEN_v2 {AHEAD} of 52.0 overall, 32.0 above a random "
            "ranking; there is no other method to compare.",
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


DRAWN = "on drawn garments"
V2, TWO, WHOLE = "asen_v2", "asen_v2/two_seeds", "asen_pp/whole_frame"


def test_it_pays_if_it_is_above_all_three_with_certainty() -> None:
    found = pairs("asen_pp", (V2, 4, 2, 6), (TWO, 3, 0.5, 5), (WHOLE, 5, 3, 7))
    assert whether_it_pays(found, on=DRAWN) == (
        "ASEN++ pays on drawn garments: in macro MAP it is above ASEN_v2 (+4.00 points, +2.00 to "
        "+6.00; overall +2.00) and ASEN_v2, two seeds fused (+3.00 points, +0.50 to +5.00; overall "
        "+1.50) and ASEN++, whole frame (+5.00 points, +3.00 to +7.00; overall +2.50)."
    )
    other = found.replace({"asen_pp": "asen_pp/adapted"})  # the other form has a control of its own
    assert whether_it_pays(other, on=DRAWN).startswith(
        "It cannot be said that ASEN++, adapted pays"
    )
    own = other.replace({WHOLE: "asen_pp/adapted_whole_frame"})
    assert whether_it_pays(own, on="on photographs").startswith(
        "ASEN++, adapted pays on photographs: in macro MAP it is above"
    )
    both = whether_it_pays(pd.concat([found, own]), on=DRAWN)
    assert both == " ".join(whether_it_pays(one, on=DRAWN) for one in (found, own))


@pytest.mark.parametrize(
    ("gaps", "says"),
    [
        # An interval that touches zero does not leave it out.
        (
            [(V2, 4, 2, 6), (TWO, 3, 0, 5), (WHOLE, 5, 3, 7)],
            r"from ASEN_v2, two seeds fused \(.*\) is open",
        ),
        ([(V2, 4, 2, 6), (TWO, 3, 1, 5), (WHOLE, -5, -7, -3)], r"below ASEN\+\+, whole frame"),
        ([(V2, 4, 2, 6), (WHOLE, 5, 3, 7)], r"; ASEN_v2, two seeds fused was not measured\.$"),
        (
            [(V2, 4, float("nan"), float("nan")), (TWO, 3, 1, 5), (WHOLE, 5, 3, 7)],
            r"difference from ASEN_v2 \(",
        ),
    ],
)
def test_otherwise_it_says_what_is_open(gaps: list, says: str) -> None:
    found = pairs("asen_pp", *gaps)
    for table in (found, found[::-1]):
        said = whether_it_pays(table, on=DRAWN)
        assert said.startswith(
            "It cannot be said that ASEN++ pays on drawn garments: "
        ) and re.search(says, said)
    assert whether_it_pays(found[found["method_a"] != "asen_pp"], on=DRAWN) == ""


def test_a_study_says_it_of_its_data_and_at_the_end_only_with_all_controls(tmp_path: Path) -> None:
    assert pays(tmp_path) == ""
    complete = pairs("asen_pp", (V2, 4, 2, 6), (TWO, 3, 0.5, 5), (WHOLE, 5, 3, 7))
    lacking = complete[complete["method_b"] != WHOLE].replace("asen_pp", "asen_pp/adapted")
    pd.concat([complete, lacking]).to_csv(tmp_path / "pairs.csv", index=False)
    for dataset, on in (
        ("Garments", "drawn garments"),
        ("ClothingAttributes-{seed}", "photographs"),
    ):
        origin = {"settings": {"dataset": dataset}}
        (tmp_path / "provenance.json").write_text(json.dumps(origin), encoding="utf-8")
        whole, short = pays(tmp_path), pays(tmp_path, measured=True)
        assert short.startswith(f"ASEN++ pays on {on}: ") and whole.startswith(short)
        assert "adapted" in whole and "adapted" not in short
    lacking.to_csv(tmp_path / "pairs.csv", index=False)
    assert pays(tmp_path, measured=True) == ""


def make_runs(study: Path, dataset: str, rows: tuple[str, ...]) -> None:
    """Write what a study tells of its runs, with a model file for each."""
    runs = [{"row": row, "run": f"{row.replace('/', '-')}-seed0"} for row in rows]
    origin = {"settings": {"dataset": dataset}, "runs": runs}
    (study / "provenance.json").write_text(json.dumps(origin))
    for run in runs:
        (study / run["run"]).mkdir()
        (study / run["run"] / "model.keras").touch()


@pytest.mark.parametrize(
    ("rows", "model"),
    [
        (("asen_v2", "asen_pp"), ""),
        (("features", "asen_pp/adapted"), ""),
        (("asen_v2", "csn"), "csn-seed0/model.keras"),  # the better one
    ],
)
def test_a_study_that_holds_a_form_of_asen_pp_stands_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture, rows: tuple[str, ...], model: str
) -> None:
    lines = [f"{row},global,0,overall,{50 + n}" for n, row in enumerate(rows)]
    (tmp_path / "map.csv").write_text(SCORES + "\n".join(lines))
    make_runs(tmp_path, "Shop", rows)
    show(tmp_path)
    assert f"asen index {tmp_path / model} --csv" in capsys.readouterr().out


def test_a_study_of_listed_triplets_shows_their_accuracy_and_its_better_model(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    scores = "csn,global,0,neck,61,60,62,9\ncsn,global,0,overall,71.256,70,72,9\n"
    scores += "asen_v2,global,0,overall,64,63,65,9\n"
    columns = "method,embedding,seed,attribute,accuracy,ci_low,ci_high,triplets\n"
    (tmp_path / "triplets.csv").write_text(columns + scores)
    make_runs(tmp_path, "Zappos50k", ("csn", "asen_v2"))
    show(tmp_path)
    said = capsys.readouterr().out
    assert "Triplets of the test split ranked correctly, percent\n" in said and "(MAP)" not in said
    assert "71.26" in said and "64.00" in said and "61" not in said  # overall, not by attribute
    assert f"table:  {tmp_path / 'triplets.csv'}\n" in said
    assert f"asen index {tmp_path / 'csn-seed0/model.keras'} --csv" in said


def test_details_are_of_asen_pp_and_folds_are_no_seeds(tmp_path: Path) -> None:
    rows = [
        (method, "fused", seed, attribute, value, 1, 99)
        for method, value in (("asen_pp", 30), ("asen_pp/adapted", 50), ("asen_v2/two_seeds", 40))
        for seed in (0, 1)
        for attribute, value in (("neck", value), ("collar", value - 9), ("overall", value))
    ]
    columns = "method embedding seed attribute map ci_low ci_high".split()
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "map.csv", index=False)
    machine = {"cores": 2, "system": "Linux"}
    run = {"created": "2026-01-01", "machine": machine, "commit": "abc"}
    origin = {"settings": {"dataset": "ClothingAttributes-{seed}"}, "runs": [run]}
    (tmp_path / "provenance.json").write_text(json.dumps(origin), encoding="utf-8")
    write([], tmp_path / "report.html")
    text = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert "ASEN++, adapted is best in neck (50.0%)" in text.get_text()
    assert "Data: ClothingAttributes; 2 folds of each method." in text.get_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    """Return the report of the kept study, with notebooks of the data and of two trainings."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("map.csv", "pairs.csv", "provenance.json", "localisation.csv"):
        shutil.copy(KEPT / name, folder)
    shutil.copytree(KEPT / "figures", folder / "figures")
    paths = []
    for name in ("01_prepare_data", "03_train-asen_pp-seed0", "03_train-csn-seed1"):
        told = nbformat.v4.new_output("stream", name="stdout", text=f"epoch 3 of {name}")
        cells = [nbformat.v4.new_markdown_cell(f"# {int(name[:2])}. Title")]
        cells.append(nbformat.v4.new_code_cell("run()", outputs=[told]))
        pixels = base64.b64encode((KEPT / "figures" / "attention.png").read_bytes()).decode()
        shown = nbformat.v4.new_output("display_data", {"image/png": pixels})
        cells += [nbformat.v4.new_code_cell("draw()", outputs=[shown]) for _ in range(2)]
        paths.append(folder / f"{name}.ipynb")
        nbformat.write(nbformat.v4.new_notebook(cells=cells), paths[-1])
    write(paths, folder / "report.html")
    assert sum(path.stat().st_size for path in paths) > 6_000_000
    assert 1_000_000 < (folder / "report.html").stat().st_size < 4_000_000
    return BeautifulSoup((folder / "report.html").read_text(encoding="utf-8"), "html.parser")


def test_the_report_opens_with_the_finding_and_the_table(report: BeautifulSoup) -> None:
    opening, text = report.find("header"), report.find("main").get_text()
    runs = json.loads((KEPT / "provenance.json").read_text(encoding="utf-8"))["runs"]
    made = max(run["created"] for run in runs)[:10]
    assert f"{made}, 2 cores, Linux" in opening.get_text() and "drawn" in opening.get_text()
    (paragraph,) = opening.select("p.findings")
    assert paragraph.get_text().startswith(finding(KEPT))
    assert "ASEN++ fused is best in skirt length (92.2%)" in paragraph.get_text()
    header, *rows = opening.find("table").find_all("tr")
    assert [cell.get_text() for cell in header.find_all("th")][1:3] == ["overall", "macro"]
    assert [row.find("th").get_text() for row in rows][-1] == "ASEN++ fused"
    first = rows[-1].find("td")
    assert first.get_text() == "59.4 (58.0 to 60.7)" and first.find("strong").get_text() == "59.4"
    pictures = report.find("main").find_all("img")
    assert ["MAP" in pictures[0]["alt"], "ttention" in pictures[1]["alt"]] == [True, True]
    assert text.index("What the model looks at") < text.index("3. Title")


def test_details_are_folded_the_data_come_last_and_logs_are_left_out(report: BeautifulSoup) -> None:
    folded = report.find_all("details")
    titles = [part.find("summary").get_text() for part in folded]
    assert titles == ["3. Title: ASEN++, seed 0", "3. Title: CSN, seed 1", "1. Title"]
    assert not any(part.has_attr("open") for part in folded)
    links = [link["href"] for link in report.find("nav").find_all("a")]
    assert links[0] == "#findings" and len(links) == 4
    assert all(report.find(id=link[1:]) for link in links)
    text = report.get_text()
    assert "epoch 3 of 01" in text and "epoch 3 of 03" not in text
