"""The notebook's one call."""

from __future__ import annotations

import os
from pathlib import Path

from IPython.display import HTML, display
from tqdm import tqdm

from asen_apps.explorer import rendering
from asen_apps.explorer.app import App
from asen_apps.explorer.errors import ExplorerError
from asen_apps.explorer.explorer import Explorer

_VIEW = "application/vnd.jupyter.widget-view+json"


def show(place: Path | str, data_dir: Path | str, *, count: int = 12) -> None:
    """Display the explorer of a study.

    As a page (under Voila) it appears at once and searches in the background. In a notebook the
    first search is made before; its result is kept as plain HTML as well, for readers of the
    executed notebook who have no Python running behind it.

    Args:
        place: the study's directory, `results/<study>`.
        data_dir: the directory of meta.json and the datasets.
        count: how many images a search returns.
    """
    try:
        explorer = Explorer(place, data_dir, count=count)
        app = App(explorer)
    except ExplorerError as error:
        body = rendering.heading() + rendering.error(str(error))
        display(HTML(f'<div class="ax">{rendering.style()}{body}</div>'))
        return
    if "VOILA_REQUEST_URL" in os.environ:
        app.start()
        display(app.widget)
        return
    view = {"version_major": 2, "version_minor": 0, "model_id": app.widget.model_id}
    still = snapshot(explorer)
    app.start()
    display({_VIEW: view, "text/html": still, "text/plain": rendering.TITLE}, raw=True)


def snapshot(explorer: Explorer) -> str:
    """Return the first result of an explorer as HTML that needs neither Python nor JavaScript."""
    method = explorer.first
    chosen, query = explorer.first_question()
    bar = tqdm(desc="embedding the test images", unit="image", leave=False)

    def report(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        answer = explorer.search(method, query, dict.fromkeys(chosen, 1.0), report=report)
        shown = rendering.answer(answer, lambda image: explorer.picture(method, image))
        body = rendering.says(rendering.summary(answer)) + shown
    except ExplorerError as error:
        body = rendering.error(str(error))
    finally:
        bar.close()
    return f'<div class="ax">{rendering.style()}{rendering.heading()}{body}</div>'
