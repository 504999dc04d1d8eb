"""See that the system has the libraries that skia loads, and install them where that is possible.

Skia draws the embedded data set. Its wheel is complete but for a few libraries that every desktop
has and a bare server or container lacks. Run as `python -m data_prep.graphics_libraries`; ends with
status 0 when `import skia` works.
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
    """Return what hinders `import skia`, or None; a fresh process sees what was just installed."""
    command = [sys.executable, "-c", "import skia"]
    process = subprocess.run(command, capture_output=True, text=True)
    return None if process.returncode == 0 else process.stderr.strip().splitlines()[-1]


def is_missing_library(error: str) -> bool:
    """Return whether the message is the dynamic loader's, of a library that is not there."""
    return ".so" in error and "cannot open shared object file" in error


def install_with_apt() -> None:
    """Install the Debian packages; a failure shows in apt's own words."""
    apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    subprocess.run([*apt_get, "update", "--quiet"])
    subprocess.run([*apt_get, "install", "--yes", "--no-install-recommends", *DEBIAN])


def main() -> int:
    """Check, install if need be and possible, check again; return the exit status."""
    error = skia_error()
    if error is None:
        return 0
    if is_missing_library(error):
        print(f"The drawing library skia lacks a library of the system: {error}")
        if os.geteuid() == 0 and shutil.which("apt-get"):
            print(f"Installing the system packages {' '.join(DEBIAN)} with apt-get.", flush=True)
            install_with_apt()
            error = skia_error()
            if error is None:
                return 0
        print("Install what it needs, then repeat the command:", *REMEDIES, sep="\n  ")
    print(f"`import skia` fails: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
