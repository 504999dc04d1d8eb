"""The explorer's server serves no files, and answers only this machine."""

from __future__ import annotations

import re
import socket

import pytest
from listening_sockets import listening, needs_tables

pytestmark = pytest.mark.browser

PATHS = (
    "/voila/files/09_explore.ipynb",
    "/voila/files/../README.md",
    "/voila/files/%2e%2e/README.md",
    "/voila/files/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
    "/voila/static/../../../../../../etc/passwd",
    "/voila/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/voila/templates/lab/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/voila/files/%252e%252e/README.md",
    "/voila/files/..%5c..%5cREADME.md",
    "/voila/files/.%2e/.%2e/asen_tf/config.py",
    "/voila/files//etc/passwd",
    "/voila/files/%00README.md",
    "/voila/static/%252e%252e/%252e%252e/%252e%252e/%252e%252e/%252e%252e/etc/passwd",
    "/voila/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/voila/static//etc/passwd",
    "/voila/templates/../../../../../../../../../etc/passwd",
    "/voila/render/README.md",
    "/voila/render/../README.md",
    "/voila/render/%2e%2e/%2e%2e/etc/passwd",
    "/voila/tree",
    "//etc/passwd",
    "/../../../../etc/passwd",
    "/voila/api/contents/README.md",
    "/api/contents/README.md",
    "/files/README.md",
)


def ask(served, path: str, host: str | None = None) -> tuple[int, bytes]:
    """Send a path as it is: the standard library's clients would normalise it first."""
    with socket.create_connection(("127.0.0.1", served.port), 60) as connection:
        name = host or f"127.0.0.1:{served.port}"
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer


@pytest.mark.parametrize("path", PATHS)
def test_no_file_is_served(served, tell, path: str) -> None:
    code, answer = ask(served, path)
    assert code in (302, 400, 403, 404, 500)
    assert b"root:" not in answer and b"asen-tf" not in answer and b"nbformat" not in answer
    if code == 302:  # to the handler of files, which serves none
        assert ask(served, re.search(rb"Location: (\S+)", answer)[1].decode())[0] == 403
    tell("path", path, f"no file: HTTP {code}")


def test_what_is_no_request_ends_its_own_connection_alone(served) -> None:
    for sent in (b"\x00\xff\x16\x03\x01" * 99, b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/a" * 99_999):
        with socket.create_connection(("127.0.0.1", served.port), 60) as connection:
            connection.sendall(sent + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            try:
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionResetError:
                answer = b""
        assert b"root:" not in answer and not answer.startswith(b"HTTP/1.1 200")
        assert served.process.poll() is None and ask(served, "/nowhere")[0] in (302, 404)


def test_another_name_in_the_request_is_refused(served) -> None:
    assert ask(served, "/", host="evil.example")[0] == 403


def test_other_machines_cannot_connect(served) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; reveals this machine's own address
        except OSError:
            pytest.skip("this machine has no address but the loopback one")
        own = probe.getsockname()[0]
    assert not own.startswith("127.")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own, served.port), 10)


@needs_tables
def test_neither_the_page_nor_its_kernels_listen_to_other_machines(open_tab, served) -> None:
    open_tab(800, 600)
    found = listening(served.process.pid)
    assert len(found) > 1  # the page, and what runs behind it
    assert served.port in [port for _, port in found]
    assert all(address.is_loopback for address, _ in found)
