"""The `framegate` command: isolated first, then everything else is imported."""

from __future__ import annotations

from edge import isolation


def framegate() -> int:
    """Start anew in isolated mode unless it is so already, then run the command."""
    try:
        isolation.enter()
        from edge.cli import main

        return main()
    except KeyboardInterrupt:  # while it was still loading
        return 130
