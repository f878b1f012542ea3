"""How a command declares itself: a line each for its actions and options.

An option is written as help shows it, `--name VALUE`; an argument as `name VALUE`.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from edge.errors import wrong_in

Handler: TypeAlias = Callable[[argparse.Namespace], int]

REPEATABLE: dict[str, Any] = {"action": "append", "default": []}  # --x A --x B
SEVERAL: dict[str, Any] = {"nargs": "+", "default": []}  # --x A B


def command_words(option: str, text: str | None) -> tuple[str, ...]:
    """The words of a command that an option gives as one text; none of none.

    Raises:
        UsageError: a quote is not closed.
    """
    with wrong_in(f"{option}: expected a command, got {text!r}", ValueError):
        return tuple(shlex.split(text or ""))


class Options:
    """The options of a command, of a group in it, or of several actions that share them."""

    def __init__(self, to: Any) -> None:
        """`to`: a parser of argparse, or a group in one."""
        self.to = to

    @classmethod
    def shared(cls, *parents: Options) -> Options:
        """Options to be named as `parents` of several actions, with those of `parents`."""
        return cls(argparse.ArgumentParser(add_help=False, parents=[one.to for one in parents]))

    def one_of(self, *, required: bool = True) -> Options:
        """A group of options of which one may be given, or none unless `required`."""
        return Options(self.to.add_mutually_exclusive_group(required=required))

    def flag(self, name: str, what: str) -> None:
        """Add an option without a value."""
        self.to.add_argument(name, action="store_true", help=what)

    def text(self, name: str, what: str, **how: Any) -> None:
        """Add an option or an argument that is any text."""
        name, _, metavar = name.partition(" ")
        self.to.add_argument(name, help=what, **({"metavar": metavar} if metavar else {}), **how)

    def path(self, name: str, what: str, **how: Any) -> None:
        """Add one that names a file or a folder."""
        self.text(name, what, type=Path, **how)

    def number(self, name: str, what: str, default: float | None = None, **how: Any) -> None:
        """Add one that is a number, whole unless its default is not."""
        kind = int if default is None else type(default)
        self.text(name, what, **{"type": kind, **how}, default=default)

    def choice(self, name: str, what: str, choices: Iterable[str], **how: Any) -> None:
        """Add one that is one of some words."""
        self.text(name, what, choices=choices, **how)


class Actions:
    """The commands, or the actions of one."""

    def __init__(self, group: argparse._SubParsersAction[Any]) -> None:
        self.group = group

    def add(
        self,
        name: str,
        what: str,
        handler: Handler | None = None,
        *,
        parents: Sequence[Options] = (),
        pictures: bool = False,
        **how: Any,
    ) -> Options:
        """Add one.

        Args:
            what: it does, in a few words; also its description, unless `how` has one.
            handler: runs it, and returns its exit code.
            parents: options that others have too.
            pictures: it looks at pictures, so it is not started without memory for that.
            how: as in `add_parser`.
        """
        description = f"{what[:1].upper()}{what[1:]}."
        how = {"description": description, "parents": [one.to for one in parents], **how}
        parser = self.group.add_parser(name, help=what, **how)
        if handler is not None:
            parser.set_defaults(handler=handler, pictures=pictures)
        return Options(parser)

    def add_group(self, name: str, what: str, **how: Any) -> Actions:
        """Add a command that has actions, which are added to what is returned; as `add`."""
        parser = self.add(name, what, **how).to
        return Actions(parser.add_subparsers(metavar="ACTION", required=True))
