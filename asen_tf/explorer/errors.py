"""What the explorer says when something cannot be done."""

from __future__ import annotations


class ExplorerError(ValueError):
    """Something asked of the explorer cannot be done; the message is a sentence for its page."""
