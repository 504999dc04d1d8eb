"""The page: controls on the left, what they find on the right."""

from __future__ import annotations

import sys
import traceback
from html import escape

import ipywidgets as widgets

from asen_tf.data import ImageError
from asen_tf.embedder import EmbedderError
from asen_tf.explorer import limits, rendering
from asen_tf.explorer.answers import Answer
from asen_tf.explorer.attribute_rows import AttributeRows
from asen_tf.explorer.errors import ExplorerError
from asen_tf.explorer.explorer import Explorer
from asen_tf.explorer.methods import sentence_on
from asen_tf.explorer.thumbnails import Thumbnails
from asen_tf.explorer.worker import Worker
from asen_tf.retrieval import RetrievalError

_SPOKEN = (ExplorerError, ImageError, EmbedderError, RetrievalError)  # errors that are sentences


class App:
    """An explorer's page.

    Args:
        explorer: what it shows.

    Attributes:
        widget: to be displayed.
        answer: of the last search; None before the first, or if the last was not possible.
    """

    def __init__(self, explorer: Explorer) -> None:
        """Make the controls; `start` searches for the first time."""
        self.explorer, self.answer = explorer, None
        self._worker, self._refusal = Worker(), ""
        self._method = explorer.first
        catalogue = explorer.catalogue(self._method)
        chosen, self._query = explorer.first_question()
        self._attributes = AttributeRows(catalogue.attributes, chosen, self.start)
        self._thumbnails = Thumbnails(self._picture, self._pick)
        self._methods = widgets.Dropdown(
            options=[(method.label, method) for method in explorer.methods], value=self._method
        )
        self._labelled = widgets.Checkbox(
            value=True, description="only images labelled for these", indent=False
        )
        self._upload = widgets.FileUpload(description="Upload a picture", icon="", multiple=False)
        self._upload.accept = ",".join(f".{kind.lower()}" for kind in ("jpg", *limits.FORMATS))
        self._status = widgets.HTML().add_class("ax-status")
        self._result = widgets.HTML()
        self._methods.observe(self._switch, "value")
        self._labelled.observe(lambda change: self.start(), "value")
        self._upload.observe(self._receive, "value")
        self.widget = self._arrange()

    def start(self) -> None:
        """Search with what is chosen now, in the background."""
        self._refusal = ""
        self._worker.ask(self.update)

    def update(self) -> None:
        """Search with what is chosen now, and show it; errors become sentences."""
        try:
            self._update()
        except Exception as error:  # a page must not fall silent
            self.answer = None
            self._say(_sentence(error))

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the search in the background."""
        self._worker.wait(seconds)

    def _update(self) -> None:
        weights, method, query = self._attributes.weights, self._method, self._query
        catalogue = self.explorer.catalogue(method)
        self._thumbnails.show(catalogue.labelled(tuple(weights)) or catalogue.ids, query.image)
        if not self.explorer.ready(method, weights):
            self._say(rendering.says(f"Loading {method.label} ..."))

        def report(done: int, total: int) -> None:
            text = f"First use of {method.label}: looking at the test images."
            self._say(rendering.progress(text, done, total))

        answer = self.explorer.search(
            method, query, weights, labelled_only=self._labelled.value, report=report
        )
        self._result.value = rendering.answer(answer, self._picture)
        self._say(rendering.says(rendering.summary(answer)))
        self.answer: Answer | None = answer

    def _say(self, status: str) -> None:
        """Show a status; why an upload was refused stays above it until the reader goes on."""
        self._status.value = self._refusal + status

    def _picture(self, image: int) -> str:
        return self.explorer.picture(self._method, image)

    # === What the reader does ===

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
        # Taken at once: of what the worker is asked while it searches, it does the last alone.
        try:
            query = self.explorer.upload(file["name"], bytes(file["content"]), file["size"])
        except Exception as error:
            self._refusal = _sentence(error)
            self._say("")
        else:
            self._query = query
            self.start()

    # === Layout ===

    def _arrange(self) -> widgets.Widget:
        promise = (
            f'<p class="ax-quiet">Up to {limits.LARGEST_BYTES // 2**20} MB; it stays on this '
            "machine, in memory.</p>"
        )
        method = [self._methods]
        if self.explorer.left_out:
            said = escape(sentence_on(self.explorer.left_out))
            method.append(widgets.HTML(f'<p class="ax-quiet">{said}</p>'))
        panel = widgets.VBox(
            [
                _part("Attributes and weights", self._attributes.widget, self._labelled),
                _part("Method", *method),
                _part("Picture", self._thumbnails.widget, self._upload, widgets.HTML(promise)),
            ]
        ).add_class("ax-panel")
        result = widgets.VBox([self._status, self._result]).add_class("ax-result")
        return widgets.VBox(
            [
                widgets.HTML(rendering.style() + rendering.heading()),
                widgets.Box([panel, result]).add_class("ax-columns"),
            ]
        ).add_class("ax")


def _sentence(error: Exception) -> str:
    """Return what the page says of an error; the terminal has an unexpected one's whole story."""
    if isinstance(error, _SPOKEN):
        return rendering.error(str(error))
    traceback.print_exception(error, file=sys.__stderr__)
    return rendering.error(
        "something unexpected went wrong; the terminal of `make explore` says what."
    )


def _part(title: str, *controls: widgets.Widget) -> widgets.Widget:
    return widgets.VBox([widgets.HTML(f"<h2>{title}</h2>"), *controls])
