"""How TensorFlow starts: in silence, and with the faster kernels, unless you say otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
EMBED = """
import asen_tf
import hashlib
import numpy as np
from small_model import pictures, small_model
found = small_model().embed_pairs(pictures(), np.arange(3), np.arange(3))
print({name: hashlib.sha256(found[name].tobytes()).hexdigest() for name in sorted(found)})
"""

KERNELS = """
import asen_tf
import tensorflow
from tensorflow.python.util import _pywrap_util_port
print(_pywrap_util_port.IsMklEnabled())
"""


def embed(level: str | None) -> tuple[str, str]:
    """Embed with a local branch in a fresh interpreter; return what it printed, and its errors."""
    kept = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    kept |= {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    kept |= {} if level is None else {"TF_CPP_MIN_LOG_LEVEL": level}
    command = [sys.executable, "-W", "ignore", "-c", EMBED]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_local_branch_embeds_in_silence_and_with_the_same_digits() -> None:
    digits, said = embed(None)
    assert "fused" in digits and said == ""
    loud, warnings = embed("0")  # who asks for TensorFlow's log gets it
    assert "TF_ENABLE_ONEDNN_OPTS" in warnings
    assert loud == digits


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86")
@pytest.mark.parametrize(("asked", "expected"), [(None, "True"), ("0", "False"), ("1", "True")])
def test_the_kernels_of_onednn_are_taken_unless_they_are_refused(
    asked: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    command = [sys.executable, "-c", KERNELS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == expected, done.stderr
