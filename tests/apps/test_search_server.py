"""Whom `asen search` sends its picture to, and what an index of another origin can be asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from known_vectors import KnownEmbedder, random_vectors

from asen_apps.search import AttributeIndex, SearchIndexError, frozen, service
from asen_apps.search.service import Catalogue, Question


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Return an index of 12 files, saved from Python."""
    embedder = KnownEmbedder(neck=random_vectors(12, 8))
    images = [tmp_path / "photos" / f"{number}.png" for number in range(12)]
    images[0].parent.mkdir()
    for image in images:
        image.write_bytes(image.name.encode())
    index = AttributeIndex.build(embedder, images)
    index.prepare(progress=False)
    index.save(tmp_path / "index")
    monkeypatch.setattr(service, "open_embedder", lambda path: embedder)
    monkeypatch.setattr(service, "model_of", lambda *given: None)
    return Catalogue(tmp_path / "index")


def test_whoever_has_the_port_of_a_killed_server_gets_nothing(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    called = []
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.5)

        def listen() -> None:
            while True:
                try:
                    called.append(stranger.accept()[0])
                except OSError:
                    return
                called[-1].close()

        listening = threading.Thread(target=listen)
        listening.start()
        known = {"port": stranger.getsockname()[1], "token": "a token", "pid": ended.pid}
        (tmp_path / "serve.json").write_text(json.dumps(known))
        answer = service._by_server(tmp_path / "serve.json", b"private", Question({"neck": 1.0}))
        listening.join()
    assert answer is None and not called


@pytest.mark.parametrize(
    "reply", [b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_reply_that_is_cut_off_or_of_another_program_is_none(
    tmp_path: Path, reply: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def answer_once() -> None:
            stranger.accept()[0].close()  # whether anybody is there
            with stranger.accept()[0] as connection:
                connection.recv(100_000)
                connection.sendall(reply)

        answering = threading.Thread(target=answer_once)
        answering.start()
        known = {"port": stranger.getsockname()[1], "token": "a token", "pid": os.getpid()}
        (tmp_path / "serve.json").write_text(json.dumps(known))
        asked = Question({"neck": 1.0})
        assert service._by_server(tmp_path / "serve.json", b"private", asked) is None
        answering.join()


@pytest.mark.parametrize("later", [False, True])
def test_a_server_takes_only_its_own_address_away(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, later: bool
) -> None:
    place = service._address_file(catalogue.folder)
    content = json.dumps({"port": 1, "token": "of a later server", "pid": 1})

    def run(self, sockets) -> None:
        assert json.loads(place.read_text())["token"] == "a long token"
        if later:
            place.write_text(content)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    service.serve(catalogue, token="a long token")
    assert place.exists() is later
    if later:
        assert place.read_text() == content
        place.unlink()


def test_what_its_copies_are_is_not_known_of_an_index_saved_from_python(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    question = Question({"neck": 1.0}, k=1, not_itself=True)
    with pytest.raises(
        SearchIndexError, match="make it by `asen index`, or leave out --not-itself"
    ):
        catalogue.answer(tmp_path / "photos" / "3.png", question)


def test_a_server_answers_from_the_index_as_it_is_on_disk_now(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    opened = catalogue.index()
    assert len(opened) == 12 and catalogue.index() is opened
    images = [tmp_path / "photos" / f"{number}.png" for number in range(7)]
    smaller = AttributeIndex.build(opened.embedder, images)
    smaller.prepare(progress=False)
    smaller.save(catalogue.folder)
    again = catalogue.index()
    assert len(again) == 7 and catalogue.index() is again


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": iter([b"{}"])}, 413),  # in chunks, of a length that nobody knows
        ({"content": b"{}", "headers": {"Content-Length": "15728641"}}, 413),
        ({"content": b"{}", "headers": {"Content-Length": "-1"}}, 413),
        ({"content": b"{}", "headers": {"Content-Length": "15728640"}}, 422),  # read, and no query
        ({"content": b"{}"}, 422),
    ],
)
def test_a_body_is_read_only_if_it_states_a_length_within_the_limit(
    catalogue: Catalogue, sent: dict[str, Any], status: int
) -> None:
    client = TestClient(service.application(catalogue, "a token"), "http://127.0.0.1")
    headers = {"Authorization": "Bearer a token", **sent.get("headers", {})}
    reply = client.post("/search", content=sent["content"], headers=headers)
    assert reply.status_code == status
    assert ("at most 15 MB" in reply.text) is (status == 413)


def test_graphs_that_were_used_longest_ago_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o700)

    def write(place: Path, age: int = 0) -> None:
        for suffix in (".graph", ".json"):
            place.with_suffix(suffix).touch()
            os.utime(place.with_suffix(suffix), (time.time() - age,) * 2)

    def opened(place: Path) -> Path:
        place.with_suffix(".graph").read_bytes()  # as FrozenModel does
        return place

    class Loaded(SimpleNamespace):
        """An embedder of a model, or of a graph."""

        def __init__(self, model: Any) -> None:
            self.model = model

        @classmethod
        def load(cls, path: Path) -> Loaded:
            return cls(SimpleNamespace(needs_boxes=False))

    monkeypatch.setattr(frozen, "_write", lambda place, model: write(place))
    monkeypatch.setattr(frozen, "FrozenModel", opened)
    for number, age in enumerate((50, 10, 70, 20, 60, 30, 40)):
        write(tmp_path / "cache" / f"{number}", age)
    (tmp_path / "model.keras").write_bytes(b"a model")
    new = frozen.open_embedder(tmp_path / "model.keras", Loaded).model
    names = {new.name, "1", "3", "5", "6"}  # five: the new one, and those of 10 to 40 seconds ago
    assert {path.stem for path in (tmp_path / "cache").glob("*.graph")} == names
    assert {path.stem for path in (tmp_path / "cache").glob("*.json")} == names
