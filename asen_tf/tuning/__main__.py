"""`python -m asen_tf.tuning`: a part of a search, so that several machines can share it.

With the same options on all of them but `--role` and `--name`, the same code and the same data:

    python -m asen_tf.tuning --role chief --chief 0.0.0.0:8000 --trials 40
    python -m asen_tf.tuning --role worker --name a --chief CHIEFS-ADDRESS:8000 --trials 40
    python -m asen_tf.tuning --role worker --name b --chief CHIEFS-ADDRESS:8000 --trials 40
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Sequence

import tensorflow as tf

from asen_tf.annotations import AnnotationError
from asen_tf.config import ConfigError
from asen_tf.experiment import run
from asen_tf.presets import preset
from asen_tf.tuning.oracles import ALGORITHMS, PATIENCE
from asen_tf.tuning.search import Search, SearchError
from asen_tf.tuning.side_by_side import run_search
from asen_tf.tuning.taking_part import CHIEF, take_part


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
    except (AnnotationError, ConfigError, SearchError) as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    own = Search()
    parser = argparse.ArgumentParser("python -m asen_tf.tuning", description="Part of a search.")
    add = parser.add_argument
    add("--role", choices=("search", CHIEF, "worker", "run"), default="search")
    add("--chief", default="", metavar="HOST:PORT", help="where the chief listens")
    add("--name", default="", help="of this worker, unlike all others'")
    add(
        "--patience", type=float, default=PATIENCE, help="seconds until a silent worker is given up"
    )
    add("--preset", default=own.preset, help="what trials start from: a name, or a preset file")
    add("--algorithm", choices=ALGORITHMS, default=own.algorithm)
    add("--trials", type=int, default=own.trials)
    add("--fields", default="", metavar="A,B", help="settings to search; all, unless given")
    add("--seed", type=int, default=own.seed, help="of the search; of the run for --role run")
    add("--data-dir", default=own.data_dir)
    add("--results-dir", default=own.results_dir)
    add("--study", default=own.study)
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
