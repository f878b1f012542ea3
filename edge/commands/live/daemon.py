"""`framegate daemon`: the guard as a service."""

from __future__ import annotations

import argparse

from edge.commands._options import Actions
from edge.commands._output import say

EXAMPLES = """\
examples:
  framegate daemon --config /etc/framegate/guard.toml
  kill -HUP PID                      read configuration, records and policy again
  framegate config show              every key, what is allowed, the defaults

A lost process means blocked: everything is taken down and started again, after a
pause that grows from half a second to thirty. Under systemd it is a Type=notify
service; edge/daemon/deploy has the units.
"""


def register(commands: Actions) -> None:
    parser = commands.add(
        "daemon",
        "run the guard as a service",
        run,
        description="Run the guard as a service: it restarts lost processes, blocked, and reloads.",
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.path("--config CONFIG", "guard.toml", required=True)


def run(args: argparse.Namespace) -> int:
    """Until SIGTERM; 2 if configuration, records or keys do not hold at the start."""
    from edge.daemon.service import Service

    return Service(args.config, lambda line: say(f"framegate: {line}")).run()
