"""How commands speak: what they answer on standard output, all else on standard error, at once."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator

from edge.errors import UsageError


def say(line: str) -> None:
    """Write a line about the work: how far it is, what to know about it."""
    print(line, file=sys.stderr, flush=True)


def saying(who: str) -> Callable[[str], None]:
    """`say` for one of several processes whose lines meet in a journal."""
    return lambda line: say(f"{who}: {line}")


def complain(line: str) -> int:
    """Say what does not hold, as what this program says; the exit code for it."""
    say(f"framegate: {line}")
    return 1


@contextlib.contextmanager
def needing(what: str) -> Iterator[None]:
    """What is imported within comes with `what`, and not with every installation.

    Raises:
        UsageError: it is not there.
    """
    try:
        yield
    except ImportError as err:
        raise UsageError(f"{what}, missing {err.name}") from err


def answer(
    args: argparse.Namespace, data: object, lines: Iterable[str], indent: int | None = None
) -> None:
    """Print the answer: as JSON if --json asks for it, else as lines; `indent` is the JSON's."""
    if args.json:
        print(json.dumps(data, indent=indent))
        return
    for line in lines:
        print(line)
