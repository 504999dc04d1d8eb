"""Whom `asen search` sends its picture to, and what an index of another origin can be asked."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn
from known_vectors import KnownEmbedder, random_vectors

from asen_apps.search import AttributeIndex, SearchIndexError, service
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
