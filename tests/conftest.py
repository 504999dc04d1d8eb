"""What every test starts with: a quiet TensorFlow and the same random state."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import sys
import tempfile

import numpy as np
import pytest

import asen_tf  # noqa: F401 - checks the versions, and sets what TensorFlow reads when imported

# TensorFlow reads this once, when it is imported: errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# What commands keep for later starts is not the user's own.
os.environ["ASEN_CACHE"] = tempfile.mkdtemp(prefix="asen-cache-")
atexit.register(shutil.rmtree, os.environ["ASEN_CACHE"], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed every generator, so that a test's result does not depend on those before it."""
    random.seed(0)
    np.random.seed(0)
    if "keras" in sys.modules:  # a test that does without TensorFlow does not wait for it
        sys.modules["keras"].utils.set_random_seed(0)  # Keras' own generator of seeds, too
    elif "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(0)
