"""The command `python -m asen_apps.explorer`: the page of a study, in the browser."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from asen_apps.explorer import ExplorerError

PORT = 8866


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C.

    Args:
        arguments: of the command line; `sys.argv[1:]` when None.

    Returns:
        0 after Ctrl-C, 1 if there is nothing to show.
    """
    parser = argparse.ArgumentParser(
        prog="python -m asen_apps.explorer",
        description="Search a study's test images by attribute, in the browser. The page is "
        "served to this machine only; press Ctrl-C to stop.",
    )
    parser.add_argument("--study", default="quick", help="folder of the study; default quick")
    parser.add_argument("--results-dir", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), metavar="DIR")
    parser.add_argument("--count", type=int, default=12, help="images that a search returns")
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"default {PORT}, or the next one that is free"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count must be at least 1; got {options.count}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # a kernel from elsewhere has other packages
    from asen_apps.explorer import server
    from asen_apps.explorer.methods import explain_left_out, methods_of, split_by_dataset

    try:
        methods, left_out = split_by_dataset(methods_of(options.results_dir / options.study))
    except ExplorerError as error:
        print(error, file=sys.stderr)
        return 1
    names = ", ".join(method.label for method in methods)
    message = f"Methods in the study {options.study!r}: {names}. {explain_left_out(left_out)}"
    print(message.strip(), flush=True)
    parameters = {
        "data_dir": str(options.data_dir.resolve()),
        "results_dir": str(options.results_dir.resolve()),
        "study": options.study,
        "count": options.count,
    }
    server.serve(parameters, port=options.port, show_browser=not options.no_browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
