"""The `framegate` command: finds the subcommand, and turns errors into one line.

Each module of `edge.commands` offers `register(subparsers)`, which adds one
parser and sets `handler` on it; a handler takes the parsed arguments and
returns an exit code: 0 done, 1 a check failed, 2 bad usage or input. One that looks
at pictures sets `pictures` too, and is not started without memory for that.
Heavy imports belong inside handlers, so that `--help` is quick.
"""

from __future__ import annotations

if __name__ == "__main__":  # before anything is imported from where it should not be
    from edge import isolation

    isolation.enter()

import argparse
import errno
import functools
import importlib
import os
import pkgutil
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # we report errors ourselves, in one line
os.environ["OPENCV_LOG_LEVEL"] = "SILENT"

import edge.commands
from edge.commands._options import Actions
from edge.errors import GuardError, spent
from edge.scheduling import require_memory
from edge.version import VERSION

_interrupts: list[int] = []  # each ^C
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

EXAMPLES = """\
examples:
  framegate demo                                     the whole product on real footage
  framegate replay clip.mp4 --device D.toml --session S.toml
  framegate explain VIEW_FOREIGN                     what a reason code means
  framegate audit verify out/audit                   check a log
"""


class _Help(argparse.HelpFormatter):
    """A text of several lines keeps them, as examples do; one of a single line is wrapped."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line; its subparsers do so too."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **how})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"framegate: {message} (see {self.prog} --help)\n")


def build_parser(only: str = "") -> argparse.ArgumentParser:
    """The parser with every subcommand in `edge.commands`, or with `only` one: that is quicker."""
    parser = _Parser(
        prog="framegate",
        description="Blocks face matching outside a controlled capture context.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"framegate {VERSION}")
    commands = Actions(parser.add_subparsers(metavar="COMMAND", required=True))
    for module in _command_modules():
        if only in ("", module.rpartition(".")[2]):
            importlib.import_module(module).register(commands)
    return parser


def _named(words: Sequence[str]) -> str:
    """The command that a command line begins with; "" if it begins with none."""
    names = {module.rpartition(".")[2] for module in _command_modules()}
    return words[0] if words and words[0] in names else ""


@functools.cache
def _command_modules() -> list[str]:
    """One module a command, in the order of their names; `_name` is a part of another one."""
    found = [
        module.name
        for module in pkgutil.walk_packages(edge.commands.__path__, "edge.commands.")
        if not module.ispkg and not module.name.rpartition(".")[2].startswith("_")
    ]
    return sorted(found, key=lambda name: name.rpartition(".")[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        words = sys.argv[1:] if argv is None else argv
        args = build_parser(_named(words)).parse_args(words)
        if getattr(args, "pictures", False):
            require_memory()
        code = int(args.handler(args))
        sys.stdout.flush()  # what does not fit is noticed here, not at the very end
        return code
    except GuardError as err:
        print(f"framegate: {err}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _reader_gone():  # another pipe broke, and that is a fault
            raise
        _drop_stdout()  # the reader has read enough, as `head` does
        return 0
    except MemoryError:
        print("framegate: out of memory", file=sys.stderr)
        return 1
    except ImportError as err:  # a library is damaged, or there is no memory to map it
        if _interrupts:  # a library in C says of ^C while it is loaded that it failed
            return 130
        first = str(err).strip().partition("\n")[0]
        print(f"framegate: a library cannot be loaded: {first}", file=sys.stderr)
        return 1
    except OSError as err:
        if why := spent(err):
            print(f"framegate: {why}", file=sys.stderr)
            return 1
        if err.errno not in _FULL:
            raise
        _drop_stdout()
        print(f"framegate: cannot write the output: {os.strerror(err.errno)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def note_interrupts() -> None:
    """Let ^C be known for what it is, also where a library makes another error of it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def _reader_gone() -> bool:
    """Whether the reader of this process's standard output has closed it."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _drop_stdout() -> None:
    """Leave nothing for the interpreter to write, and to fail at, when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    note_interrupts()
    sys.exit(main())
