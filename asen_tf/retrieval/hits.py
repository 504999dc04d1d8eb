"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One image that a search found.

    Attributes:
        id: of the item in the index.
        image: path of the file.
        score: the sum over attributes of weight times cosine; the cosine for a single attribute.
        parts: attribute name -> cosine, in [-1, 1], for every attribute that was asked for.
        metadata: of the item, a copy.
    """

    id: int
    image: Path
    score: float
    parts: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
