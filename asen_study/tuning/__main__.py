"""A search for better settings, or a part of it, so that several machines can share one.

The same code, the same data and the same options on all of them, but for --role, --name and the
chief's address, and a results folder that all see at the same path:

    python -m asen_study.tuning --role chief --chief 0.0.0.0:8000 --results-dir /shared
    python -m asen_study.tuning --role worker --name a --chief FIRST:8000 --results-dir /shared
    python -m asen_study.tuning --role worker --name b --chief FIRST:8000 --results-dir /shared

The chief, here on the machine FIRST, hands out trials and trains nothing; it and a worker may be on
one machine. In the shared folder a trial of a machine that died goes on from its last epoch, and
the backbone is pretrained once. What ended is kept: any part may be started again. In the end

    papermill notebooks/10_tune.ipynb out.ipynb -p results_dir /shared/results

with the same settings finds the search finished, and writes its tables, figures and test.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Sequence

import tensorflow as tf

from asen_study.experiment import run
from asen_study.tuning.failures import SearchError
from asen_study.tuning.oracles import ALGORITHMS, PATIENCE
from asen_study.tuning.search import Search
from asen_study.tuning.side_by_side import run_search
from asen_study.tuning.taking_part import CHIEF, take_part
from asen_tf.config import ConfigError
from asen_tf.data import AnnotationError
from asen_tf.presets import preset


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the part that the options say; see `--help`."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.parent is not None:
        threading.Thread(target=_end_with, args=(options.parent,), daemon=True).start()
    if options.threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    places = {name: getattr(options, name) for name in ("data_dir", "results_dir", "study")}
    try:
        if options.role == "run":
            run(preset(options.preset).override(seed=options.seed), **places)
            return
        search = Search(
            preset=options.preset,
            algorithm=options.algorithm,
            trials=options.trials,
            fields=tuple(name for name in options.fields.split(",") if name),
            seed=options.seed,
            **places,
        )
        if options.role == "search":
            run_search(search, jobs=options.jobs)
            return
        name = CHIEF if options.role == CHIEF else options.name
        take_part(search, name=name, address=options.chief, patience=options.patience)
        if name == CHIEF:
            print("The search has ended; notebooks/10_tune writes its tables.", flush=True)
    except (AnnotationError, ConfigError) as error:
        parser.error(str(error))
    except SearchError as error:
        parser.exit(2, f"{error}\n")


def _parser() -> argparse.ArgumentParser:
    own = Search()
    parser = argparse.ArgumentParser(
        "python -m asen_study.tuning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    roles = "all of a search, its chief, one of its workers, or a single run of --preset"
    add("--role", choices=("search", CHIEF, "worker", "run"), default="search", help=roles)
    add("--chief", default="", metavar="HOST:PORT", help="where the chief listens")
    add("--name", default="", help="of this worker, unlike all others'")
    add(
        "--patience", type=float, default=PATIENCE, help="seconds until a silent worker is given up"
    )
    add("--preset", default=own.preset, help="what trials start from: a name, or a preset file")
    add("--algorithm", choices=ALGORITHMS, default=own.algorithm)
    add("--trials", type=int, default=own.trials, help="how many; %(default)s unless given")
    few = f"settings to search: names, or all; unless given {', '.join(own.settings.fields)}"
    add("--fields", default="", metavar="A,B", help=few)
    add("--seed", type=int, default=own.seed, help="of the search; of the run for --role run")
    add("--data-dir", default=own.data_dir, help="of meta.json and the datasets")
    add("--results-dir", default=own.results_dir, help="shared by all machines")
    add("--study", default=own.study, help="folder of it, for runs and what the search finds")
    add("--jobs", type=int, default=1, help="trials side by side, for --role search")
    add("--threads", type=int, help="cores to use; all, unless given")
    add("--parent", type=int, help=argparse.SUPPRESS)
    return parser


def _end_with(parent: int) -> None:
    """End when the process that started this one has ended, killed perhaps."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main()
