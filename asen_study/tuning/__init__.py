"""Searching for better settings with KerasTuner; every trial is a run of the study."""

from asen_study.tuning.results import (
    compare_on_test,
    importance,
    parallel_coordinates,
    setting_importance,
    trials_table,
    verdict,
    write_trials,
)
from asen_study.tuning.search import Search, SearchError, run_search, run_seeds, take_part
from asen_study.tuning.space import DEFAULT_FIELDS, FIELDS, RunSettings

__all__ = ["DEFAULT_FIELDS", "FIELDS", "RunSettings", "Search", "SearchError", "compare_on_test"]
__all__ += ["importance", "parallel_coordinates", "run_search", "run_seeds", "setting_importance"]
__all__ += ["take_part", "trials_table", "verdict", "write_trials"]
