"""The `framegate` command: isolated first, then everything else is imported.

`scripts/framegate` starts this in an isolated Python. However it is started, it sees
to that itself as well, as far as that can be done once an interpreter runs.
"""

from __future__ import annotations

import sys

from edge import isolation


def framegate() -> int:
    """Start anew in isolated mode unless it is so already, then run the command."""
    try:
        isolation.enter()
        from edge.cli import main

        return main()
    except KeyboardInterrupt:  # while it was still loading
        return 130


if __name__ == "__main__":
    sys.exit(framegate())
