"""The `framegate` command: finds the subcommand, and turns errors into one line.

Each module of `edge.commands` offers `register(subparsers)`, which adds one
parser and sets `handler` on it; a handler takes the parsed arguments and
returns an exit code: 0 done, 1 a check failed, 2 bad usage or input.
Heavy imports belong inside handlers, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are told by us, in one line
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import edge.commands
from edge.errors import GuardError

EXAMPLES = """\
examples:
  framegate demo                                     the whole product on real footage
  framegate replay clip.mp4 --device D.toml --session S.toml
  framegate explain VIEW_FOREIGN                     what a reason code means
  framegate audit verify out/audit                   check a log
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand in `edge.commands`."""
    parser = argparse.ArgumentParser(
        prog="framegate",
        description="Blocks face matching outside a controlled capture context.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in sorted(pkgutil.iter_modules(edge.commands.__path__), key=lambda m: m.name):
        importlib.import_module(f"edge.commands.{module.name}").register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.handler(args))
    except GuardError as err:
        print(f"framegate: {err}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
