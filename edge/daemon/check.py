"""Would a daemon of this configuration start? Everything is verified, nothing is run.

    python -m edge.daemon.check GUARD.toml

A process of its own, so that the guard in force does not wait for the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from edge import ipc
from edge.daemon.settings import SettingsError, load_settings, parse_settings, read_settings
from edge.errors import GuardError
from edge.guard.obstacles import obstacles
from edge.guard.plan import check


def problems(config: Path, say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Everything that would stop a start with this guard.toml, one line each.

    `say` gets the warnings that do not stop a start.

    Raises:
        SettingsError: the file cannot be read: bad usage, not a failed check.
    """
    data = read_settings(config)
    try:
        return obstacles(parse_settings(data, config).plan, say)
    except SettingsError as err:
        return list(err.problems)


def main() -> int:
    """0 if configuration, records, keys, policy and sandbox hold; 2 with one line if not."""
    ipc.die_with_parent()
    try:
        check(load_settings(Path(sys.argv[1])).plan, say=lambda line: None)
    except GuardError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
