"""The methods that a study can show: its finished runs, with names for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asen_apps.explorer.errors import ExplorerError
from asen_study.matrix import LABELS, ROWS, row_of
from asen_study.runs import Run, finished_runs
from asen_tf.config import ConfigError
from asen_tf.presets import PRESETS

_FIRST = "asen_pp"  # what the page begins with


@dataclass(frozen=True, eq=False)
class Method:
    """A finished run of a method.

    Attributes:
        label: its name on the page.
        row: the row of the matrix that it is, or its method's name.
        run: where it is and what it says of itself.
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
        """The dataset that it was trained on, and that it searches."""
        return self.run.settings["dataset"]

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.run.settings["seed"]


def methods_of(place: Path) -> list[Method]:
    """Return the methods of a study, in the order of the matrix, then by seed.

    Labels are distinct within a dataset: a page shows one, see `offered`. Runs whose model needs
    the true boxes of the parts are left out: no uploaded image has them.

    Raises:
        ExplorerError: there is none; the message says how to make one.
    """
    runs = [run for run in finished_runs(place) if (run.path / "model.keras").exists()]
    usable = [run for run in runs if run.evaluated and run.settings.get("region") != "true"]
    if not usable:
        raise ExplorerError(
            f"There is no finished method in {place} yet. Run `make study` first (about 20 "
            "minutes on two cores), then `make explore` again."
        )
    rows, seeds = [_row(run) for run in usable], defaultdict(set)
    for run in usable:
        seeds[run.settings["dataset"]].add(run.settings["seed"])
    titles = []
    for run, row in zip(usable, rows, strict=True):
        several = len(seeds[run.settings["dataset"]]) > 1
        titles.append(LABELS.get(row, row) + (f", seed {run.settings['seed']}" if several else ""))
    names = [(run.settings["dataset"], title) for run, title in zip(usable, titles, strict=True)]
    often = Counter(names)
    methods = [
        Method(name[1] if often[name] == 1 else f"{name[1]} ({run.path.name})", row, run)
        for run, row, name in zip(usable, rows, names, strict=True)
    ]
    order = {row: position for position, row in enumerate(ROWS)}
    return sorted(methods, key=lambda one: (order.get(one.row, len(order)), one.seed, one.name))


def first_of(methods: list[Method]) -> Method:
    """Return the method that the page begins with: ASEN++, or else the last one."""
    return next((method for method in methods if method.row == _FIRST), methods[-1])


def offered(methods: Sequence[Method]) -> tuple[list[Method], list[Method]]:
    """Split methods into those of one dataset, which one page can offer, and the others.

    It is the dataset that most of them were trained on; among equals, that of `first_of`.
    """
    often, first = Counter(method.dataset for method in methods), first_of(list(methods)).dataset
    chosen = max(often, key=lambda dataset: (often[dataset], dataset == first))
    return (
        [method for method in methods if method.dataset == chosen],
        [method for method in methods if method.dataset != chosen],
    )


def sentence_on(left_out: Sequence[Method]) -> str:
    """Say which methods a page does not offer, and why; "" if there is none."""
    if not left_out:
        return ""
    names = ", ".join(f"{method.label} ({method.dataset})" for method in left_out)
    return f"Not offered here, as trained on another dataset: {names}. Use one study per dataset."


def _row(run: Run) -> str:
    """Return the row that a run is in a study of any preset, on any data; or its method's name."""
    for start in PRESETS.values():
        try:
            row = row_of(run.settings, start().override(dataset=run.settings["dataset"]))
        except (ConfigError, KeyError):
            continue
        if row is not None:
            return row
    return str(run.settings["method"])
