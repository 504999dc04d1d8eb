"""The pipeline: `doit quick` runs the study, `doit list --all` shows its steps.

Steps are notebooks, run by papermill. Each is done when it is out of date, and only then.
Options: data_dir=DIR and results_dir=DIR, as in `doit quick results_dir=/tmp/results`.
"""

from doit import get_var

from asen_tf import report
from asen_tf.pipeline import Step, Study

DOIT_CONFIG = {
    "default_tasks": ["quick"],
    "verbosity": 2,
    "backend": "sqlite3",
    "dep_file": ".doit.db",
}

# What each profile renders, and the minutes of its steps on two cores, for the announcements.
PROFILES = {
    "quick": {
        "data_dir": "data",
        "images": {"images": 6000, "image_size": 320},
        "minutes": {"data": 1.5, "backbone": 5, "train": 6, "evaluate": 0.5, "results": 0.3},
    },
    "smoke": {
        "data_dir": "data/smoke",
        "images": {"images": 160, "image_size": 96},
        "minutes": {"data": 0.3, "backbone": 0.5, "train": 1, "evaluate": 0.5, "results": 0.3},
    },
}


def study(profile: str) -> Study:
    data_dir = get_var("data_dir", PROFILES[profile]["data_dir"])
    return Study(profile, data_dir, get_var("results_dir", "results"))


def steps(profile: str) -> dict[str, tuple[str, Step]]:
    """Return what each step says it does, and the step, in the order in which they run."""
    of = study(profile)
    results = {"results_dir": of.results_dir, "study": profile}
    places = {"data_dir": of.data_dir, **results}
    training = {"preset": profile, **places}
    images = PROFILES[profile]["images"]
    return {
        "data": (
            "making and checking the data",
            Step(of, "01_prepare_data", {**images, **places}),
        ),
        "backbone": (
            "training the starting backbone",
            Step(of, "02_pretrain_backbone", training, "backbone"),
        ),
        "train": ("training in two stages", Step(of, "03_train", training, "run")),
        "evaluate": ("evaluating, drawing", Step(of, "04_evaluate", training, "run")),
        "results": (
            "writing tables and figures",
            Step(of, "05_results", {"preset": profile, **results}, "runs"),
        ),
    }


def announce(text: str) -> None:
    print(text, flush=True)


def tasks(profile: str):
    minutes, previous, executed = PROFILES[profile]["minutes"], [], []
    for name, (says, step) in steps(profile).items():
        announcement = f"== {name}: {says}; about {minutes[name]:g} min on two cores"
        yield {
            "name": name,
            "doc": f"{says} (about {minutes[name]:g} min)",
            "actions": [(announce, [announcement]), step.execute],
            "targets": [step.executed],
            "uptodate": [step.is_current],
            "task_dep": previous,
        }
        previous = [f"{profile}:{name}"]
        executed.append(step.executed)
    page = study(profile).place / "report.html"
    yield {
        "name": "report",
        "doc": "writing the HTML report (seconds)",
        "actions": [(report.write, [executed, page])],
        "targets": [page],
        "uptodate": [(report.is_current, [executed, page])],
        "task_dep": previous,
    }
    yield {
        "name": "show",
        "doc": "printing the overall table and where everything is",
        "actions": [(report.show, [study(profile).place])],
        "task_dep": [f"{profile}:report"],
    }


def task_quick():
    yield from tasks("quick")


def task_smoke():
    yield from tasks("smoke")
