"""The architecture, as a test: who may import whom. A new module is given its place here."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module or package imports only from rows above its own, and from inside itself.
LAYERS = (
    (
        *("activity", "comparison", "compatibility", "config"),
        *("files", "intervals", "provenance", "ranking"),
    ),
    ("annotations", "matrix", "presets"),
    ("studies",),
    ("checkpoints", "layers", "losses", "metric_losses", "overlays"),
    ("backbones",),
    ("data",),
    ("branches",),
    ("models",),
    ("embedder", "evaluation", "training", "weights"),
    ("results", "retrieval"),
    ("production",),
    ("starts",),
    ("experiment", "measurement", "reranking"),
    ("figures", "notebook", "pipeline", "report", "tables", "tuning"),
    ("cells", "evidence"),
    ("explorer", "__main__"),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
WITHOUT_TENSORFLOW = (*LAYERS[0], *LAYERS[1], *LAYERS[2])

# TensorFlow Addons is at its end of life: each use is named here, so that none creeps in.
USES_OF_ADDONS = {
    "asen_tf.training.optimizers": "MultiOptimizer: learning rates per group",
    "asen_tf.metric_losses": "losses of metric learning, for the triplet network",
}


@cache
def modules() -> dict[str, Path]:
    """Return every module of both packages by its dotted name."""
    found = {}
    for package in ("asen_tf", "data_prep"):
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


def unit(module: str) -> str:
    """Return a module's place in the table: asen_tf.layers.global_view -> layers."""
    return module.split(".")[1]


def test_imports_are_found(tmp_path: Path) -> None:
    source = "import os.path\nfrom a import b, c\ndef f():\n    from a.b import d\n"
    (tmp_path / "x.py").write_text(source)
    assert imports(tmp_path / "x.py", frozenset({"a", "a.b"})) == {"os.path", "a", "a.b"}


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("asen_tf.")])
def test_a_module_imports_only_from_lower_layers(module: str) -> None:
    assert unit(module) in RANK, f"{module} has no layer: give {unit(module)} its row in LAYERS"
    for other in imported_by()[module]:
        if not other.startswith("asen_tf.") or unit(other) == unit(module):
            assert other != "asen_tf" and not other.startswith("data_prep"), f"{module}: {other}"
            continue
        assert unit(other) in RANK, f"{other}, imported by {module}, is not a module"
        assert RANK[unit(other)] < RANK[unit(module)], f"{module} must not import {other}"


def test_the_package_itself_imports_the_version_check_only() -> None:
    assert imported_by()["asen_tf"] - sys.stdlib_module_names == {"asen_tf.compatibility"}


def test_data_prep_knows_of_asen_tf_only_the_annotations() -> None:
    # Shards hold pixels as the loader makes them; their command calls the loader's own code.
    more = {"data_prep.pack": {"asen_tf.data", "asen_tf.data.packing"}}
    for module, names in imported_by().items():
        if module.startswith("data_prep"):
            foreign = {name for name in names if name.split(".")[0] == "asen_tf"}
            allowed = {"asen_tf.annotations"} | more.get(module, set())
            assert foreign <= allowed, f"{module} imports {foreign}"


def test_there_are_no_import_cycles() -> None:
    TopologicalSorter(imported_by()).prepare()  # raises CycleError, which names the cycle


def test_the_lowest_layers_use_the_standard_library_and_numpy() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "asen_tf"}
    for module, names in imported_by().items():
        if module.startswith("asen_tf.") and unit(module) in WITHOUT_TENSORFLOW:
            foreign = {name.split(".")[0] for name in names} - allowed
            assert foreign <= ({"scipy"} if unit(module) == "intervals" else set()), module


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_the_lowest_layers_load_neither_tensorflow_nor_scipy(name: str) -> None:
    code = (
        f"import sys, asen_tf.{name}; print({{'tensorflow', 'keras', 'scipy'}} & {{*sys.modules}})"
    )
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


def test_files_are_short_and_named_for_what_they_do() -> None:
    files = [*modules().values(), *(ROOT / "tests").rglob("*.py"), *ROOT.glob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    too_long = {str(path): length for path, length in lengths.items() if length > 200}
    assert not too_long, f"split these: over 200 lines {too_long}"
    assert not [path for path in files if path.stem in {"utils", "util", "helpers", "common"}]
