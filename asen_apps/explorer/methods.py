"""The methods that a study can show: its finished runs, with names for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asen_apps.explorer import ExplorerError
from asen_study.matrix import LABELS, ROWS, row_of
from asen_study.runs import Run, finished_runs
from asen_tf.config import ConfigError, did_you_mean
from asen_tf.presets import PRESETS


@dataclass(frozen=True, eq=False)
class Method:
    """A finished run of a method.

    Attributes:
        label: its name on the page.
        row: its row of the matrix, or its method's name if it is in no row.
        run: where it is, and its settings.
    """

    label: str
    row: str
    run: Run

    @property
    def name(self) -> str:
        """The name of the run's directory."""
        return self.run.path.name

    @property
    def dataset(self) -> str:
        """The dataset that it was trained on and searches."""
        return self.run.settings["dataset"]

    @property
    def fit(self) -> str:
        """How its images become squares; older runs, without that setting, cut the centre out."""
        return self.run.settings.get("fit", "square")

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.run.settings["seed"]


def methods_of(place: Path) -> list[Method]:
    """Return the methods of a study, in the order of the matrix, then by seed.

    Labels are distinct within a dataset, and a page shows only one; see `split_by_dataset`. Runs
    whose model needs the true boxes of the parts are left out: uploaded images have none.

    Raises:
        ExplorerError: there are no methods; the message says how to train some.
    """
    methods, seeds = [], defaultdict(set)
    for run in finished_runs(place):
        usable = run.evaluated and (run.path / "model.keras").exists()
        if usable and run.settings.get("region") != "true":
            methods.append(method_of(run))
            seeds[methods[-1].dataset].add(methods[-1].seed)
    made = {path.parts[-3] for path in place.parent.glob("*/*/metrics.json")}
    if not methods and (others := sorted(made - {place.name})):
        raise ExplorerError(
            f"There is no finished method in {place}; {did_you_mean(place.name, others)}"
        )
    if not methods:
        raise ExplorerError(
            f"There is no finished method in {place} yet. Run `make study` first (about 20 "
            "minutes on two cores), then `make explore` again."
        )
    for at, one in enumerate(methods):
        if len(seeds[one.dataset]) > 1:
            methods[at] = replace(one, label=f"{one.label}, seed {one.seed}")
    often = Counter((one.dataset, one.label) for one in methods)
    for at, one in enumerate(methods):
        if often[one.dataset, one.label] > 1:
            methods[at] = replace(one, label=f"{one.label} ({one.name})")
    order = {row: position for position, row in enumerate(ROWS)}
    return sorted(methods, key=lambda one: (order.get(one.row, len(order)), one.seed, one.name))


def method_of(run: Run) -> Method:
    """Return a run as a method, with the name that the tables give it."""
    row = _row(run)
    return Method(LABELS.get(row, row), row, run)


def default_method(methods: Sequence[Method]) -> Method:
    """Return the method that the page begins with: ASEN++, or the last one without it."""
    return next((method for method in methods if method.row == "asen_pp"), methods[-1])


def split_by_dataset(methods: Sequence[Method]) -> tuple[list[Method], list[Method]]:
    """Split methods into those of one dataset, which one page can offer, and the others.

    It is the dataset of most methods; in a tie, that of `default_method`.
    """
    often, preferred = Counter(one.dataset for one in methods), default_method(methods).dataset
    chosen = max(often, key=lambda dataset: (often[dataset], dataset == preferred))
    return (
        [method for method in methods if method.dataset == chosen],
        [method for method in methods if method.dataset != chosen],
    )


def explain_left_out(left_out: Sequence[Method]) -> str:
    """Return a sentence on the methods that a page does not offer; "" if it offers all."""
    if not left_out:
        return ""
    names = ", ".join(f"{method.label} ({method.dataset})" for method in left_out)
    return f"Not offered, because trained on another dataset: {names}. Use one study per dataset."


def _row(run: Run) -> str:
    """Return the row of a run in a study of any preset, on any data; or its method's name."""
    for preset in PRESETS.values():
        try:
            row = row_of(run.settings, preset().override(dataset=run.settings["dataset"]))
        except (ConfigError, KeyError):
            continue
        if row is not None:
            return row
    return str(run.settings["method"])
