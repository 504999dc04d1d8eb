"""How many inputs a test makes up: 200, or as many as the environment variable EXAMPLES says."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

hundreds = settings(
    max_examples=int(os.environ.get("EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
