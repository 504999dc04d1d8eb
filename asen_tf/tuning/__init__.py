"""Searching for better settings with KerasTuner; every trial is a run of `asen_tf.experiment`."""

from asen_tf.tuning.failures import SearchError
from asen_tf.tuning.importance import FEWEST, importance
from asen_tf.tuning.oracles import ALGORITHMS
from asen_tf.tuning.search import Search
from asen_tf.tuning.side_by_side import run_search, run_seeds
from asen_tf.tuning.space import DEFAULT_FIELDS, FIELDS, LOGARITHMIC, RunSettings
from asen_tf.tuning.taking_part import take_part
from asen_tf.tuning.testing import compare_on_test, verdict, write_test
from asen_tf.tuning.trials import best_trial, trials_table, write_trials

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
