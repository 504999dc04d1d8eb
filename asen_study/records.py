"""The records of a study's runs, in one small archive: enough to make its tables again.

    python -m asen_study.records STUDY ARCHIVE

packs what finished runs hold but for models, embeddings and pictures. Unpacked into a study's
folder, on any machine, its runs are taken as finished.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from asen_study.runs import finished_runs
from asen_tf.files import replacing

# Settings, provenance, what was measured on every epoch and split, and each query's precision.
RECORDS = (
    *("config.json", "manifest.json", "metrics.json", "map.csv", "history.csv", "triplets.csv"),
    *("fusion.csv", "localisation.csv", "queries.npz", "map_*.csv"),
)
_WHEN = (2026, 1, 1, 0, 0, 0)  # of every member, so that the same runs give the same archive


def pack(study: Path, archive: Path) -> int:
    """Pack the records of a study's evaluated runs; what the archive held before is replaced.

    Args:
        study: the folder of a study, with its runs.
        archive: the zip file, written whole or not at all.

    Returns:
        The number of runs.

    Raises:
        ValueError: there are no finished runs.
    """
    runs = [run for run in finished_runs(study) if run.evaluated]
    if not runs:
        raise ValueError(
            f"a study's records need a finished run; {study} has none: give the folder of a study, "
            "such as results/runs/quick, after `make study`"
        )
    with (
        replacing(archive) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as written,
    ):
        for run in runs:
            # Triplet networks have no fusion, say, and few runs are measured on other data, too.
            for path in (path for name in RECORDS for path in sorted(run.path.glob(name))):
                member = zipfile.ZipInfo(f"{run.path.name}/{path.name}", _WHEN)
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = 0o644 << 16
                written.writestr(member, path.read_bytes())
    return len(runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m asen_study.records",
        description="Pack the records of a study's finished runs: all but models and pictures.",
    )
    parser.add_argument("study", type=Path, help="the folder of a study, as results/runs/quick")
    parser.add_argument("archive", type=Path, help="the zip file to write")
    options = parser.parse_args(arguments)
    try:
        packed = pack(options.study, options.archive)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    size = options.archive.stat().st_size / 1e6
    print(f"{options.archive}: the records of {packed} runs, {size:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
