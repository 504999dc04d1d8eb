"""The pipeline: `doit quick` runs the study, `doit list --all` shows its steps.

Steps are notebooks, run by papermill. Each runs when it is out of date, and only then. If one
fails, it is reported and skipped, along with whatever needs it; everything else is still made.
Options: data_dir=DIR, results_dir=DIR, jobs=N (methods that are trained side by side), rows=A,B
and seeds=M,N (instead of the profile's), raw=DIR (the published photographs, for `photos`),
dataset=NAME and preset=NAME (for `own`; raw=DIR and table=FILE make its split files first), after=
(`parts` alone), as in
`doit -n 2 -P thread quick results_dir=/tmp/results jobs=2 rows=csn,asen_pp seeds=0,1`.
"""

import sys

from doit import get_var

from asen_study.schedule import tasks

DOIT_CONFIG = {"default_tasks": ["quick"], "verbosity": 2}
DOIT_CONFIG |= {"backend": "sqlite3", "dep_file": ".doit.db"}


def task_quick():
    yield from tasks("quick", get_var)


def task_ablations():
    yield from tasks("ablations", get_var)


def task_parts():
    yield from tasks("parts", get_var)


def task_changes():
    yield from tasks("changes", get_var)


def task_own():
    yield from tasks("own", get_var)


def task_photos():
    yield from tasks("photos", get_var)


def task_smoke():
    yield from tasks("smoke", get_var)


def task_photos_smoke():
    yield from tasks("photos_smoke", get_var)


def _say(kind, error, trace):
    if not issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, error, trace)
    print("interrupted; the same command continues where it stopped", file=sys.stderr)


sys.excepthook = _say
