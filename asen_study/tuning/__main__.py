"""A search for better settings, or a part of it, so that several machines can share one.

Use the same code, the same data and the same options on all of them, except --role, --name and the
chief's address, and a results folder that all of them see at the same path:

    python -m asen_study.tuning --role chief --chief 0.0.0.0:8000 --results-dir /shared/results
    python -m asen_study.tuning --role worker --name a --chief FIRST:8000 --results-dir /shared/results
    python -m asen_study.tuning --role worker --name b --chief FIRST:8000 --results-dir /shared/results

The chief, here on the machine FIRST, hands out trials and trains nothing; it may share its machine
with a worker. If a machine dies, another one continues its trial from the last epoch in the shared
folder; the backbone is pretrained only once. Nothing finished is lost: any part may be started
again. At the end

    papermill notebooks/10_tune.ipynb out.ipynb -p results_dir /shared/results

with the same settings finds the search finished, and writes its tables, figures and test.
"""  # noqa: E501 (commands on one line, to be copied)

from __future__ import annotations

import argparse
from collections.abc import Sequence

from asen_study.runs import Places
from asen_study.tuning.search import CHIEF, Search, SearchError, run_search, take_part
from asen_study.tuning.tuner import ORACLES, PATIENCE
from asen_tf.config import ConfigError
from asen_tf.data import AnnotationError


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the part that the options say; see `--help`."""
    own, kind = Search(), argparse.RawDescriptionHelpFormatter
    name = "python -m asen_study.tuning"
    parser = argparse.ArgumentParser(name, description=__doc__, formatter_class=kind)
    add = parser.add_argument
    roles = "all of a search, its chief, or one of its workers"
    add("--role", choices=("search", CHIEF, "worker"), default="search", help=roles)
    add("--chief", default="", metavar="HOST:PORT", help="where the chief listens")
    add("--name", default="", help="of this worker; no two may share one")
    add("--patience", type=float, default=PATIENCE, help="seconds until it gives a silent one up")
    add("--preset", default=own.preset, help="what trials start from: a name, or a preset file")
    add("--algorithm", choices=ORACLES, default=own.algorithm)
    add("--trials", type=int, default=own.trials, help="how many; %(default)s unless given")
    few = f"settings to search: names, or all; unless given {', '.join(own.settings.fields)}"
    add("--fields", default="", metavar="A,B", help=few)
    add("--seed", type=int, default=own.seed, help="of the search")
    add("--data-dir", default=own.places.data_dir, help="of meta.json and the datasets")
    add("--results-dir", default=own.places.results_dir, help="shared by all machines")
    add("--study", default=own.places.study, help="its folder, for runs and what is found")
    add("--jobs", type=int, default=1, help="trials side by side, for --role search")
    options = parser.parse_args(arguments)
    fields = tuple(filter(None, options.fields.split(",")))
    places = Places(options.data_dir, options.results_dir, options.study)
    chosen = (options.preset, options.algorithm, options.trials, fields, options.seed, places)
    try:
        if options.role == "search":
            run_search(Search(*chosen), jobs=options.jobs)
        else:
            name = CHIEF if options.role == CHIEF else options.name
            take_part(Search(*chosen), name=name, address=options.chief, patience=options.patience)
    except (AnnotationError, ConfigError) as error:
        parser.error(str(error))
    except (SearchError, OSError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "interrupted; the same command continues where it stopped\n")


if __name__ == "__main__":
    main()
