"""What the page is made of: answers as HTML, and the controls to choose with.

Every picture has a text alternative, and marks accompany the colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from asen_apps.explorer.answer import Answer, Neighbour, QueryAttention
from asen_apps.explorer.gallery import PICTURE_SIDE, capital, data_uri
from asen_apps.search.answers import share
from asen_study.figures.style import with_attention
from asen_tf.data import label
from asen_tf.data.fitting import Box
from asen_tf.evaluation.localisation import attention_peak

_PAGE = Path(__file__).parent / "page"
TITLE = "Garment explorer"
PER_PAGE = 8  # pictures to choose from
_EXPLANATION = (
    "Which garments are alike, and in what way? Pick a picture and the attributes that matter, and "
    "see the most similar {} and what the model attends to. Click on one to search with it."
)
# A comparison's mark, its class in the style sheet, and what a screen reader says.
_MARKS = {
    True: ("&#10003;", "ax-right", "same value"),
    False: ("&#10007;", "ax-wrong", "different value"),
    None: ("&ndash;", "", "not compared"),
}

# === Parts around the answer ===


def style() -> str:
    """Return the page's style sheet, in its element."""
    return f"<style>{(_PAGE / 'explorer.css').read_text(encoding='utf-8')}</style>"


def heading(noun: str) -> str:
    """Return title and explanation; the noun is the gallery's."""
    of = "test images of the study" if noun == "test image" else "images of the catalogue"
    skip = '<a class="ax-skip" href="#ax-result">Skip to the results</a>'
    return f"<h1>{TITLE}</h1><p>{_EXPLANATION.format(of)} {skip}</p>"


def paragraph(text: str) -> str:
    """Return a sentence of the status line."""
    return f"<p>{escape(text)}</p>"


def error(text: str) -> str:
    """Return a sentence on what went wrong."""
    return f'<p class="ax-error"><strong>Problem:</strong> {escape(text)}</p>'


def progress(text: str, done: int, total: int) -> str:
    """Return a sentence on what takes time, with a bar."""
    bar = f'<progress aria-label="Progress" max="{max(total, 1)}" value="{done}"></progress>'
    return f"<p>{escape(text)} {bar} {done} of {total}</p>" if total else paragraph(text)


def summary(answer: Answer) -> str:
    """Return, as plain text, what a search found."""
    parts = []
    for one in answer.attention:
        right, known = answer.shared(one.attribute)
        if known:
            value = f" ({one.value})" if one.value else ""
            verb = "shares" if right == 1 else "share"
            of = "" if known == len(answer.neighbours) else f" of {known} labelled"
            parts.append(f"{right}{of} {verb} its {label(one.attribute)}{value}")
    images = answer.noun if answer.searched == 1 else f"{answer.noun}s"
    sentences = [f"{answer.method} compared {answer.query.title} with {answer.searched} {images}."]
    if parts:
        count = len(answer.neighbours)
        sentences.append(f"Of the {count} most similar, {' and '.join(parts)}.")
    return " ".join([*sentences, *answer.notes])


# === The answer ===


def answer(found: Answer, picture: Callable[[int, str], str]) -> str:
    """Draw an answer.

    Args:
        found: the answer.
        picture: test image number and fit -> its picture, as `data:` URI; "" where it cannot be
            read.
    """
    title = escape(found.query.title)
    own = _figure(found.pixels, f"The query, {found.query.title}", capital(title))
    maps = "".join(_attention(found.pixels, one) for one in found.attention)
    labelled = found.query.image is not None
    cards = "".join(
        _card(rank, one, picture(one.image, found.fit), labelled)
        for rank, one in enumerate(found.neighbours, 1)
    )
    method = escape(found.method)
    head = f"What {method} attends to"
    if found.attention[0].map is None:
        head = f"{method} sees the whole picture and has no attention map."
    return (
        f'<section id="ax-result" aria-label="What the model attends to"><h2>{head}</h2>'
        f'<div class="ax-attention">{own}{maps}</div></section>'
        f'<section aria-label="Most similar images"><h2>Most similar {found.noun}s</h2>'
        f'<p class="ax-muted">{_legend(found)}</p><ol class="ax-found">{cards}</ol></section>'
    )


def _legend(found: Answer) -> str:
    marks = "&#10003; same value as the query, &#10007; different value, &ndash; not labelled."
    if found.query.image is None:
        marks = "Your picture is not labelled, so nothing is marked as right or wrong."
    usual = f"Reached by: the share of random pairs of {found.noun}s that are as similar."
    if len(found.attention) == 1:
        return f"Score: cosine similarity, at most 1. {usual} {marks}"
    terms = [f"{one.weight:.2f} {escape(label(one.attribute))}" for one in found.attention]
    return f"Score: {' + '.join(terms)} (cosine similarities, at most 1). {usual} {marks}"


def _attention(pixels: np.ndarray, one: QueryAttention) -> str:
    if one.map is None or one.region is None:
        return ""
    name = label(one.attribute)
    value = f": {escape(one.value)}" if one.value else ""
    side = min(len(pixels), PICTURE_SIDE)
    alt = f"Attention map for {name}: {describe(one.region, one.map, one.extent)}"
    left = _figure(
        with_attention(pixels, one.map, one.region, extent=one.extent),
        alt,
        f"<strong>{escape(name)}</strong>{value}",
        side,
    )
    zoomed = _square(cut(pixels, one.region))
    right = _figure(zoomed, f"The region for {name}, enlarged", "its region, enlarged", side)
    return f'<div class="ax-pair">{left}{right}</div>'


def _figure(image: np.ndarray, alt: str, caption: str, side: int = PICTURE_SIDE) -> str:
    return (
        f'<figure><img src="{data_uri(image, side)}" alt="{escape(alt, quote=True)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _card(rank: int, one: Neighbour, picture: str, labelled: bool) -> str:
    lines = []
    for name, verdict in one.verdicts.items():
        mark, kind, spoken = _MARKS[verdict.right]
        value = escape(verdict.value) or ("no label" if labelled else "")
        marked = f'<span role="img" aria-label="{spoken}">{mark}</span> ' if labelled else ""
        lines.append(
            f'<div class="ax-name"><span>{escape(label(name))}</span>'
            f"<span>{one.parts[name]:.2f}</span></div>"
            f'<div class="ax-value {kind}">{marked}{value}</div>'
        )
    lines += [f'<div class="ax-muted">{escape(detail)}</div>' for detail in one.details]
    title = escape(capital(one.title), quote=True)
    alt = f"{title}, rank {rank}"
    lost = f'<p class="ax-error">{title} can no longer be read.</p>'
    ask = f'data-ask="image:{one.image}" tabindex="0" role="button" title="Search with {title}"'
    shown = f'<img src="{picture}" alt="{alt}" {ask}>' if picture else lost
    usual = "" if math.isnan(one.reached_by) else f"reached by {share(one.reached_by)}"
    return (
        f'<li class="ax-card">{shown}'
        f'<div class="ax-head"><strong>{rank}</strong><span>score {one.score:.3f}</span></div>'
        f'<div class="ax-muted">{usual}</div><div class="ax-muted">{title}</div>'
        f"{''.join(lines)}</li>"
    )


# === Regions ===


def cut(image: np.ndarray, region: Box) -> np.ndarray:
    """Return the part of a `(S, S, 3)` picture inside a region, at least one pixel of it."""
    side = len(image)
    left, top, right, bottom = (round(edge * side) for edge in region)
    left, top = min(max(left, 0), side - 1), min(max(top, 0), side - 1)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def _square(image: np.ndarray) -> np.ndarray:
    """Drop the odd row or column that rounding leaves."""
    side = min(image.shape[:2])
    return image[:side, :side]


def describe(region: Box, attention: np.ndarray, extent: tuple[float, float] = (0.0, 1.0)) -> str:
    """Describe a region and the highest cell of a map, for screen readers."""
    x, y = attention_peak(attention, extent)
    vertical = _third(y, ("top", "middle", "bottom"))
    horizontal = _third(x, ("left", "centre", "right"))
    share = 100 * (region[2] - region[0]) * (region[3] - region[1])
    return (
        f"brightest at the {vertical} {horizontal}; the region covers {share:.0f}% of the picture"
    )


def _third(share: float, names: tuple[str, str, str]) -> str:
    return names[min(max(int(3 * share), 0), 2)]


# === Controls: attributes with weights, and a choice among the test images ===


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

    def choose(self, weights: Mapping[str, str]) -> None:
        """Tick the attributes of `weights` and no others, if it names one that is there."""
        if not set(weights) & set(self._rows):
            return
        for name, (tick, weight) in self._rows.items():
            tick.value = name in weights
            with suppress(ValueError):
                weight.value = min(max(float(weights.get(name) or 1.0), weight.min), weight.max)

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
        title: test image number -> what it is called.

    Attributes:
        widget: what is shown.
    """

    def __init__(
        self,
        picture: Callable[[int], str],
        pick: Callable[[int], None],
        title: Callable[[int], str],
    ) -> None:
        self._picture, self._pick, self._named = picture, pick, title
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
            kind = "Test " if self._named(-1).startswith("test") else "Catalogue "
            self._where.value += f'<p class="ax-error">{kind}{what} cannot be read (&#10007;).</p>'
        self._back.disabled, self._next.disabled = first == 0, last >= len(self._images)

    def _dress(self, button: widgets.Button, image: int, readable: bool) -> None:
        chosen = image == self._chosen
        mark, words = ("✓ ", ", selected") if chosen else ("", "")
        if not readable:
            mark, words = "✗ ", ", cannot be read"
        named = self._named(image)
        short = str(image) if named.startswith("test image") else Path(named).stem[:12]
        button.description = mark + short
        button.tooltip = f"{capital(named)}{words}"
        button.disabled = not readable
        (button.add_class if chosen else button.remove_class)("ax-chosen")

    def _clicked(self, place: int) -> None:
        self._pick(self._images[self._page * PER_PAGE + place])

    def _turn(self, pages: int) -> None:
        last = max(len(self._images) - 1, 0) // PER_PAGE
        self._page = min(max(self._page + pages, 0), last)  # a second click may come too late
        self._draw()
