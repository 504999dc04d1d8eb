"""Downloads from a real server on this machine that misbehaves in every way it can."""

from __future__ import annotations

import contextlib
import csv
import http.server
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.download import Politeness, download


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


PICTURE = jpeg()
QUICK = Politeness(timeout=1.0, deadline=2.0, pause=0.01, retries=2, largest=100_000)


class Server(http.server.ThreadingHTTPServer):
    """Counts what it is asked, and how many answers are under way at a time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.times: list[float] = []
        self.agents: set[str] = set()
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        server, path = self.server, self.path.strip("/")
        with server.lock:
            server.asked.append(path)
            server.times.append(time.monotonic())
            server.agents.add(self.headers["User-Agent"])
            server.now += 1
            server.most = max(server.most, server.now)
            before = server.asked.count(path)
        try:
            self.respond(path, before)
        finally:
            with server.lock:
                server.now -= 1

    def respond(self, path: str, before: int) -> None:
        if path.startswith("good"):
            time.sleep(0.05 if path.startswith("good-slow") else 0)
            self.answer(200, PICTURE)
        elif path == "gone":
            self.answer(404, b"no")
        elif path.startswith("status-"):
            self.answer(int(path.removeprefix("status-")))
        elif path == "patience":
            self.answer(429, Retry_After="3600")
        elif path == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(60):
                    self.wfile.write(b"x")
                    time.sleep(0.25)
        elif path == "busy":  # once
            self.answer(503 if before == 1 else 200, PICTURE)
        elif path == "later":  # once, and says when
            self.answer(429, Retry_After="1") if before == 1 else self.answer(200, PICTURE)
        elif path == "broken":
            self.answer(500)
        elif path == "loop":
            self.answer(302, Location="/loop")
        elif path == "moved":
            self.answer(301, Location="/good")
        elif path == "elsewhere":
            self.answer(302, Location="file:///etc/passwd")
        elif path == "page":
            self.answer(200, b"<html>gone</html>")
        elif path == "large":
            self.answer(200, PICTURE + bytes(200_000))
        elif path == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(PICTURE)))
            self.end_headers()
            self.wfile.write(PICTURE[: len(PICTURE) // 2])
            self.close_connection = True
        else:  # "silent"
            time.sleep(1.5)
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def journal(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "downloads.csv", newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def sources(server: Server, *paths: str) -> dict[str, str]:
    return {f"pic/{path} é.jpg": server.url(path) for path in paths}


EXPECTED = {
    "good": ("fetched", ""),
    "busy": ("fetched", ""),
    "moved": ("fetched", ""),
    "gone": ("gone", "HTTP 404"),
    "broken": ("failed", "HTTP 500"),
    "loop": ("failed", "TooManyRedirects"),
    "elsewhere": ("failed", "InvalidSchema"),
    "page": ("rejected", "not a readable image"),
    "large": ("rejected", "more than 100000 bytes"),
    "cut": ("failed", ""),
    "silent": ("failed", ""),
}


def test_every_outcome_is_recorded_and_only_images_are_kept(server: Server, tmp_path: Path) -> None:
    outcome = download(sources(server, *EXPECTED), tmp_path, QUICK)
    rows = journal(tmp_path)
    for path, (status, reason) in EXPECTED.items():
        row = rows[f"pic/{path} é.jpg"]
        assert row["status"] == status and row["reason"].startswith(reason), row
        assert (tmp_path / "pic" / f"{path} é.jpg").exists() == (status == "fetched")
    assert (tmp_path / "pic" / "good é.jpg").read_bytes() == PICTURE
    assert not list(tmp_path.rglob("*.part"))
    assert outcome.counts == {"fetched": 3, "gone": 1, "failed": 5, "rejected": 2}
    assert len(server.agents) == 1 and "asen-tf" in server.agents.pop()


def test_a_second_call_asks_only_for_what_failed(server: Server, tmp_path: Path) -> None:
    wanted = sources(server, "good", "gone", "page", "broken")
    download(wanted, tmp_path, QUICK)
    server.asked.clear()
    outcome = download(wanted, tmp_path, QUICK)
    assert set(server.asked) == {"broken"}
    assert outcome.counts == {"there or known before": 3, "failed": 1}
    moved = {name: server.url("good") for name in wanted}  # other addresses of the same files
    assert download(moved, tmp_path, QUICK).counts["fetched"] == 3


def test_a_server_that_asks_for_patience_gets_it(server: Server, tmp_path: Path) -> None:
    download(sources(server, "later"), tmp_path, QUICK)
    assert journal(tmp_path)["pic/later é.jpg"]["status"] == "fetched"
    assert server.times[1] - server.times[0] >= 1.0


@pytest.mark.parametrize("per_host", [1, 3])
def test_no_server_is_asked_more_at_a_time_than_agreed(
    server: Server, tmp_path: Path, per_host: int
) -> None:
    wanted = {f"{at}.jpg": server.url(f"good-slow-{at}") for at in range(12)}
    polite = Politeness(workers=8, per_host=per_host)
    assert download(wanted, tmp_path, polite).counts == {"fetched": 12}
    assert server.most == per_host


def test_a_line_cut_by_a_kill_is_passed_over(server: Server, tmp_path: Path) -> None:
    wanted = sources(server, "gone", "page")
    download(wanted, tmp_path, QUICK)
    path = tmp_path / "downloads.csv"
    text = path.read_text()
    path.write_text(text[: len(text) - 12])
    server.asked.clear()
    download(wanted, tmp_path, QUICK)
    assert len(server.asked) == 1  # the one whose line was cut
    assert {row["status"] for row in journal(tmp_path).values()} == {"gone", "rejected"}


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    assert "nothing to do" in str(download({}, tmp_path, QUICK))


@pytest.mark.parametrize(
    "url",
    [
        *("http://[::1/x", "http://" + "a" * 70 + ".com/x", "http://.x/", "http://"),
        *("http://127.0.0.1:99999/", "http://a b/", "https://exa\u2028mple/", "http://xn--/"),
    ],
)
def test_what_is_no_address_is_recorded_and_stops_nothing(
    server: Server, tmp_path: Path, url: str
) -> None:
    wanted = {"a.jpg": url, "b.jpg": server.url("good")}
    download(wanted, tmp_path, Politeness(timeout=1.0, retries=0))
    rows = journal(tmp_path)
    assert rows["a.jpg"]["status"] in ("rejected", "failed") and rows["a.jpg"]["reason"]
    assert rows["b.jpg"]["status"] == "fetched"


@pytest.mark.parametrize("path", ["drip", "patience"])
def test_no_server_holds_an_image_up_beyond_the_deadline(
    server: Server, tmp_path: Path, path: str
) -> None:
    began = time.monotonic()
    limits = Politeness(timeout=1.0, deadline=1.0, retries=1, pause=0.01)
    assert download(sources(server, path), tmp_path, limits).counts == {"failed": 1}
    assert time.monotonic() - began < 4.0
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("status", "final"),
    [(401, False), (403, False), (408, False), (404, True), (410, True), (451, True)],
)
def test_only_what_the_server_says_is_gone_is_given_up(
    server: Server, tmp_path: Path, status: int, final: bool
) -> None:
    wanted = sources(server, f"status-{status}")
    limits = Politeness(retries=0)
    expected = "gone" if final else "failed"
    assert download(wanted, tmp_path, limits).counts == {expected: 1}
    server.asked.clear()
    download(wanted, tmp_path, limits)
    assert len(server.asked) == (0 if final else 1)
