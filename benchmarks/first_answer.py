"""How soon `asen search` answers: `python -m benchmarks.first_answer`.

A catalogue of noise is indexed with a model of the size of one that was trained on photographs;
then the commands run as a person types them, each in a process of its own. A process's seconds
depend on what else the machine does, so each is repeated and the quickest counts; seconds of
processor time stand beside it. The explorer is timed until it shows a result, if chromium and
playwright are there.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from asen_tf.files import write_text

ROOT = Path(__file__).parents[1]
ASEN = (sys.executable, "-m", "asen_apps.commands")
PATIENCE = 300  # seconds for a server to start
Spent = tuple[float, float]  # seconds, and seconds of processor time


def make_catalogue(folder: Path, images: int) -> None:
    """Write a model, images of noise, and their index into a folder."""
    from benchmarks.bench_catalogue import saved

    saved(folder, "asen_v2").rename(folder / "model.keras")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        rough = Image.fromarray(rng.integers(0, 255, (12, 9, 3), dtype=np.uint8))
        rough.resize((450, 600), Image.Resampling.BICUBIC).save(folder / f"photos/{number}.jpg")
    run(folder, "index", "model.keras", "photos", "--out", "catalogue")


def run(folder: Path, *arguments: str) -> Spent:
    """Run an `asen` command in a folder, to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ASEN_CACHE": str(folder / "cache")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [*ASEN, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    spent = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[str]:
    """Run an `asen` command that serves; yield its address as soon as it says it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ASEN_CACHE": str(folder / "cache")}
    log = folder / "served.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*ASEN, *arguments], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"asen {' '.join(arguments)}: {log.read_text()}")
            time.sleep(0.05)
        yield found[0]
    finally:
        process.terminate()
        process.wait(60)


def first_picture(address: str) -> tuple[float, float]:
    """Return seconds until a page says what is loading, and until it shows its first pictures."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        began = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.wait_for_selector("#ax-loading, .ax-status")
        told = time.perf_counter() - began
        page.wait_for_selector(".ax-card img")
        shown = time.perf_counter() - began
        browser.close()
    return told, shown


def measure(folder: Path, images: int, repeats: int) -> list[tuple[str, float, float | None]]:
    """Return what was done, its seconds, and its seconds of processor time where known."""
    make_catalogue(folder, images)
    search = ("search", "catalogue", "photos/0.jpg", "--attribute", "attribute_0")
    rows: list[tuple[str, float, float | None]] = []

    def note(what: str, *spent: Spent) -> None:
        rows.append((what, *(min(column) for column in zip(*spent, strict=True))))

    note("the first search after `asen index`, without a server", run(folder, *search))
    note("any later search, without a server", *(run(folder, *search) for _ in range(repeats)))
    (folder / "cache").rename(folder / "aside")  # as for an index that came from elsewhere
    note("the first search of an index made elsewhere: builds the model", run(folder, *search))
    with running(folder, "serve", "catalogue"):
        note("a search while `asen serve` runs", *(run(folder, *search) for _ in range(repeats)))
    if shutil.which("chromium") and importlib.util.find_spec("playwright"):
        with running(folder, "explore", "catalogue", "--no-browser") as address:
            told, shown = zip(*(first_picture(address) for _ in range(repeats)), strict=True)
        rows.append(("the explorer's page says what is loading", min(told), None))
        rows.append(("the explorer's page shows its first pictures", min(shown), None))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table, and write it to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--images", type=int, default=300, help="in the catalogue (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="the quickest counts (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown file to write besides")
    options = parser.parse_args(arguments)
    if options.images < 1 or options.repeats < 1:
        parser.error("at least 1 image and 1 repeat are needed")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.images, options.repeats)
    lines = ["| what | seconds | of the processor |", "|---|---:|---:|"]
    lines += [
        f"| {what} | {spent:.1f} | {'' if used is None else f'{used:.1f}'} |"
        for what, spent, used in rows
    ]
    lines.append(
        f"\n{options.images} images, EfficientNet-Lite0 at 224 px, ten attributes; the quickest of "
        f"{options.repeats}; {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}. Processes start with warm disk caches."
    )
    print("\n".join(lines))
    if options.out:
        write_text(options.out, "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
