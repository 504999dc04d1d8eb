"""README.md and docs/: links lead somewhere, commands are commands, and are run by tests."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from small_model import pictures, small_model

from asen_tf.config import ExperimentConfig

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "results" / "README.md"]
START = ("make ", ".venv/bin/", "TF_CONFIG=", "conda ", "docker ")

# What runs a command, by how it starts: a test that does what it does (on small data), or, behind
# "not run", why none does. The longest start that fits counts; every row is needed by some page.
RUN_BY = {
    "make study": "tests/study/test_study.py::test_pipeline_prints_the_table_and_the_paths",
    "make study DATASET": "tests/study/test_own.py::"
    "test_both_tables_say_whether_training_was_worth_it",
    "make study PROFILE=ablations": "tests/study/test_study.py::"
    "test_the_notebook_of_ablations_reads_whatever_rows_there_are",
    "make study PYTHON": "tests/project/test_project.py::test_make_refuses_another_python",
    "make photos": "tests/study/test_photographs.py::"
    "test_every_row_has_every_fold_in_the_seeds_place",
    "make explore": "tests/apps/test_explorer_server.py::"
    "test_the_command_says_what_it_shows_and_what_not",
    "make explore INDEX": "tests/browser/test_catalogue_in_chromium.py::"
    "test_a_shops_day_in_the_browser",
    "make gallery": "tests/study/test_gallery.py::"
    "test_a_finished_study_gives_small_clean_notebooks",
    "make tune": "tests/study/test_tuning_notebook.py::"
    "test_it_ends_with_tables_figures_and_a_verdict",
    "make help": "tests/project/test_project.py::test_make_says_what_it_can_do",
    "make clean": "tests/project/test_project.py::"
    "test_cleaning_keeps_results_until_they_are_given_up",
    "make test": "not run: it is what runs the tests",
    "make lint": "not run: .ci/run runs it before the tests",
    "make install": "not run: it makes the environment that tests run in",
    "make install-torch": "not run: installs PyTorch; .ci/run does it by make test-torch",
    "make notebooks": "not run: it opens JupyterLab; the notebooks are run by papermill",
    "make bench": "not run: it measures for minutes, on a machine that does nothing else",
    "conda ": "not run: conda is not part of the environment; environment.yml is checked",
    "docker ": "not run: no container can be built inside the tests; the Dockerfile is checked",
    ".venv/bin/pre-commit install": "not run: it would change the repository's hooks",
    ".venv/bin/pip install": "not run: tests install nothing; the lock holds these packages",
    ".venv/bin/asen index": "tests/apps/test_search_command.py::"
    "test_index_writes_what_can_be_used_and_names_the_rest",
    ".venv/bin/asen search": "tests/apps/test_shop.py::"
    "test_search_prints_a_table_that_fits_and_answers_the_conditions",
    ".venv/bin/asen attributes": "tests/apps/test_shop.py::test_attributes_lists_what_may_be_asked",
    ".venv/bin/asen tag": "tests/apps/test_tagging.py::"
    "test_a_catalogue_is_filled_from_the_command_line",
    ".venv/bin/asen embed": "tests/method/test_embedder.py::"
    "test_the_command_line_writes_vectors_and_tells_of_bad_files",
    ".venv/bin/asen weights": "tests/method/test_first_stage_checkpoint.py::"
    "test_the_command_says_what_it_is",  # without PyTorch
    ".venv/bin/python -m benchmarks.first_answer": "tests/apps/test_search_benchmark.py::"
    "test_a_kept_graph_and_a_server_make_a_search_cheaper",
    ".venv/bin/python -m benchmarks.drawn_squares": "tests/preparation/test_drawn_squares.py::"
    "test_the_command_writes_a_row_for_every_attribute",
    ".venv/bin/python -m asen_study.records": "tests/study/test_kept_runs.py::"
    "test_packing_the_runs_again_gives_the_same_archive",
    ".venv/bin/python -m pytest": "not run: it is what runs the tests",
    ".venv/bin/python -m data_prep.catalog": "tests/preparation/test_small_catalogue.py::"
    "test_a_split_without_queries_is_refused_before_training",
    ".venv/bin/python -m data_prep.check": "tests/preparation/test_check.py::"
    "test_the_command_line_prints_tables_and_sets_the_status",
    ".venv/bin/python -m data_prep.fashionai": "tests/preparation/test_fashionai.py::"
    "test_broken_images_are_named_or_left_out_before_training",
    ".venv/bin/python -m asen_study.tuning": "tests/study/test_tuning_distributed.py::"
    "test_one_of_two_workers_is_killed_and_the_search_still_finishes",
    ".venv/bin/papermill notebooks/03_train.ipynb": "tests/study/test_notebook_parameters.py::"
    "test_a_notebook_finds_the_project_from_everywhere",
    ".venv/bin/papermill notebooks/04_evaluate.ipynb": "tests/study/test_measurement.py::"
    "test_the_run_says_which_file_it_measured_and_how_it_read_the_images",
    ".venv/bin/papermill notebooks/05_results.ipynb": "tests/study/test_photographs.py::"
    "test_every_row_has_every_fold_in_the_seeds_place",
    ".venv/bin/papermill notebooks/06_ablations.ipynb": "tests/study/test_study.py::"
    "test_the_notebook_of_ablations_reads_whatever_rows_there_are",
    ".venv/bin/papermill notebooks/10_tune.ipynb": "tests/study/test_tuning_notebook.py::"
    "test_it_ends_with_tables_figures_and_a_verdict",
    ".venv/bin/papermill notebooks/07_rerank.ipynb": "tests/apps/test_reranking_notebook.py::"
    "test_on_ones_own_catalogue_it_measures_and_draws_each_attribute",
    ".venv/bin/papermill notebooks/08_design_evidence.ipynb": "tests/apps/"
    "test_evidence_notebook.py::test_on_ones_own_catalogue_and_model",
    "TF_CONFIG=": "tests/study/test_multi_worker_writing.py::"
    "test_of_two_notebooks_the_chiefs_alone_keeps_the_figure",
}


class Parsed(BaseException):
    """The command line has been read; the command is not run."""


def commands(page: Path) -> list[str]:
    """Return a page's commands: lines of indented blocks, and calls of make in the text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = text.replace("\\\n", " ")
    lines = [re.sub(r"\s+#.*", "", line[4:]) for line in text.splitlines() if line[:4] == "    "]
    blocks = [" ".join(line.split()) for line in lines if line.lstrip().startswith(START)]
    spans = [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]
    return blocks + [found for found in spans if found.startswith(START)]


COMMANDS = sorted({command for page in PAGES for command in commands(page)})


def row_of(command: str) -> str:
    """Return the row of RUN_BY that is meant."""
    fitting = [start for start in RUN_BY if command.startswith(start)]
    assert fitting, f"{command}: which test runs it? Say so, or why none does, in RUN_BY"
    return max(fitting, key=len)


def anchors(page: Path) -> set[str]:
    """Return what `page#...` may name: each heading as GitHub writes it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", name.lower()).strip().replace(" ", "-") for name in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]:
        if re.match(r"[a-z]+:", target):
            continue  # another site
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists() and file.is_relative_to(ROOT.resolve()), target
        assert not anchor or anchor in anchors(file), f"{target}: no such heading"


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    for page in PAGES[1:]:
        assert f"({page.relative_to(ROOT).as_posix()}" in text, page


def test_the_glossary_is_in_order_and_explains_the_words_of_the_pages() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [word.lower() for word in re.findall("^### (.+)$", text, re.MULTILINE)]
    assert words == sorted(words) and len(words) == len(set(words))
    asked = "batch-all, built-in data, control, exact, fold, fusion weight, linear map, macro, map"
    asked += ", overall, precision@k, random ranking, reached by, recall@k, row, t-sne, whitened"
    assert not set(asked.split(", ")) - set(words)
    pages = "".join(page.read_text(encoding="utf-8") for page in LINKED)
    assert "embedded data" not in pages  # "embedding" is another thing


def test_there_are_commands_to_look_at() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("command", COMMANDS)
def test_the_test_named_for_it_exists_or_it_is_said_why_there_is_none(command: str) -> None:
    runs = RUN_BY[row_of(command)]
    if runs.startswith("not run: "):
        return
    file, _, name = runs.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), runs


def test_the_python_of_the_pages_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "results/runs/quick/asen_pp-seed0-0"
    run.mkdir(parents=True)
    small_model(("neckline_design", "sleeve_length")).save(run / "model.keras")
    for name, pixels in zip(("photo.jpg", "a.jpg", "b.jpg"), pictures(3), strict=True):
        Image.fromarray(pixels).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    held = {"paths": ["a.jpg", "b.jpg"], "metadata": [{"brand": "Acme"}, {"brand": "Other"}]}
    blocks = {
        page.name: found
        for page in PAGES
        if (found := re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
    }
    assert {name: len(found) for name, found in blocks.items()} == {
        **{"README.md": 1, "checkpoints.md": 1, "search.md": 1}
    }
    for found in blocks.values():  # the README's comes first, and makes the embedder
        exec(found[0].replace("seed0-...", "seed0-0"), held)
    assert [hit.image.name for hit in held["hits"]] == ["a.jpg"]  # the one of that brand
    assert np.linalg.norm(held["vector"]) == pytest.approx(1.0, abs=1e-5)
    assert held["vectors"].shape[:2] == (2, 2) and (tmp_path / "catalogue").is_dir()


def test_no_row_is_left_over() -> None:
    assert {row_of(command) for command in COMMANDS} == set(RUN_BY)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("make ")])
def test_make_knows_it(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in command.split()[1:]:
        if "=" in word:
            assert f"$({word.partition('=')[0]})" in makefile, word
        else:
            assert re.search(rf"^{word}:", makefile, re.MULTILINE), word


@pytest.mark.parametrize("command", [one for one in COMMANDS if "bin/papermill " in one])
def test_the_notebook_has_these_parameters(command: str) -> None:
    words = shlex.split(command[command.index(".venv") :])
    cells = nbformat.read(ROOT / words[1], as_version=4).cells
    listed = "".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ()))
    known = {*re.findall(r"^(\w+):", listed, re.MULTILINE), *ExperimentConfig().to_dict()}
    given = [words[place + 1] for place, word in enumerate(words) if word in ("-p", "-y")]
    assert words[2].endswith(".ipynb")
    assert {name.partition(":")[0] for name in given} <= known


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if re.match(r"\.venv/bin/(asen|python -m (?!pytest))", one)]
)
def test_the_command_has_these_options(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, seen = shlex.split(command), {}
    asked = words[3:] if words[1] == "-m" else words[1:]
    module = words[2] if words[1] == "-m" else "asen_apps.commands"
    module += ".__main__" if (ROOT / module.replace(".", "/")).is_dir() else ""

    def parsed(parser: argparse.ArgumentParser, arguments=None, namespace=None) -> None:
        monkeypatch.undo()
        seen["rest"] = parser.parse_known_args(asked)[1]
        raise Parsed

    for name in ("parse_args", "parse_known_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, parsed)
    with pytest.raises(Parsed):
        importlib.import_module(module).main(asked)
    assert seen["rest"] == []
