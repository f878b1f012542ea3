"""`framegate config`: check and show the daemon's configuration."""

from __future__ import annotations

import argparse

from edge.commands._options import Actions
from edge.commands._output import say
from edge.commands.live._user import add_user, become, current

EXAMPLES = """\
examples:
  framegate config show                      every key with its meaning and default
  framegate config show guard.toml           the same with the values of a file
  framegate config check guard.toml          everything that would stop a start; then code 1
  sudo framegate config check --user framegate /etc/framegate/guard.toml
"""


def register(commands: Actions) -> None:
    actions = commands.add_group(
        "config",
        "check and show the daemon's configuration",
        description="Check and show guard.toml, the configuration of `framegate daemon`.",
        epilog=EXAMPLES,
    )
    check = actions.add("check", "list everything that would stop a start", run_check)
    add_user(check)
    check.path("file", "guard.toml")
    show = actions.add("show", "print every key, what is allowed, and its value", run_show)
    show.path("file", "guard.toml; the defaults without one", nargs="?")


def run_check(args: argparse.Namespace) -> int:
    """0 if a start would pass, 1 with everything that would stop it, a line each."""
    from edge.daemon.check import problems

    become(args.user)
    if found := problems(args.file, say=lambda line: say(f"note: {line}")):
        say("\n".join(found))
        return 1
    print(f"{args.file}: ok, a start by the user {current()} would pass")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print a whole guard.toml."""
    from edge.daemon.settings import read_settings, show

    print(show(read_settings(args.file), args.file) if args.file else show(), end="")
    return 0
