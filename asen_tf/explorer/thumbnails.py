"""The choice among the test images: a page of pictures, each of them a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets

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
