"""The explorer as a page: Voila, for this machine alone, with nothing else to be had from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from traitlets.config import Config
from voila.app import Voila

from asen_apps.explorer import page as page_files
from asen_apps.explorer.errors import LARGEST_BYTES

ADDRESS = "127.0.0.1"
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "09_explore.ipynb"
_LARGEST_MESSAGE = LARGEST_BYTES + 2**20  # bytes, from the page to Python
_IDLE = 600  # seconds after which a page that was left gives its memory back
# Nothing from other machines, and nobody may frame the page. The widgets need inline scripts.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' ws: data: blob:; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'self'"
)


class ExplorerServer(Voila):
    """Voila with the project's page around the notebook."""

    name = "voila"
    show_browser = True

    def launch_browser(self) -> None:
        """Say where the page is, and open it if that is wanted."""
        print(f"The explorer is at {self.connection_url} (Ctrl-C ends it).", flush=True)
        if self.show_browser:
            super().launch_browser()

    def setup_template_dirs(self) -> None:
        """Find the page of this package before Voila's own."""
        super().setup_template_dirs()
        self.template_paths = [str(page_files.FOLDER), *self.template_paths]

    def load_config_file(self, *arguments: Any, **options: Any) -> None:
        """Read no configuration of the user or the machine: it could open what is closed here."""


def configuration(parameters: Mapping[str, Any], *, port: int) -> Config:
    """Return the server's settings.

    Args:
        parameters: of the notebook, by name.
        port: the first one that is tried; 50 more if it is taken.
    """

    def with_parameters(request: Any, notebook: NotebookNode, cwd: str) -> NotebookNode:
        lines = ["# Parameters", *(f"{name} = {value!r}" for name, value in parameters.items())]
        # The prose is for those who open the notebook; the page has a heading of its own.
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        tags = [cell.get("metadata", {}).get("tags", []) for cell in notebook.cells]
        after = next(at for at, found in enumerate(tags) if "parameters" in found) + 1
        notebook.cells.insert(after, new_code_cell("\n".join(lines)))
        return notebook

    server = Config()
    server.ExplorerServer.ip = ADDRESS
    server.ExplorerServer.port = port
    server.ExplorerServer.open_browser = True  # see launch_browser
    server.ExplorerServer.log_level = "ERROR"
    server.ExplorerServer.tornado_settings = {
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
    page = server.VoilaConfiguration
    page.strip_sources = True
    page.show_tracebacks = False
    page.file_allowlist = []  # no file is served: pictures are part of the page
    page.file_denylist = [".*"]
    page.allow_template_override = "NO"
    page.allow_theme_override = "NO"
    page.resources = {"upload_limit": LARGEST_BYTES}
    page.prelaunch_hook = with_parameters
    kernels = server.MappingKernelManager
    kernels.cull_idle_timeout = _IDLE
    kernels.cull_interval = 60
    kernels.cull_connected = False
    return server
