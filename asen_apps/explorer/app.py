"""The page: controls on the left, what they find on the right."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as widgets
from IPython.display import HTML, display
from tqdm import tqdm

from asen_apps.explorer import LARGEST_BYTES, ExplorerError, rendering
from asen_apps.explorer.controls import AttributeRows, Thumbnails
from asen_apps.explorer.explorer import Answer, Explorer
from asen_apps.explorer.methods import explain_left_out
from asen_apps.explorer.queries import FORMATS
from asen_apps.search import SearchIndexError
from asen_tf.data.images import ImageError
from asen_tf.embedder import EmbedderError

_EXPECTED = (ExplorerError, ImageError, EmbedderError, SearchIndexError)  # messages for the reader
_VIEW = "application/vnd.jupyter.widget-view+json"


def show(place: Path | str, data_dir: Path | str, *, count: int = 12) -> None:
    """Display the explorer of a study: the notebook's one call.

    As a page (under Voila) it appears at once and searches in the background. In a notebook the
    first search is made beforehand, and its result is also kept as plain HTML, for readers of the
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
        display(HTML(_static(rendering.error(str(error)))))
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
    """Return an explorer's first result as HTML that needs neither Python nor JavaScript."""
    chosen, query = explorer.first_question()
    bar = tqdm(desc="embedding the test images", unit="image", leave=False)

    def on_progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        weights = dict.fromkeys(chosen, 1.0)
        answer = explorer.search(explorer.first, query, weights, on_progress=on_progress)
        shown = rendering.answer(answer, explorer.picture)
        return _static(rendering.paragraph(rendering.summary(answer)) + shown)
    except ExplorerError as error:
        return _static(rendering.error(str(error)))
    finally:
        bar.close()


def _static(body: str) -> str:
    return f'<div class="ax">{rendering.style()}{rendering.heading()}{body}</div>'


class Worker:
    """Does one job at a time in the background; of those that arrive meanwhile, only the last.

    So the page stays responsive during a slow job, and quick changes do not pile up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def ask(self, job: Callable[[], None]) -> None:
        """Do a job as soon as the running one has ended; return at once."""
        with self._lock:
            self._next = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until there is nothing left to do."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                job, self._next = self._next, None
                if job is None:
                    self._thread = None
                    return
            job()


class App:
    """An explorer's page; `start` searches for the first time.

    Args:
        explorer: what it shows.

    Attributes:
        widget: to be displayed.
        answer: of the last search; None before the first, or if the last one failed.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.answer: Answer | None = None
        self._worker, self._refusal = Worker(), ""
        self._method = explorer.first
        chosen, self._query = explorer.first_question()
        self._attributes = AttributeRows(explorer.gallery.attributes, chosen, self.start)
        self._thumbnails = Thumbnails(explorer.picture, self._pick)
        self._methods = widgets.Dropdown(
            options=[(method.label, method) for method in explorer.methods], value=self._method
        )
        self._labelled = widgets.Checkbox(
            value=True, description="only images labelled for these", indent=False
        )
        self._upload = widgets.FileUpload(description="Upload a picture", icon="", multiple=False)
        self._upload.accept = ",".join(f".{kind.lower()}" for kind in ("jpg", *FORMATS))
        self._status = widgets.HTML().add_class("ax-status")
        self._result = widgets.HTML()
        self._methods.observe(self._switch, "value")
        self._labelled.observe(lambda change: self.start(), "value")
        self._upload.observe(self._receive, "value")
        self.widget = self._arrange()

    def start(self) -> None:
        """Search with the current choices, in the background."""
        self._refusal = ""
        self._worker.ask(self.update)

    def update(self) -> None:
        """Search with the current choices and show the result; errors become sentences."""
        try:
            self._update()
        except Exception as error:  # a page must not fail silently
            self.answer = None
            self._say(_error(error))

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the search in the background."""
        self._worker.wait(seconds)

    def _update(self) -> None:
        weights, method, query = self._attributes.weights, self._method, self._query
        gallery = self.explorer.gallery
        if labelled := gallery.labelled(tuple(weights)):
            title = "Test images labelled for these attributes"
            self._thumbnails.show(title, labelled, query.image)
        else:
            self._thumbnails.show("All test images", gallery.ids, query.image)
        if not self.explorer.ready(method, weights):
            self._say(rendering.paragraph(f"Loading {method.label} ..."))

        def on_progress(done: int, total: int) -> None:
            text = f"Preparing the test images for {method.label}, on first use only:"
            self._say(rendering.progress(text, done, total))

        answer = self.explorer.search(
            method, query, weights, labelled_only=self._labelled.value, on_progress=on_progress
        )
        self._result.value = rendering.answer(answer, self.explorer.picture)
        self._say(rendering.paragraph(rendering.summary(answer)))
        self.answer = answer

    def _say(self, status: str) -> None:
        """Show a status; why an upload was refused stays above it until the next action."""
        self._status.value = self._refusal + status

    # === What the visitor does ===

    def _pick(self, image: int) -> None:
        self._query = self.explorer.test_image(image)
        self.start()

    def _switch(self, change: dict) -> None:
        self._method = change["new"]
        self.start()

    def _receive(self, change: dict) -> None:
        if not change["new"]:
            return
        file = change["new"][0]
        self._upload.value = ()  # so that the same file can be chosen again
        # Checked here: the worker, while it searches, forgets all but the last of its jobs.
        try:
            query = self.explorer.upload(file["name"], bytes(file["content"]), file["size"])
        except Exception as error:
            self._refusal = _error(error)
            self._say("")
        else:
            self._query = query
            self.start()

    # === Layout ===

    def _arrange(self) -> widgets.Widget:
        limit = f"Up to {LARGEST_BYTES // 2**20} MB. It stays in this machine's memory."
        left_out = explain_left_out(self.explorer.left_out)
        panel = widgets.VBox(
            [
                _part("Attributes and weights", self._attributes.widget, self._labelled),
                _part("Method", self._methods, *([_hint(left_out)] if left_out else [])),
                _part("Picture", self._thumbnails.widget, self._upload, _hint(limit)),
            ]
        ).add_class("ax-panel")
        result = widgets.VBox([self._status, self._result]).add_class("ax-result")
        heading = widgets.HTML(rendering.style() + rendering.heading())
        columns = widgets.Box([panel, result]).add_class("ax-columns")
        return widgets.VBox([heading, columns]).add_class("ax")


def _error(error: Exception) -> str:
    """Return what the page says about an error; the traceback of an unexpected one is printed."""
    if isinstance(error, _EXPECTED):
        return rendering.error(str(error))
    traceback.print_exception(error, file=sys.__stderr__)
    return rendering.error(
        "Something unexpected went wrong. See the terminal of `make explore` for details."
    )


def _part(title: str, *controls: widgets.Widget) -> widgets.Widget:
    return widgets.VBox([widgets.HTML(f"<h2>{title}</h2>"), *controls])


def _hint(text: str) -> widgets.Widget:
    return widgets.HTML(f'<p class="ax-muted">{escape(text)}</p>')
