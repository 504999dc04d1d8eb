"""The command `asen explore`: the page of a study, served to this machine only, in the browser.

The server is Voila, and it serves nothing but the page.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from traitlets.config import Config
from voila.app import Voila

from asen_apps.explorer import LARGEST_BYTES, ExplorerError

PORT = 8866
ADDRESS = "127.0.0.1"
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "09_explore.ipynb"
_PAGE = Path(__file__).parent / "page"
_LARGEST_MESSAGE = LARGEST_BYTES * 4 // 3 + 2**20  # bytes, to Python: a file in base64
_IDLE = 600  # seconds after which an abandoned page gives its memory back
# Nothing comes from other machines, and no other page may frame this one.
# The widgets need inline scripts.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' ws: data: blob:; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'self'"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C.

    Args:
        arguments: of the command line; `sys.argv[1:]` when None.

    Returns:
        0 after Ctrl-C, 2 if there is nothing to show.
    """
    parser = argparse.ArgumentParser(
        prog="asen explore",
        description="Search a catalogue, or a study's test images, by attribute in the browser. "
        "The page is served to this machine only; press Ctrl-C to stop.",
    )
    parser.add_argument(
        "index", nargs="?", type=Path, metavar="INDEX", help="a folder that `asen index` wrote"
    )
    parser.add_argument(
        "--study", default="quick", help="folder of the study (default: %(default)s)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="MODEL", help="if it has moved since the index was made"
    )
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", help="where the images are, if they have moved"
    )
    for option, default, what in (
        ("--results-dir", "results/runs", "where the studies are (default: %(default)s)"),
        ("--data-dir", "data", "where their data is (default: %(default)s)"),
    ):
        parser.add_argument(option, type=Path, default=Path(default), metavar="FOLDER", help=what)
    parser.add_argument(
        "--count", type=int, default=12, help="images that a search returns (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="default: %(default)s, or the next that is free"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count must be at least 1; got {options.count}")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # a kernel from elsewhere has other packages
    parameters = {"count": options.count, "data_dir": str(options.data_dir.resolve())}
    if options.index is not None:
        return _serve_index(options, parameters)
    from asen_apps.explorer.methods import explain_left_out, methods_of, split_by_dataset

    try:
        methods, left_out = split_by_dataset(methods_of(options.results_dir / options.study))
    except ExplorerError as error:
        print(error, file=sys.stderr)
        return 2
    names = ", ".join(method.label for method in methods)
    message = f"Methods in the study {options.study!r}: {names}. {explain_left_out(left_out)}"
    print(message.strip(), flush=True)
    parameters |= {"results_dir": str(options.results_dir.resolve()), "study": options.study}
    serve(parameters, port=options.port, show_browser=not options.no_browser)
    return 0


def _serve_index(options: argparse.Namespace, parameters: dict[str, Any]) -> int:
    from asen_apps.search.storage import index_notes

    try:
        count = index_notes(options.index)["count"]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.index}: {count} images", flush=True)
    for name in ("index", "model", "root"):
        if (given := getattr(options, name)) is not None:
            parameters[name] = str(given.resolve())
    serve(parameters, port=options.port, show_browser=not options.no_browser)
    return 0


# === The server ===


def serve(parameters: Mapping[str, Any], *, port: int, show_browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Args:
        parameters: of the notebook, by name.
        port: the first to try, then up to 50 more.
        show_browser: open the page in the user's browser.
    """
    filter_log()
    app = ExplorerServer.instance(config=configuration(parameters, port=port))
    app.show_browser = show_browser
    app.initialize([str(NOTEBOOK)])
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # not every refused request
    app.start()


class ExplorerServer(Voila):
    """Voila with the project's page around the notebook."""

    name = "voila"
    show_browser = True

    def launch_browser(self) -> None:
        """Print where the page is, and open it if asked to."""
        print(f"The explorer is at {self.connection_url} (Ctrl-C to stop)", flush=True)
        if self.show_browser:
            super().launch_browser()

    def setup_template_dirs(self) -> None:
        """Put this package's page before Voila's own."""
        super().setup_template_dirs()
        self.template_paths = [str(_PAGE), *self.template_paths]

    def load_config_file(self, *arguments: Any, **options: Any) -> None:
        """Ignore configuration files of the user and machine, which could open what is closed."""


def configuration(parameters: Mapping[str, Any], *, port: int) -> Config:
    """Return the server's settings; arguments as for `serve`."""

    def with_parameters(request: Any, notebook: NotebookNode, cwd: str) -> NotebookNode:
        lines = ["# Parameters", *(f"{name} = {value!r}" for name, value in parameters.items())]
        # The prose is for readers of the notebook; the page has a heading of its own.
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        tags = [cell.get("metadata", {}).get("tags", []) for cell in notebook.cells]
        after = next(at for at, found in enumerate(tags) if "parameters" in found) + 1
        notebook.cells.insert(after, new_code_cell("\n".join(lines)))
        return notebook

    config = Config()
    server = config.ExplorerServer
    server.ip = ADDRESS
    server.port = port
    server.open_browser = True  # calls launch_browser, which decides
    server.log_level = "ERROR"
    server.tornado_settings = {
        "allow_remote_access": False,  # another name in the request's Host is refused
        "local_hostnames": ["localhost"],
        "websocket_max_message_size": _LARGEST_MESSAGE,
        "max_buffer_size": _LARGEST_MESSAGE,
        "headers": {
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    }
    page = config.VoilaConfiguration
    page.strip_sources = True
    page.show_tracebacks = False
    page.file_allowlist = []  # no file is served: pictures are part of the page
    page.file_denylist = [".*"]
    page.allow_template_override = "NO"
    page.allow_theme_override = "NO"
    page.resources = {"upload_limit": LARGEST_BYTES}
    page.prelaunch_hook = with_parameters
    kernels = config.MappingKernelManager
    kernels.cull_idle_timeout = _IDLE
    kernels.cull_interval = 60
    kernels.cull_connected = False
    return config


# === The log in the terminal ===

_NOISE = re.compile(
    r".*Kernel is running over TCP without encryption"  # on this machine's loopback address
    r"|(?:The |Setting )websocket_ping_timeout"
)


def filter_log(descriptor: int = 2) -> None:
    """Drop warnings that users cannot act on from what this process and its children print.

    Everything else passes, line by line.

    Args:
        descriptor: the file that is filtered; standard error by default.
    """
    terminal = os.dup(descriptor)
    source, sink = os.pipe()
    os.dup2(sink, descriptor)
    os.close(sink)
    threading.Thread(target=_pass_on, args=(source, terminal), daemon=True).start()


def _pass_on(source: int, terminal: int) -> None:
    with open(source, errors="replace") as lines, open(terminal, "w", buffering=1) as shown:
        for line in lines:
            if not _NOISE.match(line):
                shown.write(line)


if __name__ == "__main__":
    sys.exit(main())
