"""What TensorFlow says to its developers does not reach the terminal, and no digit changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
EMBED = """
import asen_tf
import hashlib
import numpy as np
from small_model import pictures, small_model
found = small_model().embed_pairs(pictures(), np.arange(3), np.arange(3))
print({name: hashlib.sha256(found[name].tobytes()).hexdigest() for name in sorted(found)})
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
