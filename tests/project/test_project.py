"""Facts stated in more than one file agree: versions, pins, commands."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import asen_tf
from asen_study.runs import Places
from asen_tf import compatibility

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = [  # torch and playwright are installed by themselves, where they are wanted
    Requirement(line)
    for name, lines in PROJECT["optional-dependencies"].items()
    for line in lines
    if name not in ("torch", "browser")
]
TARGETS = [
    *"help install study photos gallery notebooks explore tune test test-studies test-slow".split(),
    "install-torch",
    *"test-distributed test-browser bench bench-large bench-map fuzz kills test-torch".split(),
    *"lint format lock clean clean-results clean-data".split(),
]


def read_lock(name: str) -> dict[str, str]:
    """Return package -> version; a line that is not an exact pin or a comment is an error."""
    pins = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.lstrip().startswith("#"):
            pin = re.fullmatch(r"([a-z0-9][a-z0-9-]*)==([a-zA-Z0-9.+!]+)", line)
            assert pin, f"{name}: not an exact pin: {line!r}; write the lock with `make lock`"
            assert pin[1] not in pins, f"{name}: {pin[1]} is there twice"
            pins[pin[1]] = pin[2]
    return pins


LOCK = read_lock("requirements.lock")
DEV_LOCK = read_lock("requirements-dev.lock")


@pytest.mark.parametrize(
    ("requirement", "lock"),
    [(r, LOCK) for r in RUNTIME] + [(r, DEV_LOCK) for r in RUNTIME + EXTRAS],
    ids=str,
)
def test_the_locks_hold_what_the_project_requires(
    requirement: Requirement, lock: dict[str, str]
) -> None:
    version = lock.get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement} is in no lock: run `make lock`"
    assert requirement.specifier.contains(version), f"{requirement}, locked {version}: `make lock`"


def test_the_development_lock_is_the_runtime_lock_and_more() -> None:
    assert DEV_LOCK.items() > LOCK.items()


def test_the_version_check_names_the_locked_versions() -> None:
    assert LOCK["keras"].rsplit(".", 1)[0] == compatibility.KERAS
    assert LOCK["tensorflow"].rsplit(".", 1)[0] == compatibility.TENSORFLOW
    python = SpecifierSet(PROJECT["requires-python"])
    allowed = [(3, minor) for minor in range(20) if python.contains(f"3.{minor}.7")]
    assert allowed == [compatibility.PYTHON]


def test_the_conda_environment_adds_no_pins_of_its_own() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *from_conda, from_pip = environment["dependencies"]
    assert from_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert from_conda[:2] == ["python=" + ".".join(map(str, compatibility.PYTHON)), "pip"]
    assert not set(from_conda) & set(LOCK), "conda and pip would install the same package"
    assert not [package for package in from_conda[1:] if "=" in package]


def test_the_environment_is_the_locked_one() -> None:
    installed = {name: compatibility.installed_version(name) for name in DEV_LOCK}
    other = {name for name, version in installed.items() if version not in (None, DEV_LOCK[name])}
    assert not other, f"installed is another version of {other}: run `make install`"
    assert {installed[name] for name in ("tensorflow", "keras", "numpy")}.isdisjoint({None})


@pytest.mark.parametrize("package", DEV_LOCK)
def test_the_locked_packages_take_every_python_3_11(package: str) -> None:
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    python = SpecifierSet(metadata["Requires-Python"] or "")
    assert python.contains("3.11.0"), f"needs {python}: hold it back in pyproject.toml"


def test_the_project_has_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["dynamic"] == ["version"]
    assert citation["version"] == asen_tf.__version__
    assert PROJECT["license"] == citation["license"] == "Apache-2.0"
    papers = [paper["identifiers"][0]["value"] for paper in citation["references"]]
    assert papers == ["arXiv:2104.02429", "arXiv:2002.02814"]


def test_the_hooks_run_the_locked_tools() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (source,) = config["repos"]
    assert source["repo"] == "local"
    tools = {hook["entry"].split()[0] for hook in source["hooks"]}
    assert tools == {".venv/bin/ruff", ".venv/bin/nbstripout"}
    assert {"ruff", "nbstripout"} < DEV_LOCK.keys()


def run_make(
    *arguments: str, folder: Path = ROOT, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run make as a person does, even when a make is what runs the tests."""
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
    )


def test_make_says_what_it_can_do() -> None:
    lines = run_make().stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("  make ")] == TARGETS
    assert max(map(len, lines)) <= 80 and lines[0].endswith("list these commands")
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None and sorted(phony[1].split()) == sorted(TARGETS)


def test_make_study_runs_the_profile_named() -> None:
    text = run_make("--dry-run", "study", "PROFILE=smoke").stdout
    doit = ".venv/bin/python -m doit -f dodo.py run"
    assert text.splitlines()[-1] == f"{doit} -n 2 -P thread smoke jobs=2"


def test_make_study_makes_the_ablations_after_what_they_are_parts_of() -> None:
    text = run_make("--dry-run", "study", "PROFILE=ablations").stdout
    assert text.splitlines()[-1].endswith("-P thread ablations parts jobs=2")


def test_make_study_trains_as_many_methods_side_by_side_as_asked() -> None:
    text = run_make("--dry-run", "study", "JOBS=1").stdout
    assert text.splitlines()[-1].endswith("run -n 1 -P thread quick jobs=1")


def test_make_study_passes_on_what_your_own_data_need() -> None:
    text = run_make("--dry-run", "study", "DATASET=Shop", "RAW=a", "PRESET=whole.json").stdout
    options = 'own jobs=2 dataset="Shop" raw="a" preset="whole.json"'
    assert text.splitlines()[-1].endswith(f"-P thread {options}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["study", "PROFILE=ablation"], "PROFILE is one of quick ablations parts "),
        (["study", "PROFILE=quick smoke"], "got 'quick smoke'"),
        (["study", "RAW=IMAGES", "CSV=shop.csv"], "which DATASET names: make study DATASET=Shop"),
        (["study", "PROFILE=photos", "RAW=a", "PRESET=photos"], "which DATASET names"),
        (["study", "PROFILE=own"], "your own data; name it: make study DATASET=NAME"),
        (["study", "JOBS=two"], "JOBS is .*a number from 1; got 'two'"),
        (["photos", "JOBS=0"], "JOBS is .*got '0'"),
        (["tune", "JOBS=-1"], "JOBS is .*got '-1'"),
        (["explore", "STUDY=nostudy"], "no study 'nostudy' in results/runs/; there are: mine"),
        (["photos", "RAW=nowhere"], "RAW: there is no folder nowhere"),
    ],
)
def test_make_refuses_a_wrong_option_before_it_starts_anything(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    for name in ("Makefile", "dodo.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "results" / "runs" / "mine").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    for name in (".made", ".installed"):  # as if it were installed
        (tmp_path / ".venv" / name).touch()
    done = run_make(*arguments, folder=tmp_path)
    assert done.returncode == 2 and re.search(says, done.stdout + done.stderr)
    assert "doit" not in done.stdout + done.stderr


def test_cleaning_keeps_results_until_they_are_given_up(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("asen_tf", "asen_study", "asen_apps", "data_prep", "tests", "notebooks"):
        (tmp_path / name / "__pycache__").mkdir(parents=True)
    places = ("results/runs/mine", "results/quick")
    mine, shipped = (tmp_path / place / "map.csv" for place in places)
    for path in (mine, shipped):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 300_000)
    assert run_make("clean", folder=tmp_path).returncode == 0
    assert mine.exists() and shipped.exists() and not list(tmp_path.rglob("__pycache__"))
    for typed in ("", "\n", "y\n", "no\n"):
        said = run_make("clean-results", folder=tmp_path, typed=typed).stdout
        assert re.search(r"29\d|3\d\dK\s+mine", said) and "Nothing was removed." in said
        assert mine.exists()
    assert "Removed." in run_make("clean-results", folder=tmp_path, typed="yes\n").stdout
    assert not mine.exists() and shipped.exists()
    assert run_make("clean-results", folder=tmp_path).stdout == "results/runs/ holds nothing.\n"


def test_a_study_writes_only_what_git_ignores() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    made = [f"results/runs/quick/{name}" for name in ("map.csv", "figures/map.png")]
    made += ["data/meta.json", ".doit.db"]
    done = subprocess.run(["git", "check-ignore", *made], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == made
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        places = re.findall(r'"results_dir: str = ([^#]*?) *#', path.read_text(encoding="utf-8"))
        assert places in ([], ['\\"results/runs\\"']), path
    for command in ("study", "photos", "explore", "tune"):  # none of them says otherwise
        recipe = re.search(rf"^{command}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
        assert recipe is not None and "results" not in recipe[1].replace("results/runs", "")
    assert Places().results_dir == "results/runs"


def test_make_refuses_another_python(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    process = run_make("test", "PYTHON=no-such-python", folder=tmp_path)
    assert process.returncode == 2
    assert "no-such-python is not a Python 3.11" in process.stdout
    assert "make test PYTHON=/path/to/python3.11" in process.stdout
    assert not (tmp_path / ".venv").exists()


def test_without_python_3_11_uv_makes_the_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    tools = tmp_path / "tools"  # nothing else is found: no python3.11, wherever it may be
    tools.mkdir()
    for name in ("make", "sed", "grep", "touch", "mkdir"):
        (tools / name).symlink_to(shutil.which(name))
    environment = {"PATH": str(tools)}
    command = [str(tools / "make"), ".venv/.made"]
    say = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    without = subprocess.run(command, **say)
    assert without.returncode == 2 and "Install Python 3.11" in without.stdout
    assert "uv (https://docs.astral.sh/uv/)" in without.stdout
    (tools / "uv").write_text('#!/bin/sh\nmkdir .venv\necho "uv $*"\n')
    (tools / "uv").chmod(0o755)
    told = subprocess.run([*command, "PYTHON=other"], **say)  # who names one gets that or none
    assert told.returncode == 2 and "other is not a Python 3.11" in told.stdout
    done = subprocess.run(command, **say)
    assert done.returncode == 0, done.stderr
    assert "uv venv --seed --python 3.11 .venv" in done.stdout
    assert (tmp_path / ".venv" / ".made").exists()


def test_the_image_is_built_from_the_lock() -> None:
    steps = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line[:1] not in "#"]
    python = ".".join(map(str, compatibility.PYTHON))
    assert f"FROM python:{python}-slim" in steps[0]
    assert any("make .venv/.installed" in step for step in steps)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "data", "results/runs"} <= set(ignored)


def test_ci_runs_lint_and_the_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert script[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in script
    tests = [f"make test{kind}" for kind in ("", "-studies", "-torch", "-distributed", "-browser")]
    assert script[-6:] == ["make lint", *tests]


@pytest.mark.parametrize("extra", ["torch", "browser"])
def test_the_makefile_installs_the_versions_that_the_project_names(extra: str) -> None:
    (requirement,) = PROJECT["optional-dependencies"][extra]
    assert f" {requirement}\n" in (ROOT / "Makefile").read_text()
