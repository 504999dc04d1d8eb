"""The table of a re-ranking on disk, with where it comes from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from asen_tf import provenance
from asen_tf.files import write_json, write_text
from asen_tf.reranking.runs import Reranking, last_embedding


def write(table: pd.DataFrame, reranking: Reranking, place: Path | str) -> list[Path]:
    """Write `rerank.csv` and `rerank_provenance.json`, each in full or not at all.

    Numbers have four decimals (cosines six), so that identical runs make identical files. What an
    earlier re-ranking of the study wrote is replaced.

    Args:
        table: of `rerank_table`.
        reranking: what it was made from.
        place: the study's directory.

    Returns:
        What was written.
    """
    place = Path(place)
    runs = {"general": reranking.general, "specific": reranking.specific}
    rounded = table.round(
        {name: 6 if name.startswith(("similarity", "loss")) else 4 for name in table.columns}
    )
    numbers = rounded.select_dtypes("float").columns
    rounded[numbers] += 0.0  # no minus sign before a zero
    text = rounded.to_csv(index=False, lineterminator="\n")
    write_text(place / "rerank.csv", text)
    write_json(
        place / "rerank_provenance.json",
        {
            "evaluated_by": provenance.commit(),
            "runs": [
                {
                    "role": role,
                    "run": run.path.name,
                    "embedding": last_embedding(run.test_pairs()),
                    "settings": run.config.to_dict(),
                    **run.manifest,
                }
                for role, run in runs.items()
            ],
        },
    )
    return [place / "rerank.csv", place / "rerank_provenance.json"]
