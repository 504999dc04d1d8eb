"""The old name of the command line: `python -m asen_tf embed ...` is now `asen embed ...`."""

import importlib
import sys

if __name__ == "__main__":
    print("`python -m asen_tf` is now called `asen`; see `asen --help`", file=sys.stderr)
    sys.exit(importlib.import_module("asen_apps.commands").main())  # a floor above this one
