"""Would a daemon of this configuration start? Everything is verified, nothing is run.

    python -m edge.daemon.check GUARD.toml

A process of its own, so that the guard in force does not wait for the answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge import ipc
from edge.daemon.service import plan_of
from edge.daemon.settings import load_settings
from edge.errors import GuardError
from edge.guard.plan import check


def main() -> int:
    """0 if configuration, records, keys, policy and sandbox hold; 2 with one line if not."""
    ipc.die_with_parent()
    try:
        check(plan_of(load_settings(Path(sys.argv[1]))), say=lambda line: None)
    except GuardError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
