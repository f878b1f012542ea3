"""`python -m tests.cases [FAMILY ...]`: every case, or those of some families."""

from __future__ import annotations

import signal
import sys

from tests.cases.table import families, show


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(families()))
    if unknown:
        print(f"no family {', '.join(unknown)}; there are {', '.join(families())}")
        return 2
    return 1 if show(wanted) else 0


signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if this runs in the background
sys.exit(main(sys.argv[1:]))
