"""What tests share: a quiet TensorFlow, the same random state, the order, and one small study."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from study_process import run_study

import asen_tf  # noqa: F401 - checks the versions, and sets what TensorFlow reads when imported

# TensorFlow reads this once, when it is imported: errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Workers share the cores: one that took them all would wait for the others most of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
# What commands keep for later starts is not the user's own.
os.environ["ASEN_CACHE"] = tempfile.mkdtemp(prefix="asen-cache-")
atexit.register(shutil.rmtree, os.environ["ASEN_CACHE"], ignore_errors=True)

# Files of minutes, the longest first. `make test` gives whole files to its workers in this order
# (`--no-loadscope-reorder`); a long one at the end would leave the other worker without work.
LONG = (
    *("test_study", "test_photographs", "test_release_paths", "test_methods_train"),
    *("test_execution_options", "test_experiment", "test_embedder", "test_tagging"),
    *("test_evidence_notebook", "test_measurement", "test_reranking_notebook", "test_shop"),
    *("test_frozen_stages", "test_search_benchmark", "test_shop_index", "test_rpf"),
    *("test_padded_run", "test_memory_short", "test_explorer_server"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order of all others stays."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONG)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed every generator, so that a test's result does not depend on those before it."""
    random.seed(0)
    np.random.seed(0)
    if "keras" in sys.modules:  # a test that does without TensorFlow does not wait for it
        sys.modules["keras"].utils.set_random_seed(0)  # Keras' own generator of seeds, too
    elif "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(0)


@pytest.fixture(scope="session")
def smoke_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished study, of `make study PROFILE=smoke`; do not change its runs.

    The workers of pytest share it: one makes it, and the others wait. `output.txt` holds what the
    pipeline has printed; `errors.txt` is empty if it has succeeded.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "smoke_study"
    with FileLock(f"{folder}.lock"):
        if not (folder / "output.txt").exists():
            folder.mkdir(exist_ok=True)
            done = run_study(folder)
            (folder / "errors.txt").write_text(done.stderr if done.returncode else "")
            (folder / "output.txt").write_text(done.stdout)
    return folder


@pytest.fixture
def half_precision() -> Iterator[None]:
    """Let layers compute in float16, as mixed precision does."""
    import keras

    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")
