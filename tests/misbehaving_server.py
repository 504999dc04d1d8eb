"""A web server on this machine that misbehaves in every way it can."""

from __future__ import annotations

import contextlib
import http.server
import io
import threading
import time

import numpy as np
from PIL import Image


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


PICTURE = jpeg()


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
        self.done()
        self.wfile.write(body)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        server, path = self.server, self.path.strip("/")
        with server.lock:
            server.asked.append(path)
            server.times.append(time.monotonic())
            server.agents.add(self.headers["User-Agent"])
            server.now, self.answered = server.now + 1, False
            server.most = max(server.most, server.now)
            before = server.asked.count(path)
        try:
            self.respond(path, before)
        finally:
            self.done()

    def done(self) -> None:
        """Count a request as answered, once, before its last bytes leave."""
        if not self.answered:
            self.answered = True
            with self.server.lock:
                self.server.now -= 1

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
