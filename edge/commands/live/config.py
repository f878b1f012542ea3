"""`framegate config`: check and show the daemon's configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = """\
examples:
  framegate config show                      every key with its meaning and default
  framegate config show guard.toml           the same with the values of a file
  framegate config check guard.toml          every error at once; exit code 1 if there is one
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of `framegate config`."""
    parser = commands.add_parser(
        "config",
        help="check and show the daemon's configuration",
        description="Check and show guard.toml, the configuration of `framegate daemon`.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser("check", help="list every error with its line")
    check.add_argument("file", type=Path, help="guard.toml")
    check.set_defaults(handler=run_check)
    show = actions.add_parser("show", help="print every key, what is allowed, and its value")
    show.add_argument("file", type=Path, nargs="?", help="guard.toml; the defaults without one")
    show.set_defaults(handler=run_show)


def run_check(args: argparse.Namespace) -> int:
    """0 if the file holds, 1 with every error on a line of its own."""
    from edge.daemon.service import plan_of
    from edge.daemon.settings import SettingsError, parse_settings, read_settings
    from edge.guard.plan import path_faults

    data = read_settings(args.file)  # a file that is not there is bad usage, not a failed check
    try:
        problems = path_faults(plan_of(parse_settings(data, args.file)))
    except SettingsError as err:
        problems = list(err.problems)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    print(f"{args.file}: ok")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print a whole guard.toml."""
    from edge.daemon.settings import read_settings, show

    print(show(read_settings(args.file), args.file) if args.file else show(), end="")
    return 0
