"""The pipeline: `doit quick` runs the study, `doit list --all` shows its steps.

Steps are notebooks, run by papermill. Each is done when it is out of date, and only then. One that
fails is reported and skipped, with what cannot do without it; all else is still made.
Options: data_dir=DIR, results_dir=DIR, jobs=N (methods that are trained side by side), rows=A,B
and seeds=M,N (other ones than the profile's), as in
`doit -n 2 -P thread quick results_dir=/tmp/results jobs=2 rows=csn,asen_pp seeds=0,1`.
"""

import os

from doit import get_var

from asen_study import report
from asen_study.cells import Attempt, Cell, Progress, failures
from asen_study.matrix import MAIN, ROWS
from asen_study.pipeline import Step, Study

DOIT_CONFIG = {"default_tasks": ["quick"], "verbosity": 2}
DOIT_CONFIG |= {"backend": "sqlite3", "dep_file": ".doit.db"}

# What each profile renders and trains, and the minutes of its steps on two cores.
READING = {"evaluate": 0.5, "rerank": 0.5, "evidence": 0.4, "results": 0.3}
QUICK = {
    "preset": "quick",
    "data_dir": "data",
    "images": {"images": 6000, "image_size": 320},
    "rows": MAIN,
    "seeds": (0,),
    "minutes": {"data": 1.5, "backbone": 3.5, "train": 12, **READING},
}
PROFILES = {
    "quick": QUICK,
    "ablations": QUICK | {"rows": tuple(ROWS), "seeds": (0, 1, 2)},
    "smoke": {
        "preset": "smoke",
        "data_dir": "data/smoke",
        "images": {"images": 160, "image_size": 96},
        "rows": MAIN,
        "seeds": (0,),
        "minutes": {"data": 0.3, "backbone": 0.5, "train": 1, **READING},
    },
}
PROFILES["ablations"]["minutes"] = QUICK["minutes"] | {"train": 200, "ablations": 3}


def tasks(profile: str):
    settings = PROFILES[profile]
    study = Study(
        profile,
        settings["preset"],
        get_var("data_dir", settings["data_dir"]),
        get_var("results_dir", "results"),
    )
    results = {"results_dir": study.results_dir, "study": profile}
    places = {"data_dir": study.data_dir, **results}
    preset = {"preset": study.preset}
    rows = get_var("rows", ",".join(settings["rows"])).split(",")
    seeds = get_var("seeds", ",".join(map(str, settings["seeds"])))
    seeds = [int(seed) for seed in seeds.split(",")]

    def step(name, says, notebook, run, after=()):
        minutes = settings["minutes"][name]
        announcement = f"== {name}: {says}; about {minutes:g} min on two cores"
        return {
            "name": name + notebook.suffix,
            "doc": f"{says} (about {minutes:g} min)",
            "actions": [lambda: print(announcement, flush=True), run.execute],
            "targets": [notebook.executed],
            "uptodate": [run.is_current],
            "task_dep": [f"{profile}:{other}" for other in after],
            "io": {"capture": False},  # steps run in threads, which share the terminal
        }

    data = Step(study, "01_prepare_data", {**settings["images"], **places})
    yield step("data", "making and checking the data", data, data)  # nothing goes without it
    executed = [data.executed]

    # What runs start from, then the runs: side by side, each with its share of the cores.
    jobs = int(get_var("jobs", 1))
    threads = max((os.cpu_count() or 1) // jobs, 1)
    progress = Progress(0, jobs)
    trained, attempts, main = [], [], None
    for seed in seeds:
        suffix = f"-seed{seed}" if len(seeds) > 1 else ""
        notebook = Step(
            study,
            "02_pretrain_backbone",
            {**preset, "seed": seed, **places},
            "backbone",
            suffix,
        )
        start = Attempt(notebook, f"backbone-seed{seed}")
        attempts.append(start)
        # One seed after the other, so that an unfinished study has whole seeds to show: each run
        # waits for the one that is as many places before it as run side by side.
        before = trained[-jobs:][:1] if len(trained) >= jobs else []
        says = f"training the starting backbone, seed {seed}"
        yield step("backbone", says, notebook, start, ["data", *before])
        executed += [notebook.executed] if seed == seeds[0] else []
        for row in sorted(rows, key=lambda row: row != "asen_pp"):
            cell = Cell(study, row, seed, threads, progress, start)
            shares = row.startswith("asen_pp/") and "asen_pp" in rows
            shared = [f"train:asen_pp:{seed}"] if shares else []
            before = trained[-jobs:][:1] if len(trained) >= jobs else []
            needs = [f"backbone{suffix}", *shared, *before]
            if row == "asen_pp" and seed == seeds[0]:
                main = cell.trial
                executed.append(cell.step.executed)
            attempts.append(cell.trial)
            trained.append(f"train:{row}:{seed}")
            yield {
                "name": trained[-1],
                "doc": f"training {row}, seed {seed}",
                "actions": [cell.attempt],
                "uptodate": [cell.is_current],
                "task_dep": [f"{profile}:{name}" for name in needs],
                "io": {"capture": False},
            }
            if not cell.is_current():
                progress.total += 1

    # What the runs say.
    after = trained
    for name, says, reader in readers(profile, study, {**preset, **places}, main, rows):
        yield step(name, says, reader.step, reader, after)
        after = [name]
        attempts.append(reader)
        executed.append(reader.step.executed)
    executed.sort(key=lambda path: path.name)  # the page has the order of the notebooks
    page = study.place / "report.html"
    yield {
        "name": "report",
        "doc": "writing the HTML report (seconds)",
        "actions": [(report.write, [executed, page])],
        "targets": [page],
        "uptodate": [(report.is_current, [executed, page])],
        "task_dep": [f"{profile}:{after[0]}"],
    }
    yield {
        "name": "show",
        "doc": "printing the overall table and where everything is",
        "actions": [(show, [attempts])],
        "task_dep": [f"{profile}:report"],
        "io": {"capture": False},
    }


def readers(profile, study, parameters, main, rows):
    """Return name, what it says and the attempt of each step that reads finished runs.

    The last one writes the tables; `main` is the run that is evaluated on its own, if there is one.
    Re-ranking needs the triplet network's run beside it.
    """
    if profile == "ablations":
        ablations = Step(study, "06_ablations", parameters, "runs")
        return [("ablations", "comparing all rows", Attempt(ablations, "ablations"))]
    tables = Attempt(Step(study, "05_results", parameters, "runs"), "results")
    written = [("results", "writing tables and figures", tables)]
    if main is None:
        return written
    parameters = {**parameters, "seed": main.step.parameters["seed"]}
    steps = [
        ("evaluate", "evaluating, drawing", "04_evaluate"),
        ("rerank", "re-ranking general results by an attribute", "07_rerank"),
        ("evidence", "writing a sheet of design evidence", "08_design_evidence"),
    ]
    readings = [
        (name, says, Attempt(Step(study, notebook, parameters, "run"), name, main))
        for name, says, notebook in steps
        if name != "rerank" or "triplet" in rows
    ]
    return [*readings, *written]


def show(attempts: list[Attempt]) -> bool:
    tables = attempts[-1]  # the last step writes them
    if not tables.failure.exists():
        report.show(tables.step.study.place)
    failed = failures(attempts)
    for path in failed:
        print(f"FAILED: {path.stem}; why: {path}", flush=True)
    if failed:
        print("Run the same command again to try these once more; nothing else is repeated.")
    return not failed


def task_quick():
    yield from tasks("quick")


def task_ablations():
    yield from tasks("ablations")


def task_smoke():
    yield from tasks("smoke")
