"""An answer as HTML: pictures with words for those who do not see them, marks beside colours."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np

from asen_apps.explorer import page, palette
from asen_apps.explorer.answers import Answer, Found, Look
from asen_apps.explorer.pictures import cut, data_uri, words
from asen_study.figures.overlays import with_attention
from asen_tf.data import label

_SIDE = 192  # px, of every picture in its file; the page scales it
TITLE = "Garment explorer"
EXPLANATION = (
    "Which garments are alike, and in what? Pick a picture, say which attributes matter, and see "
    "the nearest test images of the study and where the model looks."
)


def style() -> str:
    """Return the page's style sheet, in its element."""
    return f"<style>{palette.variables()}\n{page.read('explorer.css')}</style>"


def heading() -> str:
    """Return title and explanation."""
    skip = '<a class="ax-skip" href="#ax-result">To the results</a>'
    return f"<h1>{TITLE}</h1><p>{EXPLANATION} {skip}</p>"


def says(text: str) -> str:
    """Return a sentence of the status line."""
    return f"<p>{escape(text)}</p>"


def error(text: str) -> str:
    """Return a sentence on what went wrong."""
    return f'<p class="ax-error"><strong>Not possible:</strong> {escape(text)}</p>'


def progress(text: str, done: int, total: int) -> str:
    """Return a sentence on what takes time, with a bar."""
    bar = f'<progress aria-label="Progress" max="{max(total, 1)}" value="{done}"></progress>'
    return f"<p>{escape(text)} {bar} {done} of {total}</p>" if total else says(text)


def summary(answer: Answer) -> str:
    """Say in one or two sentences what a search found."""
    parts = []
    for look in answer.looks:
        right, known = answer.shared(look.attribute)
        if known:
            value = f" ({look.value})" if look.value else ""
            verb = "shares" if right == 1 else "share"
            of = "" if known == len(answer.found) else f" of {known}"
            parts.append(f"{right}{of} {verb} its {label(look.attribute)}{value}")
    title = answer.query.title
    sentences = [f"{answer.method} compared {title} with {answer.searched} test images."]
    if parts:
        sentences.append(f"Among the {len(answer.found)} nearest, {' and '.join(parts)}.")
    return " ".join([*sentences, *answer.notes])


def answer(found: Answer, picture: Callable[[int], str]) -> str:
    """Draw an answer.

    Args:
        found: the answer.
        picture: test image number -> its picture, as `data:` URI; "" where it cannot be read.
    """
    looks = "".join(_look(found, look) for look in found.looks)
    own = _figure(
        found.pixels, f"The query, {found.query.title}", escape(found.query.title).capitalize()
    )
    cards = "".join(
        _card(rank, one, found, picture(one.image)) for rank, one in enumerate(found.found, 1)
    )
    blind = found.looks[0].attention is None
    why = "sees the whole picture and has no attention map." if blind else "looks"
    head = f"{escape(found.method)} {why}" if blind else f"Where {escape(found.method)} {why}"
    return (
        f'<section id="ax-result" aria-label="Where the model looks"><h2>{head}</h2>'
        f'<div class="ax-looks">{own}{looks}</div></section>'
        f'<section aria-label="Nearest images"><h2>Nearest test images</h2>'
        f'<p class="ax-quiet">{_legend(found)}</p><ol class="ax-found">{cards}</ol></section>'
    )


def _legend(found: Answer) -> str:
    marks = "&#10003; same value as the query, &#10007; another value, &ndash; no label known."
    if len(found.looks) == 1:
        return f"Score: cosine similarity, 1 at most. {marks}"
    sums = " + ".join(f"{look.weight:.2f} {escape(label(look.attribute))}" for look in found.looks)
    return f"Score: {sums} (cosine similarities, 1 at most). {marks}"


def _look(found: Answer, look: Look) -> str:
    name = escape(label(look.attribute))
    value = f": {escape(look.value)}" if look.value else ""
    if look.attention is None or look.region is None:
        return ""
    side = min(len(found.pixels), _SIDE)
    seen = with_attention(found.pixels, look.attention, look.region)
    alt = f"Attention map for {label(look.attribute)}: {words(look.region, look.attention)}"
    zoomed = f"The region for {label(look.attribute)}, enlarged"
    left = _figure(seen, alt, f"<strong>{name}</strong>{value}", side)
    right = _figure(_square(cut(found.pixels, look.region)), zoomed, "its region, enlarged", side)
    return f'<div class="ax-pair">{left}{right}</div>'


def _figure(image: np.ndarray, alt: str, caption: str, side: int = _SIDE) -> str:
    return (
        f'<figure><img src="{data_uri(image, side)}" alt="{escape(alt, quote=True)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _square(image: np.ndarray) -> np.ndarray:
    """Cut rounding's odd row or column off."""
    side = min(image.shape[:2])
    return image[:side, :side]


def _card(rank: int, one: Found, found: Answer, picture: str) -> str:
    lines = []
    for look in found.looks:
        verdict = one.verdicts[look.attribute]
        mark, kind, heard = {
            True: ("&#10003;", "ax-right", "same value"),
            False: ("&#10007;", "ax-wrong", "another value"),
            None: ("&ndash;", "", "not compared"),
        }[verdict.right]
        value = escape(verdict.value) or "no label"
        lines.append(
            f'<div class="ax-name"><span>{escape(label(look.attribute))}</span>'
            f"<span>{one.parts[look.attribute]:.2f}</span></div>"
            f'<div class="ax-value {kind}"><span role="img" aria-label="{heard}">{mark}</span> '
            f"{value}</div>"
        )
    alt = f"Test image {one.image}, rank {rank}"
    lost = f'<p class="ax-error">Test image {one.image} cannot be read any more.</p>'
    shown = f'<img src="{picture}" alt="{alt}">' if picture else lost
    return (
        f'<li class="ax-card">{shown}'
        f'<div class="ax-head"><strong>{rank}</strong><span>score {one.score:.3f}</span></div>'
        f"{''.join(lines)}</li>"
    )
