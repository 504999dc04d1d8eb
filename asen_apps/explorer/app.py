"""The page: controls on the left, what they find on the right."""

from __future__ import annotations

import base64
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode

import ipywidgets as widgets
from IPython.display import HTML, display
from tqdm import tqdm
from traitlets import Unicode

from asen_apps.explorer import LARGEST_BYTES, ExplorerError, rendering
from asen_apps.explorer.answer import Answer
from asen_apps.explorer.explorer import CatalogueExplorer, Explorer
from asen_apps.explorer.gallery import CatalogueGallery, capital
from asen_apps.explorer.methods import explain_left_out
from asen_apps.search import SearchIndexError
from asen_apps.search.service import FORMATS
from asen_tf.data.images import ImageError
from asen_tf.embedder import EmbedderError

MOST = 240  # pictures that a search shows
_EXPECTED = (ExplorerError, ImageError, EmbedderError, SearchIndexError)  # messages for the reader
_VIEW = "application/vnd.jupyter.widget-view+json"


def show(
    place: Path | str,
    data_dir: Path | str,
    *,
    count: int = 12,
    index: Path | str = "",
    model: Path | str = "",
    root: Path | str = "",
) -> None:
    """Display the explorer of a study, or of an index: the notebook's one call.

    As a page (under Voila) it appears at once and searches in the background. In a notebook the
    first search is made beforehand, and its result is also kept as plain HTML, for readers of the
    executed notebook who have no Python running behind it.

    Args:
        place: the study's directory, `results/runs/<study>`.
        data_dir: the directory of meta.json and the datasets.
        count: how many images a search returns.
        index: the folder of an index, which is shown instead of the study.
        model: of the index, if it has moved since.
        root: the folder of the index's images, if they have.
    """
    try:
        if index:
            explorer = CatalogueExplorer(index, count=count, model=model, root=root)
        else:
            explorer = Explorer(place, data_dir, count=count)
        app = App(explorer)
    except ExplorerError as error:
        noun = "image" if index else "test image"
        display(HTML(_static(rendering.error(str(error)), noun)))
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
    noun = explorer.gallery.noun
    bar = tqdm(desc=f"embedding the {noun}s", unit="image", leave=False)

    def on_progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        weights = dict.fromkeys(chosen, 1.0)
        answer = explorer.search(explorer.first, query, weights, on_progress=on_progress)
        shown = rendering.answer(answer, explorer.picture)
        return _static(rendering.paragraph(rendering.summary(answer)) + shown, noun)
    except _EXPECTED as error:
        return _static(rendering.error(str(error)), noun)
    finally:
        bar.close()


def _static(body: str, noun: str) -> str:
    return f'<div class="ax">{rendering.style()}{rendering.heading(noun)}{body}</div>'


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


class _Sent(widgets.Textarea):
    """A text field whose text does not come back to the page: a picture is 13 MB of it."""

    value = Unicode().tag(sync=True, echo_update=False)


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
        gallery = explorer.gallery
        self._attributes = rendering.AttributeRows(gallery.attributes, chosen, self.start)
        self._thumbnails = rendering.Thumbnails(explorer.picture, self._pick, gallery.title)
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
        self._count = explorer.count
        self._more = widgets.Button(description="Show more").add_class("ax-more")
        self._more.on_click(lambda _: self._enlarge())
        self._catalogue = isinstance(explorer.gallery, CatalogueGallery)
        self._where = widgets.Text(
            placeholder="brand=Acme; price<50", continuous_update=False
        ).add_class("ax-where")
        # What explorer.js sends: a click on a picture, a file that was dropped, the address.
        self._sent = _Sent(continuous_update=True).add_class("ax-sent")
        self._address = widgets.HTML().add_class("ax-address")
        self._where.observe(lambda change: self.start(), "value")
        self._sent.observe(self._hear, "value")
        self._methods.observe(self._switch, "value")
        self._labelled.observe(lambda change: self.start(), "value")
        self._upload.observe(self._receive, "value")
        self.widget = self._arrange()

    def start(self) -> None:
        """Search with the current choices, in the background."""
        self._refusal, self._count = "", self.explorer.count
        self._worker.ask(self.update)

    @property
    def conditions(self) -> list[str]:
        """What the images must fulfil; always empty for a study."""
        texts = re.split(r"[;\n]", self._where.value) if self._catalogue else []
        return [text.strip() for text in texts if text.strip()]

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
        nouns = capital(f"{gallery.noun}s") if gallery.noun != "image" else "Images"
        if labelled := gallery.labelled(tuple(weights)):
            title = f"{nouns} labelled for these attributes"
            self._thumbnails.show(title, labelled, query.image)
        else:
            self._thumbnails.show(f"All {nouns[:1].lower()}{nouns[1:]}", gallery.ids, query.image)
        if not self.explorer.ready(method, weights):
            self._say(rendering.paragraph(f"Loading {method.label} ..."))

        def on_progress(done: int, total: int) -> None:
            text = f"Preparing the {gallery.noun}s for {method.label}, on first use only:"
            self._say(rendering.progress(text, done, total))

        answer = self.explorer.search(
            method,
            query,
            weights,
            labelled_only=self._labelled.value,
            where=self.conditions,
            count=self._count,
            on_progress=on_progress,
        )
        self._more.disabled = len(answer.neighbours) < self._count or self._count >= MOST
        link = escape(self.address(), quote=True)
        own = "" if query.image is not None else " (without your picture)"
        text = f"Link to this query{own}"
        self._address.value = f'<a href="#{link}" data-address="{link}">{text}</a>'
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

    def _enlarge(self) -> None:
        self._count = min(self._count + self.explorer.count, MOST)
        self._worker.ask(self.update)

    def address(self) -> str:
        """Return the settings of the query, as they stand in the page's address."""
        settings = [("attribute", f"{n}:{w:g}") for n, w in self._attributes.weights.items()]
        settings += [("where", text) for text in self.conditions]
        if self._query.image is not None:
            settings.append(("image", self._query.title))
        if not self._labelled.value:
            settings.append(("unlabelled", "yes"))
        if self._method is not self.explorer.first:
            settings.append(("method", self._method.label))
        if self._count != self.explorer.count:
            settings.append(("count", str(self._count)))
        return urlencode(settings)

    def go(self, address: str) -> None:
        """Run the query of an address; unknown parts of it are ignored."""
        said = parse_qs(address.lstrip("#"))
        weights = dict(text.rpartition(":")[::2] for text in said.get("attribute", []))
        self._attributes.choose(weights)
        self._where.value = "; ".join(said.get("where", []))
        self._labelled.value = "unlabelled" not in said
        gallery = self.explorer.gallery
        for title in said.get("image", []):
            image = gallery.named(title)
            if image is not None:
                self._query = self.explorer.test_image(image)
        for label_ in said.get("method", []):
            for method in self.explorer.methods:
                if method.label == label_:
                    self._methods.value = method
        count = said.get("count", [""])[0]
        self._refusal, self._count = "", self.explorer.count
        if count.isdecimal():
            self._count = min(max(int(count), 1), MOST)
        self._worker.ask(self.update)

    def _hear(self, change: dict) -> None:
        """Do what explorer.js sends: `<number>|image:7`, `|address:...`, `|file:name:base64`.

        `|drawn:` says that the page has been made; what changed while it was may be lost.
        """
        kind, _, rest = change["new"].partition("|")[2].partition(":")
        if not kind:
            return
        self._sent.value = ""
        if kind == "image" and rest.isdecimal() and int(rest) in self.explorer.gallery.ids:
            self._pick(int(rest))
        elif kind == "address":
            self.go(rest)
        elif kind == "drawn":
            for part in (self._status, self._result, self._address):
                part.send_state("value")
        elif kind == "file":
            name, _, coded = rest.partition(":")
            with suppress(ValueError):
                content = base64.b64decode(coded, validate=True)
                self._take(unquote(name), content, len(content))

    def _receive(self, change: dict) -> None:
        if not change["new"]:
            return
        file = change["new"][0]
        self._upload.value = ()  # so that the same file can be chosen again
        self._take(file["name"], bytes(file["content"]), file["size"])

    def _take(self, name: str, content: bytes, size: int) -> None:
        # Checked here: the worker, while it searches, forgets all but the last of its jobs.
        try:
            query = self.explorer.upload(name, content, size)
        except Exception as error:
            self._refusal = _error(error)
            self._say("")
        else:
            self._query = query
            self.start()

    # === Layout ===

    def _arrange(self) -> widgets.Widget:
        limit = f"Or paste or drop one, up to {LARGEST_BYTES // 2**20} MB. It stays in this "
        limit += "machine's memory."
        left_out = explain_left_out(self.explorer.left_out)
        parts = [
            _part("Attributes and weights", self._attributes.widget, self._labelled),
            _part("Method", self._methods, *([_hint(left_out)] if left_out else [])),
            _part("Picture", self._thumbnails.widget, self._upload, _hint(limit)),
        ]
        if self._catalogue:  # one model, and conditions instead of labels
            self._labelled.layout.display = "none"
            fields = {name for about in self.explorer.gallery.metadata.values() for name in about}
            known = f"Fields: {', '.join(sorted(fields)) or 'none'}. Several: with ; between them."
            parts[1] = _part("Only images with", self._where, _hint(known))
        panel = widgets.VBox(parts).add_class("ax-panel")
        shown = [self._status, self._result, self._more, self._address, self._sent]
        result = widgets.VBox(shown).add_class("ax-result")
        heading = widgets.HTML(rendering.style() + rendering.heading(self.explorer.gallery.noun))
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
