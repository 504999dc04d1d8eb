"""Studies with methods of several datasets: the page offers those of one, and says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import ipywidgets as widgets
import pytest
from bs4 import BeautifulSoup
from explorer_study import describe_run, make

from asen_apps.explorer import App, Explorer
from asen_apps.explorer.methods import explain_left_out, methods_of, split_by_dataset
from asen_study.matrix import settings
from asen_tf.presets import smoke


def study(place: Path, *runs: tuple[str, str]) -> Path:
    """Describe runs, each by its row and dataset."""
    for number, (row, dataset) in enumerate(runs):
        describe_run(place / f"run{number}", settings(row, smoke()).override(dataset=dataset))
    return place


@pytest.mark.parametrize(
    ("runs", "shown", "left_out"),
    [
        ([("triplet", "Garments"), ("asen_pp", "Garments")], ["Triplet network", "ASEN++"], []),
        (
            [("triplet", "Garments"), ("csn", "Garments"), ("asen_pp", "Shop")],
            ["Triplet network", "CSN"],
            ["ASEN++"],
        ),
        ([("triplet", "Garments"), ("asen_pp", "Shop")], ["ASEN++"], ["Triplet network"]),
        ([("asen_pp", "A"), ("asen_pp", "B"), ("csn", "B")], ["CSN", "ASEN++"], ["ASEN++"]),
    ],
    ids=["one", "the one with most methods", "a tie", "the same method twice"],
)
def test_methods_of_one_dataset_are_offered(
    tmp_path: Path, runs: list[tuple[str, str]], shown: list[str], left_out: list[str]
) -> None:
    found, others = split_by_dataset(methods_of(study(tmp_path, *runs)))
    assert [method.label for method in found] == shown
    assert [method.label for method in others] == left_out
    assert len({method.dataset for method in found}) == 1


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    methods = methods_of(study(tmp_path, ("csn", "Shop"), ("asen_pp", "Shop")))
    assert explain_left_out([]) == ""
    assert "another dataset: CSN (Shop), ASEN++ (Shop)." in explain_left_out(methods)


def html_of(widget: widgets.Widget) -> list[str]:
    """Return the texts of a page, from top to bottom."""
    inner = [text for child in getattr(widget, "children", ()) for text in html_of(child)]
    return [widget.value, *inner] if isinstance(widget, widgets.HTML) else inner


def test_a_page_of_two_datasets_offers_what_it_can_search(tmp_path: Path) -> None:
    place, data = make(tmp_path, images=80)
    shutil.copytree(data / "Garments", data / "Shop")  # its data are there, too
    describe_run(place / "shop", settings("csn", smoke()).override(dataset="Shop"))
    app = App(Explorer(place, data, count=3))
    app.update()
    labels = [label for label, _ in app._methods.options]
    assert labels == ["Triplet network", "ASEN++"]
    for _, method in app._methods.options:
        app._methods.value = method
        app.wait()
        assert app.answer.method == method.label
    said = BeautifulSoup("".join(html_of(app.widget)), "html.parser").get_text(" ")
    assert "Not offered, because trained on another dataset: CSN (Shop)." in said
