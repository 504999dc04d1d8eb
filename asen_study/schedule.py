"""The schedule of a study: which notebooks run, after which others, and side by side.

First the data; then, for each seed, the starting backbone, if one is trained, and a training for
each row of the matrix; then what reads the finished runs, and the report. A study of folds has one
dataset for each seed, and may go on to train on fewer images. `tasks` gives it as doit's tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# doit prints their messages without a traceback
from doit.exceptions import InvalidDodoFile, TaskFailed

from asen_study import findings, report
from asen_study.cells import Cell, Countdown
from asen_study.matrix import LABELS_NEEDED, PAIR, PAYS_ABOVE, ROWS, SAME_FIRST_STAGE
from asen_study.pipeline import Attempt, Step, Study, failures
from asen_study.profiles import OWN, PROFILES, Profile
from asen_study.runs import Places
from asen_study.tables.labels import FEWER
from asen_tf.config import ConfigError, did_you_mean
from asen_tf.data import AnnotationError, read_meta
from asen_tf.evaluation.ranking import usable_cores
from asen_tf.presets import preset

Task = dict[str, Any]  # as doit takes it


def tasks(name: str, option: Callable[[str, Any], Any]) -> Iterator[Task]:
    """Give the tasks of a study, in the order in which they can run.

    Args:
        name: of the profile, and of the study's folder.
        option: gives an option of the command line: `data_dir`, `results_dir`, `jobs` (trainings
            side by side), `rows` and `seeds` (separated by commas), `raw` (the folder of the
            published photographs, or of one's own), `dataset` and `table` (of one's own), `preset`
            (for it), `after` (the study that comes first; none if empty); the second argument is
            what holds where it is not given.
    """
    profile, study, raw = PROFILES[name], name, option("raw", None)
    if name == OWN:
        study, table = option("dataset", ""), option("table", None)
        if not study:  # doit lists the steps of every profile, so this is no error yet
            doc = "a study of your own data: name it by dataset=NAME"
            yield {"name": "dataset", "doc": doc, "actions": [_ask_for_dataset]}
            return
        if table and not Path(table).is_file():
            raise InvalidDodoFile(f"table: there is no file {table}")
        chosen = option("preset", profile.preset)
        try:
            preset(chosen)
            if not raw:  # then its split files must be there
                read_meta(option("data_dir", profile.data_dir), study)
        except (ConfigError, AnnotationError) as error:
            raise InvalidDodoFile(str(error)) from None
        given = {"dataset": study}
        first = {"raw": raw, "table": table} if raw else {}  # these become split files first
        profile = replace(profile, preset=chosen, changes=given, data={**given, **first})
    profile = replace(profile, after=option("after", profile.after))
    places = Places(
        option("data_dir", profile.data_dir), option("results_dir", "results/runs"), study
    )
    rows = option("rows", ",".join(profile.rows)).split(",")
    if unknown := [row for row in rows if row not in ROWS]:
        raise InvalidDodoFile(f"rows: no row {unknown[0]!r}; {did_you_mean(unknown[0], ROWS)}")
    seeds = option("seeds", ",".join(map(str, profile.seeds))).split(",")
    seeds = [_whole("seeds", seed, least=0) for seed in seeds]
    if raw and not Path(raw).is_dir():
        raise InvalidDodoFile(f"raw: there is no folder {raw}")
    starts = ("asen_pp", *SAME_FIRST_STAGE.values())
    schedule = _Schedule(
        name,
        profile,
        Study(profile.preset, places, profile.changes, tuple(seeds) if profile.folds else ()),
        # What others start from comes first. In a fold the fused networks, which need its ASEN_v2,
        # come last.
        rows=sorted(rows, key=lambda row: (row == PAIR, row not in starts)),
        seeds=seeds,
        jobs=_whole("jobs", option("jobs", 1), least=1),
        raw=raw,
    )
    yield from schedule.data()
    yield from schedule.trainings()
    yield from schedule.readings()
    yield from schedule.fewer_labels()
    yield schedule.page()
    yield schedule.end()


def _whole(name: str, text: str | int, *, least: int) -> int:
    """Return a whole number that an option of the command line gives."""
    if not re.fullmatch(r"[0-9]+", str(text)) or int(text) < least:
        raise InvalidDodoFile(f"{name}: whole numbers from {least}; got {text!r}")
    return int(text)


@dataclass
class _Schedule:
    """The tasks of a study, and what earlier ones leave for later ones.

    Attributes:
        name: of the profile, and of the study's folder.
        profile: what the study makes.
        study: where it makes it.
        rows: of the matrix, in the order of their training.
        seeds: of each row.
        jobs: trainings side by side.
        raw: the folder of the published photographs, for a study of folds; without it, the split
            files must be there.
        executed: executed notebooks that the report joins.
        attempts: steps that may fail.
        trained: names of the tasks that train.
        queue: of those that are not finished.
        main: the run that is evaluated on its own, if there is one. Its notebooks show images, and
            a study of photographs makes no picture that shows one.
        last: of the steps that read all runs, the one that writes the tables.
    """

    name: str
    profile: Profile
    study: Study
    rows: Sequence[str]
    seeds: Sequence[int]
    jobs: int
    raw: str | None = None
    executed: list[Path] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    main: Attempt | None = None
    last: Attempt | None = None

    def data(self) -> Iterator[Task]:
        """Give the tasks that make the data, one for each fold; what trains on it needs it."""
        if not self.profile.folds:
            parameters = {**self.profile.data, **self.study.places.parameters}
            step = Step(self.study, "01_prepare_data", parameters)
            self.executed.append(step.executed)
            task = self._step("data", "making and checking the data", step, step)
            task["task_dep"] += [f"{self.profile.after}:report"] * bool(self.profile.after)
            yield task
            return
        for seed in self.seeds:
            study = self.study.for_fold(seed)
            chosen = {"dataset": study.config.dataset, "examples": False}
            given = {"raw": self.raw} if self.raw else {}
            parameters = {**chosen, **given, **study.places.parameters}
            step = Step(study, "01_prepare_data", parameters, suffix=f"-fold{seed}")
            if seed == self.seeds[0]:
                self.executed.append(step.executed)
            # One after the other: all of them write into the same meta.json.
            earlier = [f"data-fold{before}" for before in self.seeds[: self.seeds.index(seed)][-1:]]
            task = self._step("data", f"making and checking fold {seed}", step, step, earlier)
            dataset = study.config.dataset
            if not self.raw and not (Path(study.places.data_dir) / dataset).is_dir():
                task["actions"] = [(_ask_for_photographs, [dataset])]
            yield task

    def trainings(self) -> Iterator[Task]:
        """Give what runs start from, then the runs, side by side, each with its share of cores."""
        countdown = Countdown(0, self.jobs)
        # Rows of two networks: the second one is the next seed's.
        pairs: list[tuple[Cell, Sequence[str]]] = []
        for seed in self.seeds:
            start, needs = None, [f"data-fold{seed}" if self.profile.folds else "data"]
            if self.study.config.starting_weights == "pretrain":
                suffix = f"-seed{seed}" if len(self.seeds) > 1 else ""
                study = self.study.for_fold(seed)
                parameters = {**study.parameters, "seed": seed, "compare": False}
                step = Step(study, "02_backbone_start", parameters, "backbone", suffix)
                start = Attempt(step, f"backbone-seed{seed}")
                self.attempts.append(start)
                if seed == self.seeds[0]:
                    self.executed.append(step.executed)
                description = f"training the starting backbone, seed {seed}"
                yield self._step("backbone", description, step, start, [*needs, *self._before()])
                needs = [f"backbone{suffix}"]
            cells = [
                Cell(self.study, row, seed, self._threads, countdown, start) for row in self.rows
            ]
            later = () if self.profile.folds else (PAIR,)
            own = [(cell, needs) for cell in cells if cell.row not in later]
            yield from (self._training(*one) for one in [*own, *pairs])
            pairs = [(cell, needs) for cell in cells if cell.row in later]
        yield from (self._training(*one) for one in pairs)

    @property
    def _threads(self) -> int:
        """The cores that each of several trainings may use."""
        return max(usable_cores() // self.jobs, 1)

    def _training(self, cell: Cell, needs: Sequence[str]) -> Task:
        """Return the task that trains a cell, after those that train a part of it."""
        parts: list[str] = []
        if cell.row.startswith("asen_pp/"):
            parts = [f"train:{SAME_FIRST_STAGE.get(cell.row, 'asen_pp')}:{cell.seed}"]
        elif cell.row == PAIR:
            parts = [f"train:asen_v2:{cell.seed + later}" for later in (0, 1)]
        current = cell.is_current()
        name = f"train:{cell.row}:{cell.seed}{cell.images or ''}"
        if not current:  # what is finished does not wait, and is not waited for
            needs = [*needs, *(part for part in parts if part in self.trained), *self._before()]
            self.queue.append(name)
        form = next((row for row in PAYS_ABOVE if row in self.rows), "")  # of ASEN++
        if cell.row == form and cell.seed == self.seeds[0]:
            self.main = None if self.profile.folds else cell.trial
            self.executed.append(cell.step.executed)
        self.attempts.append(cell.trial)
        self.trained.append(name)
        cell.countdown.total += not current
        return {
            "name": name,
            "doc": f"training {cell.name}",
            "actions": [cell.attempt],
            "uptodate": [cell.is_current],
            "task_dep": self._after(needs),
            "io": {"capture": False},
        }

    def _before(self) -> list[str]:
        """Return the training that the next task waits for.

        It is twice as many places before as run side by side: so one seed comes after the other,
        and an unfinished study has whole seeds to show, but for the newest ones; yet while a
        training waits for a part of it that another trains, the next can have its core.
        """
        ahead = 2 * self.jobs
        return self.queue[-ahead:][:1] if len(self.queue) >= ahead else []

    def readings(self) -> Iterator[Task]:
        """Give the steps that read finished runs, one after the other; the last writes tables."""
        after = self.trained
        for name, says, reader in self._readers():
            yield self._step(name, says, reader.step, reader, after)
            after = [name]
            self.attempts.append(reader)
            self.executed.append(reader.step.executed)
            self.last = reader

    def fewer_labels(self) -> Iterator[Task]:
        """Give the trainings on fewer images, side by side, then the notebook that reads them."""
        rows = [row for row in LABELS_NEEDED if row in self.rows]
        seeds = [seed for seed in self.profile.size_seeds if seed in self.seeds]
        if not (rows and seeds and self.profile.sizes) or len(rows) < len(LABELS_NEEDED):
            return
        places = replace(self.study.places, study=f"{self.name}/{FEWER}")
        fewer, countdown = replace(self.study, places=places), Countdown(0, self.jobs)
        for seed in seeds:
            for size in self.profile.sizes:
                for row in rows:
                    cell = Cell(fewer, row, seed, self._threads, countdown, images=size)
                    yield self._training(cell, [self.last.name])
        sizes, chosen = (",".join(map(str, part)) for part in (self.profile.sizes, seeds))
        parameters = {**self.study.parameters, "sizes": sizes, "seeds": chosen}
        reader = Attempt(Step(self.study, "11_labels", parameters, "runs"), "labels")
        yield self._step("labels", "comparing numbers of labels", reader.step, reader, self.trained)
        self.attempts.append(reader)
        self.executed.append(reader.step.executed)

    def _readers(self) -> list[tuple[str, str, Attempt]]:
        """Return name, description and attempt of each step that reads finished runs."""
        parameters = self.study.parameters
        if "ablations" in self.profile.minutes:
            steps = [
                ("starts", "comparing three starts", "02_backbone_start"),
                ("ablations", "comparing all rows", "06_ablations"),
            ]
            return [
                (name, says, Attempt(Step(self.study, notebook, parameters, "runs"), name))
                for name, says, notebook in steps
                if name in self.profile.minutes
            ]
        tables = Attempt(Step(self.study, "05_results", parameters, "runs"), "results")
        written = [("results", "writing tables and figures", tables)]
        if self.main is None:
            return written
        run = self.main.step.parameters
        parameters["seed"], of_run = run["seed"], {"method": run["method"]}
        steps = [
            ("evaluate", "evaluating, drawing", "04_evaluate"),
            ("rerank", "re-ranking general results by an attribute", "07_rerank"),
            ("evidence", "writing a sheet of design evidence", "08_design_evidence"),
        ]
        # A sheet of a tenth of the test images takes seconds.
        more = {"evaluate": of_run, "evidence": {**of_run, "split": "valid"}}
        more["rerank"] = {"specific": run["method"]}
        readings = []
        for name, says, notebook in steps:
            # Lists are made by the run of a triplet network; a sheet asks for a design.
            if name in self.profile.minutes and (name != "rerank" or "triplet" in self.rows):
                step = Step(self.study, notebook, parameters | more.get(name, {}), "run")
                readings.append((name, says, Attempt(step, name, self.main)))
        return [*readings, *written]

    def page(self) -> Task:
        """Return the task that writes the report, in the order of the notebooks."""
        executed = sorted(self.executed, key=lambda path: path.name)
        page = self.study.places.study_dir / "report.html"
        return {
            "name": "report",
            "doc": "writing the HTML report (seconds)",
            "actions": [(report.write, [executed, page])],
            "targets": [page],
            "uptodate": [(report.is_current, [executed, page])],
            "task_dep": self._after([self.attempts[-1].name]),
        }

    def end(self) -> Task:
        """Return the task that prints the results and what has failed."""
        return {
            "name": "show",
            "doc": "printing the overall table and where everything is",
            "actions": [(show, [self.attempts, self.last])],
            "task_dep": self._after(["report"]),
            "io": {"capture": False},
        }

    def _step(
        self,
        name: str,
        description: str,
        step: Step,
        runs: Step | Attempt,
        after: Sequence[str] = (),
    ) -> Task:
        """Return the task of a notebook; the terminal shows when it starts."""
        minutes = self.profile.minutes[name]
        announcement = f"== {name}: {description}; about {minutes:g} min on two cores"
        if name == "data":
            announcement += f", the whole study about {sum(self.profile.minutes.values()):.0f} min"
        return {
            "name": name + step.suffix,
            "doc": f"{description} (about {minutes:g} min)",
            "actions": [lambda: print(announcement, flush=True), runs.execute],
            "targets": [step.executed],
            "uptodate": [runs.is_current],
            "task_dep": self._after(after),
            "io": {"capture": False},  # steps run in threads, which share the terminal
        }

    def _after(self, names: Sequence[str]) -> list[str]:
        return [f"{self.name}:{name}" for name in names]


def _ask_for_dataset() -> TaskFailed:
    """Say that a dataset must be named."""
    return TaskFailed(
        "own: name your dataset: make study DATASET=NAME, with RAW=IMAGES CSV=FILE the first time"
    )


def _ask_for_photographs(dataset: str) -> TaskFailed:
    """Say that the published photographs are missing."""
    return TaskFailed(
        f"There is no data for {dataset}. Say where the published Clothing Attribute Dataset is, "
        "the folder of images/ and labels/: make photos RAW=FOLDER (data_prep/README.md says where "
        "it comes from)."
    )


def show(attempts: Sequence[Attempt], tables: Attempt) -> bool:
    """Print the overall table, and which steps have failed; return whether none has.

    Args:
        attempts: of a study.
        tables: the one that writes the tables.
    """
    if not tables.failure.exists():
        findings.show(tables.step.study.places.study_dir)
    failed = failures(attempts)
    for path in failed:
        print(f"FAILED: {path.stem}; why: {path}", flush=True)
    if failed:
        print("Run the same command again to try these once more; nothing else is repeated.")
    return not failed
