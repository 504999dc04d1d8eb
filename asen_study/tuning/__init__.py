"""Searching for better settings with KerasTuner; every trial is a run of the study."""

from asen_study.tuning.results import (
    FEWEST,
    best_trial,
    compare_on_test,
    importance,
    parallel_coordinates,
    setting_importance,
    trials_table,
    verdict,
    write_test,
    write_trials,
)
from asen_study.tuning.search import Search, SearchError, run_search, run_seeds, take_part
from asen_study.tuning.space import DEFAULT_FIELDS, FIELDS, LOGARITHMIC, RunSettings

__all__ = ["DEFAULT_FIELDS", "FEWEST", "FIELDS", "LOGARITHMIC", "RunSettings", "Search"]
__all__ += ["best_trial", "compare_on_test", "importance", "parallel_coordinates", "run_search"]
__all__ += ["run_seeds", "setting_importance", "take_part", "trials_table", "verdict"]
__all__ += ["SearchError", "write_test", "write_trials"]
