"""What you can do with a trained model: search, re-rank, compare designs, explore."""

import sys


def main() -> int:
    """Run the command `asen`; return its exit code, 130 after Ctrl-C at any moment."""
    try:
        from asen_apps.commands import main as run  # seconds, in which one may think again

        return run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
