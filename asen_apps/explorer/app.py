"""The page: controls on the left, what they find on the right.

One thread that does the latest thing asked of it.

The controls of the attributes: which ones, and how much each counts.

The choice among the test images: a page of pictures, each of them a button.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from html import escape

import ipywidgets as widgets

from asen_apps.explorer import errors as limits
from asen_apps.explorer import rendering
from asen_apps.explorer.answers import Answer
from asen_apps.explorer.errors import ExplorerError
from asen_apps.explorer.explorer import Explorer
from asen_apps.explorer.methods import sentence_on
from asen_apps.search import SearchIndexError
from asen_tf.data import label
from asen_tf.data.images import ImageError
from asen_tf.embedder import EmbedderError


class Worker:
    """Does jobs one at a time; of those that arrive meanwhile, only the last.

    So a page stays responsive while a slow job runs, and quick changes do not pile up.
    """

    def __init__(self) -> None:
        """Start idle."""
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def ask(self, job: Callable[[], None]) -> None:
        """Do a job as soon as the one that runs has ended; return at once."""
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


class AttributeRows:
    """A box to tick and a weight per attribute.

    Args:
        names: the attributes.
        chosen: those that are ticked at first.
        changed: called after every change.

    Attributes:
        widget: what is shown.
    """

    def __init__(
        self, names: Iterable[str], chosen: Iterable[str], changed: Callable[[], None]
    ) -> None:
        """Make the controls."""
        chosen = set(chosen)
        self._rows = {name: self._row(name, name in chosen, changed) for name in names}
        rows = [widgets.Box(list(pair)).add_class("ax-row") for pair in self._rows.values()]
        self.widget = widgets.VBox(rows)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every ticked attribute."""
        return {name: weight.value for name, (tick, weight) in self._rows.items() if tick.value}

    def _row(
        self, name: str, ticked: bool, changed: Callable[[], None]
    ) -> tuple[widgets.Checkbox, widgets.FloatSlider]:
        tick = widgets.Checkbox(value=ticked, description=label(name), indent=False)
        weight = widgets.FloatSlider(
            value=1.0,
            min=0.1,
            max=1.0,
            step=0.1,
            readout_format=".1f",
            disabled=not ticked,
            continuous_update=False,
        )
        weight.tooltip = f"weight of {label(name)}"

        def ticks(change: dict) -> None:
            weight.disabled = not change["new"]
            changed()

        tick.observe(ticks, "value")
        weight.observe(lambda change: changed(), "value")
        return tick, weight


PER_PAGE = 8


class Thumbnails:
    """Buttons with pictures, and two that turn the page.

    Args:
        picture: test image number -> its picture, as `data:` URI; "" where it cannot be read.
        pick: called with the number of the image that was chosen.

    Attributes:
        widget: what is shown.
    """

    def __init__(self, picture: Callable[[int], str], pick: Callable[[int], None]) -> None:
        """Make the controls; `show` fills them."""
        self._picture, self._pick = picture, pick
        self._images: tuple[int, ...] = ()
        self._page, self._chosen = 0, None
        self._style, self._where = widgets.HTML(), widgets.HTML()
        self._buttons = [widgets.Button() for _ in range(PER_PAGE)]
        for place, button in enumerate(self._buttons):
            button.add_class(f"ax-thumb-{place}")
            button.on_click(lambda _, place=place: self._clicked(place))
        self._back = widgets.Button(description="Previous")
        self._on = widgets.Button(description="Next")
        self._back.on_click(lambda _: self._turn(-1))
        self._on.on_click(lambda _: self._turn(1))
        turning = widgets.Box([self._back, self._on]).add_class("ax-buttons")
        pictures = widgets.Box(self._buttons).add_class("ax-thumbs")
        self.widget = widgets.VBox([self._style, self._where, pictures, turning])

    def show(self, images: Sequence[int], chosen: int | None) -> None:
        """Offer images, and mark the chosen one; the page stays where it is if they are the same.

        Args:
            images: test image numbers.
            chosen: one of them, or another one, or None.
        """
        if tuple(images) != self._images:
            self._images = tuple(images)
            place = self._images.index(chosen) if chosen in self._images else 0
            self._page = place // PER_PAGE
        self._chosen = chosen
        self._draw()

    def _draw(self) -> None:
        first = self._page * PER_PAGE
        shown = self._images[first : first + PER_PAGE]
        rules, lost = [], []
        for place, button in enumerate(self._buttons):
            button.layout.display = None if place < len(shown) else "none"
            if place < len(shown):
                uri = self._picture(shown[place])
                self._dress(button, shown[place], bool(uri))
                if uri:
                    rule = f".ax .ax-thumbs .ax-thumb-{place} {{ background-image: url({uri}); }}"
                    rules.append(rule)
                else:
                    lost.append(shown[place])
        self._style.value = f"<style>{''.join(rules)}</style>"
        last = first + len(shown)
        self._where.value = (
            f'<p class="ax-quiet">Test images with labels for the chosen attributes: '
            f"{first + 1} to {last} of {len(self._images)}</p>{_sentence(lost)}"
        )
        self._back.disabled, self._on.disabled = first == 0, last >= len(self._images)

    def _dress(self, button: widgets.Button, image: int, readable: bool) -> None:
        chosen = image == self._chosen
        mark, words = ("✓ ", ", chosen") if chosen else ("", "")
        if not readable:
            mark, words = "✗ ", ", cannot be read"
        button.description = f"{mark}{image}"
        button.tooltip = f"Test image {image}{words}"
        button.disabled = not readable
        (button.add_class if chosen else button.remove_class)("ax-chosen")

    def _clicked(self, place: int) -> None:
        self._pick(self._images[self._page * PER_PAGE + place])

    def _turn(self, pages: int) -> None:
        last = max(len(self._images) - 1, 0) // PER_PAGE
        self._page = min(max(self._page + pages, 0), last)  # a second click may come too late
        self._draw()


def _sentence(lost: Sequence[int]) -> str:
    if not lost:
        return ""
    numbers = ", ".join(map(str, lost))
    what = f"image {numbers}" if len(lost) == 1 else f"images {numbers}"
    return f'<p class="ax-error">Test {what} cannot be read (&#10007;).</p>'


_SPOKEN = (ExplorerError, ImageError, EmbedderError, SearchIndexError)  # errors that are sentences


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
            self._say(_sentence_app(error))

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
            self._refusal = _sentence_app(error)
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


def _sentence_app(error: Exception) -> str:
    """Return what the page says of an error; the terminal has an unexpected one's whole story."""
    if isinstance(error, _SPOKEN):
        return rendering.error(str(error))
    traceback.print_exception(error, file=sys.__stderr__)
    return rendering.error(
        "something unexpected went wrong; the terminal of `make explore` says what."
    )


def _part(title: str, *controls: widgets.Widget) -> widgets.Widget:
    return widgets.VBox([widgets.HTML(f"<h2>{title}</h2>"), *controls])
