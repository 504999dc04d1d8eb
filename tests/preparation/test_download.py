"""Downloads from a real server on this machine that misbehaves in every way it can."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from misbehaving_server import PICTURE, Server

from data_prep.download import Politeness, download

QUICK = Politeness(timeout=1.0, deadline=2.0, pause=0.01, retries=2, largest=100_000)


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
