"""The sheet: an examination, its pictures, and where everything in it comes from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from asen_tf import provenance
from asen_tf.embedder import Embedder
from asen_tf.evidence import histograms, statements
from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.origin import model_origin
from asen_tf.evidence.pictures import Picture, Seen, look, photograph
from asen_tf.evidence.records import Examination
from asen_tf.files import file_digest


@dataclass(frozen=True)
class Sheet:
    """Everything that a page and its numbers are made of.

    Attributes:
        examination: what was found.
        photographs: by path.
        seen: by path and attribute; empty for a model without attention.
        histogram: the distributions, with the found items.
        origin: of the model, see `asen_tf.evidence.origin.model_origin`.
        software: what made the sheet: commit, code fingerprint, versions.
        made: when, in ISO 8601.
    """

    examination: Examination
    photographs: Mapping[Path, Picture]
    seen: Mapping[tuple[Path, str], Seen]
    histogram: Picture
    origin: Mapping[str, Any]
    software: Mapping[str, Any]
    made: str

    @cached_property
    def name(self) -> str:
        """The name of its files: the same for the same question only.

        It is the design's name, made plain, the start of the design's SHA-256, and that of a
        SHA-256 over catalogue, model, weights and settings.
        """
        asked = self.examination
        question = [
            *(asked.catalogue.fingerprint, asked.catalogue.names, self.origin["sha256"]),
            *(dict(asked.weights), dict(asked.settings)),
        ]
        digest = hashlib.sha256(json.dumps(question).encode()).hexdigest()
        stem = asked.design.path.stem
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:60] or "design"
        return f"{plain}-{asked.design.sha256[:8]}-{digest[:8]}"

    @cached_property
    def notes(self) -> list[str]:
        """What a reader must know besides; see `asen_tf.evidence.statements.notes`."""
        return statements.notes(self.examination, self.origin, attention=bool(self.seen))


def make(
    examination: Examination,
    embedder: Embedder,
    model: Path | str,
    *,
    made: datetime | None = None,
    progress: bool = False,
) -> Sheet:
    """Draw what an examination found, and describe where it comes from.

    Args:
        examination: of `examine`.
        embedder: the model, as for `examine`.
        model: the model's file.
        made: the sheet's date; now when None. The same date and inputs give the same sheet, byte
            for byte.
        progress: show a progress bar.

    Raises:
        EvidenceError: a file was changed or lost since it was compared.
    """
    design = examination.design
    shown = {found.path: found for view in examination.views for found in view.found}
    digests = {design.path: design.sha256}
    digests |= {path: found.sha256 for path, found in shown.items()}
    for path, digest in digests.items():
        if not path.is_file() or file_digest(path) != digest:
            raise EvidenceError(f"{path} was changed since it was compared; compare again")
    photographs = {design.path: photograph(design.path, f"The design: {design.path.name}")}
    for path, found in shown.items():
        photographs.setdefault(path, photograph(path, f"Catalogue item {found.name}"))
    wanted = {(design.path, name): "The design" for name in examination.weights}
    for view in examination.views:
        for found in view.found:
            for attribute in view.attributes:
                wanted.setdefault((found.path, attribute), f"Catalogue item {found.name}")
    seen = {}
    for (path, attribute), who in tqdm(wanted.items(), desc="attention", disable=not progress):
        looked = look(embedder, path, attribute, who)
        if looked is None:
            break
        seen[path, attribute] = looked
    when = datetime.now(UTC) if made is None else made
    return Sheet(
        examination=examination,
        photographs=photographs,
        seen=seen,
        histogram=histograms.picture(examination.views),
        origin=model_origin(model, list(examination.weights), examination.settings["embedding"]),
        software={name: v for name, v in provenance.describe().items() if name != "created"},
        made=when.isoformat(timespec="seconds"),
    )
