"""The architecture as a test: which module may import which. New modules get their place here."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Floors, the lowest first, each with its rooms in order: a floor imports only from floors below,
# a room only from itself and from rooms of rows before its own. A file beside rooms is a room.
FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "asen_tf": (
        ("compatibility", "config", "files"),
        ("layers", "losses", "presets"),
        ("backbones",),
        ("models",),
        ("data",),
        ("evaluation",),
        ("training", "weights"),
        ("embedder",),
    ),
    "asen_study": (
        ("comparison", "evaluation", "matrix", "provenance", "voting"),
        ("profiles", "runs"),
        ("production", "records", "starts"),
        ("experiment",),
        ("measurement",),
        ("figures", "findings", "notebook", "pipeline", "tables"),
        ("cells", "executed", "tuning"),
        ("report",),
        ("schedule",),
    ),
    "asen_apps": (
        ("search",),
        ("evidence", "rerank"),
        ("explorer",),
        ("commands",),
    ),
}
PLACE = {
    f"{floor}.{room}": (storey, rank)
    for storey, (floor, rows) in enumerate(FLOORS.items())
    for rank, row in enumerate(rows)
    for room in row
}
LOWEST = ("asen_tf.compatibility", "asen_tf.config", "asen_tf.files", "asen_tf.presets")
WITHOUT_TENSORFLOW = (
    *LOWEST,
    *("asen_tf.data", "asen_tf.evaluation", "asen_tf.evaluation.intervals"),
    *("asen_study.matrix", "asen_study.provenance"),
)

# TensorFlow Addons is at its end of life: each use is named here, so that none creeps in.
USES_OF_ADDONS = {
    "asen_tf.training.optimizers": "MultiOptimizer: learning rates per group",
    "asen_tf.losses": "losses of metric learning, for the triplet network",
}


@cache
def modules() -> dict[str, Path]:
    """Return every module of the floors and of data_prep by its dotted name."""
    found = {}
    for package in (*FLOORS, "data_prep"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: frozenset[str]) -> set[str]:
    """Return the modules that a file imports, wherever in it; known ones by their full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import absolute"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in known else str(node.module))
    return found


@cache
def imported_by() -> dict[str, set[str]]:
    return {name: imports(path, frozenset(modules())) for name, path in modules().items()}


def room(module: str) -> str:
    """Return the room that a module is in: asen_tf.layers.pixels -> asen_tf.layers."""
    return ".".join(module.split(".")[:2])


def test_imports_are_found(tmp_path: Path) -> None:
    source = "import os.path\nfrom a import b, c\ndef f():\n    from a.b import d\n"
    (tmp_path / "x.py").write_text(source)
    assert imports(tmp_path / "x.py", frozenset({"a", "a.b"})) == {"os.path", "a", "a.b"}


def floor_modules() -> list[str]:
    return [name for name in modules() if name.count(".") and name.split(".")[0] in FLOORS]


@pytest.mark.parametrize("module", floor_modules())
def test_a_module_imports_only_from_floors_below_and_rooms_before(module: str) -> None:
    if module.endswith(".__main__") and module.count(".") == 1:
        return  # the entry point of a package, which imports nothing of the floors
    assert room(module) in PLACE, f"{module} has no room: give {room(module)} its row in FLOORS"
    for other in imported_by()[module]:
        if other.split(".")[0] not in FLOORS or room(other) == room(module):
            assert not other.startswith("data_prep"), f"{module} must not import {other}"
            continue
        assert room(other) in PLACE, f"{other}, imported by {module}, is not a module"
        assert PLACE[room(other)] < PLACE[room(module)], f"{module} must not import {other}"


def test_the_package_itself_imports_the_version_check_only() -> None:
    assert imported_by()["asen_tf"] - sys.stdlib_module_names == {"asen_tf.compatibility"}


def test_data_prep_knows_of_the_method_only_how_its_data_is_read() -> None:
    # Shards hold pixels as the loader makes them; their command calls the loader's own code.
    # The check prints what a random ranking scores, which is a fact of the labels.
    more = {
        "data_prep.pack": {
            *("asen_tf.data.fitting", "asen_tf.data.images", "asen_tf.data.shards"),
        },
        "data_prep.check": {"asen_tf.evaluation.metrics"},
        # One reader for all tables, and one name for each column.
        **dict.fromkeys(("data_prep.catalog", "data_prep.catalog_table"), {"asen_tf.data.tables"}),
        "data_prep.writing": {  # by the rules of the readers
            *("asen_tf.data.parsing", "asen_tf.data.reading", "asen_tf.data.records"),
            "asen_tf.data.regions",
        },
    }
    for module, names in imported_by().items():
        if module.startswith("data_prep"):
            foreign = {name for name in names if name.split(".")[0] in FLOORS}
            allowed = {"asen_tf.config", "asen_tf.data", "asen_tf.files"} | more.get(module, set())
            assert foreign <= allowed, f"{module} imports {foreign}"


def test_there_are_no_import_cycles() -> None:
    TopologicalSorter(imported_by()).prepare()  # raises CycleError, which names the cycle


def test_the_lowest_layers_use_the_standard_library_and_numpy() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "asen_tf"}
    for module in LOWEST:
        foreign = {name.split(".")[0] for name in imported_by()[module]} - allowed
        assert not foreign, f"{module} must not import {foreign}"


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_what_reads_data_and_measures_loads_neither_tensorflow_nor_scipy(name: str) -> None:
    code = f"import sys, {name}; print({{'tensorflow', 'keras', 'scipy'}} & {{*sys.modules}})"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "set()"


def test_tensorflow_addons_is_used_where_the_table_says() -> None:
    users = {
        module
        for module, names in imported_by().items()
        if any(name.split(".")[0] == "tensorflow_addons" for name in names)
    }
    assert users == set(USES_OF_ADDONS)


def test_files_are_named_for_what_they_do() -> None:
    files = [*modules().values(), *(ROOT / "tests").rglob("*.py"), *ROOT.glob("*.py")]
    assert not [path for path in files if path.stem in {"utils", "util", "helpers", "common"}]
