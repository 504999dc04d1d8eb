"""The pipeline: `doit quick` runs the study, `doit list --all` shows its steps.

Steps are notebooks, run by papermill. Each is done when it is out of date, and only then.
Options: data_dir=DIR, results_dir=DIR and jobs=N (methods that are trained side by side), as in
`doit -n 2 -P thread quick results_dir=/tmp/results jobs=2`.
"""

import os

from doit import get_var

from asen_tf import report
from asen_tf.cells import Cell, Progress, failures
from asen_tf.matrix import MAIN, ROWS
from asen_tf.pipeline import Step, Study

DOIT_CONFIG = {
    "default_tasks": ["quick"],
    "verbosity": 2,
    "backend": "sqlite3",
    "dep_file": ".doit.db",
}

# What each profile renders and trains, and the minutes of its steps on two cores.
QUICK = {
    "preset": "quick",
    "data_dir": "data",
    "images": {"images": 6000, "image_size": 320},
    "rows": MAIN,
    "seeds": (0,),
    "minutes": {"data": 1.5, "backbone": 3.5, "train": 12, "evaluate": 0.5, "results": 0.3},
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
        "minutes": {"data": 0.3, "backbone": 0.5, "train": 1, "evaluate": 0.5, "results": 0.3},
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

    def step(name, says, notebook, after=()):
        minutes = settings["minutes"][name]
        announcement = f"== {name}: {says}; about {minutes:g} min on two cores"
        return {
            "name": name + notebook.suffix,
            "doc": f"{says} (about {minutes:g} min)",
            "actions": [(print_now, [announcement]), notebook.execute],
            "targets": [notebook.executed],
            "uptodate": [notebook.is_current],
            "task_dep": [f"{profile}:{other}" for other in after],
            "io": {"capture": False},  # steps run in threads, which share the terminal
        }

    data = Step(study, "01_prepare_data", {**settings["images"], **places})
    yield step("data", "making and checking the data", data)
    executed = [data.executed]

    # What runs start from, then the runs: side by side, each with its share of the cores.
    jobs = int(get_var("jobs", 1))
    threads = max((os.cpu_count() or 1) // jobs, 1)
    progress = Progress(0, jobs)
    trained = []
    for seed in settings["seeds"]:
        suffix = f"-seed{seed}" if len(settings["seeds"]) > 1 else ""
        start = Step(
            study,
            "02_pretrain_backbone",
            {**preset, "seed": seed, **places},
            "backbone",
            suffix,
        )
        # One seed after the other, so that an unfinished study has whole seeds to show: each run
        # waits for the one that is as many places before it as run side by side.
        before = trained[-jobs:][:1] if len(trained) >= jobs else []
        says = f"training the starting backbone, seed {seed}"
        yield step("backbone", says, start, ["data", *before])
        executed += [start.executed] if seed == settings["seeds"][0] else []
        for row in sorted(settings["rows"], key=lambda row: row != "asen_pp"):
            cell = Cell(study, row, seed, threads, progress)
            shared = [f"train:asen_pp:{seed}"] if row.startswith("asen_pp/") else []
            before = trained[-jobs:][:1] if len(trained) >= jobs else []
            needs = [f"backbone{suffix}", *shared, *before]
            if row == "asen_pp" and seed == settings["seeds"][0]:
                executed.append(cell.step.executed)
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
    for name, says, notebook in readers(profile, study, preset, places):
        yield step(name, says, notebook, after)
        after = [name]
        executed.append(notebook.executed)
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
        "actions": [(show, [study])],
        "task_dep": [f"{profile}:report"],
        "io": {"capture": False},
    }


def readers(profile, study, preset, places):
    """Return name, what it says and the notebook of each step that reads finished runs."""
    evaluate = Step(study, "04_evaluate", {**preset, **places}, "run")
    tables = Step(study, "05_results", {**preset, **places}, "runs")
    ablations = Step(study, "06_ablations", {**preset, **places}, "runs")
    if profile == "ablations":
        return [("ablations", "comparing all rows", ablations)]
    return [
        ("evaluate", "evaluating, drawing", evaluate),
        ("results", "writing tables and figures", tables),
    ]


def print_now(text: str) -> None:
    print(text, flush=True)


def show(study: Study) -> bool:
    report.show(study.place)
    failed = failures(study)
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
