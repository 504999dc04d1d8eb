"""The explorer's page without a browser: read its widgets, and use them as a visitor would."""

from __future__ import annotations

from bs4 import BeautifulSoup

from asen_apps.explorer import App


def texts(app: App) -> tuple[BeautifulSoup, str]:
    """Return the result as parsed HTML, and the text of the status line."""
    status = BeautifulSoup(app._status.value, "html.parser").get_text(" ", strip=True)
    return BeautifulSoup(app._result.value, "html.parser"), status


def rows(app: App) -> dict:
    return app._attributes._rows


def send(app: App, name: str, content: bytes, size: int | None = None) -> None:
    file = {"name": name, "type": "image/jpeg", "size": len(content) if size is None else size}
    app._receive({"new": ({**file, "content": memoryview(content)},)})


def upload(app: App, name: str, content: bytes, size: int | None = None) -> None:
    send(app, name, content, size)
    app.wait()
