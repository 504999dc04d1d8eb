"""Downloading images from a list of URLs, politely, with a journal of lost images."""

from __future__ import annotations

import csv
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import Retry

from asen_tf.files import replacing
from data_prep.image_files import broken_images

JOURNAL = "downloads.csv"
_COLUMNS = ("file", "url", "status", "reason", "bytes")
_FINAL = ("gone", "rejected")  # not tried again
_GONE = (404, 410, 451)  # HTTP: the image is not there, and will not be
_AGAIN = (408, 429, 500, 502, 503, 504)  # HTTP: tried again at once
_CHUNK = 2**16


@dataclass(frozen=True)
class Politeness:
    """How much to ask of servers, and when to give up.

    Attributes:
        workers: downloads at a time.
        per_host: of these, from one server.
        timeout: seconds without an answer, or without another byte.
        deadline: seconds for one image, and the longest pause that a server may ask for.
        retries: of a refused or broken attempt; the pause doubles each time, unless the server
            names one (Retry-After).
        pause: seconds before the second retry.
        largest: bytes of one image.
    """

    workers: int = 8
    per_host: int = 2
    timeout: float = 20.0
    deadline: float = 120.0
    retries: int = 3
    pause: float = 1.0
    largest: int = 50 * 2**20


@dataclass(frozen=True)
class Outcome:
    """How many images were fetched, were there already, are gone, were rejected, or failed."""

    counts: Mapping[str, int]

    def __str__(self) -> str:
        """Return the numbers as a sentence."""
        parts = ", ".join(f"{count:,} {status}" for status, count in self.counts.items())
        return f"downloads: {parts or 'nothing to do'}; see {JOURNAL}"


def download(
    sources: Mapping[str, str], folder: Path, politeness: Politeness = Politeness()
) -> Outcome:
    """Fetch images that are not there yet.

    An image is written under a temporary name, decoded, and only then renamed. The outcome of each
    is appended to `downloads.csv` at once: `file,url,status,reason,bytes`, where status is
    `fetched`, `gone` (the server says so), `rejected` (not a URL, not an image, or too large) or
    `failed` (no answer, a broken one, or no permission). Only what failed is tried again by the
    next call.

    Args:
        sources: URL by image path relative to the folder; the paths are safe already.
        folder: where images and journal go.
        politeness: limits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    journal = _Journal(folder / JOURNAL)
    wanted = {
        name: url
        for name, url in sources.items()
        if not (folder / name).exists() and journal.final.get(name) != url
    }
    counts = Counter({"there or known before": len(sources) - len(wanted)})
    hosts: dict[str, threading.Semaphore] = defaultdict(
        lambda: threading.Semaphore(politeness.per_host)
    )
    semaphores = {name: hosts[_host(url)] for name, url in wanted.items()}
    local = threading.local()

    def fetch(name: str) -> str:
        if not hasattr(local, "session"):
            local.session = _session(politeness)
        with semaphores[name]:
            status, reason, size = _fetch(local.session, wanted[name], folder, name, politeness)
        journal.add(name, wanted[name], status, reason, size)
        return status

    with ThreadPoolExecutor(politeness.workers) as pool:
        done = pool.map(fetch, wanted)
        counts.update(tqdm(done, total=len(wanted), desc="downloading", unit="image"))
    return Outcome({status: count for status, count in counts.items() if count})


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # not a URL: no server is asked
        return ""


def _session(politeness: Politeness) -> requests.Session:
    session = requests.Session()
    retry = Retry(
        total=politeness.retries,
        backoff_factor=politeness.pause,
        status_forcelist=_AGAIN,
        respect_retry_after_header=True,
        retry_after_max=max(1, int(politeness.deadline)),
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    session.max_redirects = 5
    session.headers["User-Agent"] = "asen-tf dataset download (research; python-requests)"
    return session


class _Refused(Exception):
    """A download that is not kept, with its status, reason and size."""


def _fetch(
    session: requests.Session, url: str, folder: Path, name: str, politeness: Politeness
) -> tuple[str, str, int]:
    """Return status, reason and size of one download."""
    try:
        with replacing(folder / name) as temporary:
            size = _receive(session, url, temporary, politeness)
            wrong = broken_images(temporary.parent, [temporary.name], workers=1, progress=False)
            if wrong:
                raise _Refused("rejected", wrong[temporary.name], size)
        return "fetched", "", size
    except _Refused as refused:
        status, reason, size = refused.args
        return status, reason, size


def _receive(session: requests.Session, url: str, path: Path, politeness: Politeness) -> int:
    """Write what a URL answers into a file; return its size in bytes."""
    began, size = time.monotonic(), 0
    try:
        with session.get(url, stream=True, timeout=politeness.timeout) as answer:
            if answer.status_code != 200:
                gone = answer.status_code in _GONE
                raise _Refused("gone" if gone else "failed", f"HTTP {answer.status_code}", 0)
            with open(path, "wb") as sink:
                # Whatever has arrived so far, so that a server that trickles is noticed, too.
                while chunk := answer.raw.read1(_CHUNK, decode_content=True):
                    size += len(chunk)
                    if size > politeness.largest:
                        raise _Refused("rejected", f"more than {politeness.largest} bytes", size)
                    if time.monotonic() - began > politeness.deadline:
                        raise _Refused("failed", f"not done after {politeness.deadline:g} s", size)
                    sink.write(chunk)
        return size
    except (OSError, HTTPError, ValueError) as error:  # errors of requests are OSErrors
        no_address = isinstance(error, (requests.exceptions.InvalidURL, LocationValueError))
        rejected = no_address or not isinstance(error, (OSError, HTTPError))
        raise _Refused("rejected" if rejected else "failed", type(error).__name__, size) from None


class _Journal:
    """A CSV file that is only appended to; a line cut short by a kill is ignored."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self.final: dict[str, str] = {}
        if path.exists():
            with open(path, encoding="utf-8", newline="", errors="replace") as stream:
                for row in csv.reader(stream):
                    if len(row) == len(_COLUMNS) and row[2] in _FINAL:
                        self.final[row[0]] = row[1]
            whole = path.read_bytes().endswith(b"\n")
        with open(path, "a", encoding="utf-8") as stream:
            if stream.tell() == 0:
                stream.write(",".join(_COLUMNS) + "\n")
            elif not whole:
                stream.write("\n")

    def add(self, *row: object) -> None:
        with self._lock, open(self.path, "a", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerow(row)
            stream.flush()
            os.fsync(stream.fileno())
