"""Searching for better settings with KerasTuner; every trial is a run of the study."""

from asen_study.tuning.failures import SearchError
from asen_study.tuning.oracles import ALGORITHMS
from asen_study.tuning.search import Search
from asen_study.tuning.side_by_side import run_search, run_seeds
from asen_study.tuning.space import DEFAULT_FIELDS, FIELDS, LOGARITHMIC, RunSettings
from asen_study.tuning.taking_part import take_part
from asen_study.tuning.testing import compare_on_test, verdict, write_test
from asen_study.tuning.trials import FEWEST, best_trial, importance, trials_table, write_trials

__all__ = [
    "ALGORITHMS",
    "DEFAULT_FIELDS",
    "FEWEST",
    "FIELDS",
    "LOGARITHMIC",
    "RunSettings",
    "Search",
    "SearchError",
    "best_trial",
    "compare_on_test",
    "importance",
    "run_search",
    "run_seeds",
    "take_part",
    "trials_table",
    "verdict",
    "write_test",
    "write_trials",
]
