"""Controls of the page: attributes with weights, and a choice among the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import ipywidgets as widgets

from asen_tf.data import label

PER_PAGE = 8


class AttributeRows:
    """A checkbox and a weight per attribute.

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

        def on_tick(change: dict) -> None:
            weight.disabled = not change["new"]
            changed()

        tick.observe(on_tick, "value")
        weight.observe(lambda change: changed(), "value")
        return tick, weight


class Thumbnails:
    """A page of pictures, each a button, and two buttons that turn the page.

    Args:
        picture: test image number -> its picture, as `data:` URI; "" where it cannot be read.
        pick: called with the number of the image that was chosen.

    Attributes:
        widget: what is shown.
    """

    def __init__(self, picture: Callable[[int], str], pick: Callable[[int], None]) -> None:
        self._picture, self._pick = picture, pick
        self._images: tuple[int, ...] = ()
        self._title = ""
        self._page, self._chosen = 0, None
        self._style, self._where = widgets.HTML(), widgets.HTML()
        self._buttons = [widgets.Button() for _ in range(PER_PAGE)]
        for place, button in enumerate(self._buttons):
            button.add_class(f"ax-thumb-{place}")
            button.on_click(lambda _, place=place: self._clicked(place))
        self._back = widgets.Button(description="Previous")
        self._next = widgets.Button(description="Next")
        self._back.on_click(lambda _: self._turn(-1))
        self._next.on_click(lambda _: self._turn(1))
        turning = widgets.Box([self._back, self._next]).add_class("ax-buttons")
        pictures = widgets.Box(self._buttons).add_class("ax-thumbs")
        self.widget = widgets.VBox([self._style, self._where, pictures, turning])

    def show(self, title: str, images: Sequence[int], chosen: int | None) -> None:
        """Offer images, and mark the chosen one; the page stays where it is if they are the same.

        Args:
            title: what they are.
            images: test image numbers.
            chosen: one of them, or another one, or None.
        """
        if tuple(images) != self._images:
            self._images = tuple(images)
            place = self._images.index(chosen) if chosen in self._images else 0
            self._page = place // PER_PAGE
        self._title, self._chosen = title, chosen
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
                    lost.append(str(shown[place]))
        self._style.value = f"<style>{''.join(rules)}</style>"
        last = first + len(shown)
        where = f"{self._title}: {first + 1} to {last} of {len(self._images)}"
        self._where.value = f'<p class="ax-muted">{where}</p>'
        if lost:
            what = f"image{'s' if len(lost) > 1 else ''} {', '.join(lost)}"
            self._where.value += f'<p class="ax-error">Test {what} cannot be read (&#10007;).</p>'
        self._back.disabled, self._next.disabled = first == 0, last >= len(self._images)

    def _dress(self, button: widgets.Button, image: int, readable: bool) -> None:
        chosen = image == self._chosen
        mark, words = ("✓ ", ", selected") if chosen else ("", "")
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
