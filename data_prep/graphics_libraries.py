"""Check that the system has the libraries that skia loads, and install them if possible.

Skia draws the built-in dataset. Its wheel includes everything except a few libraries that every
desktop has and a bare server or container lacks. Run as `python -m data_prep.graphics_libraries`;
the exit status is 0 when `import skia` works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

DEBIAN = ("libegl1", "libgl1", "libexpat1")
REMEDIES = (
    f"Debian, Ubuntu:  sudo apt-get update && sudo apt-get install {' '.join(DEBIAN)}",
    "Fedora, RHEL:    sudo dnf install libglvnd-egl libglvnd-glx expat",
    "conda:           conda install -c conda-forge libegl libgl libexpat",
)


def skia_error() -> str | None:
    """Return why `import skia` fails, or None; a new process sees what was just installed."""
    command = [sys.executable, "-c", "import skia"]
    process = subprocess.run(command, capture_output=True, text=True)
    return None if process.returncode == 0 else process.stderr.strip().splitlines()[-1]


def is_missing_library(error: str) -> bool:
    """Return whether the dynamic loader says that a library is missing."""
    return ".so" in error and "cannot open shared object file" in error


def install_with_apt() -> None:
    """Install the Debian packages; apt prints its own errors."""
    apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    subprocess.run([*apt_get, "update", "--quiet"])
    subprocess.run([*apt_get, "install", "--yes", "--no-install-recommends", *DEBIAN])


def main() -> int:
    """Check, install if needed and possible, check again; return the exit status."""
    error = skia_error()
    if error is None:
        return 0
    if is_missing_library(error):
        print(f"The drawing library skia needs a system library: {error}")
        if os.geteuid() == 0 and shutil.which("apt-get"):
            print(f"Installing the system packages {' '.join(DEBIAN)} with apt-get.", flush=True)
            install_with_apt()
            error = skia_error()
            if error is None:
                return 0
        print("Install what it needs, then run the command again:", *REMEDIES, sep="\n  ")
    print(f"`import skia` fails: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
