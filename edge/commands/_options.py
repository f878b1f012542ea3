"""Options of a command line, one line each: name, what stands for the value, what it is for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Options(Protocol):
    """A parser, or a group of options in one."""

    def add_argument(self, *names: str, **how: Any) -> Any: ...


def add_flag(to: Options, name: str, what: str, **how: Any) -> None:
    """Add an option without a value."""
    to.add_argument(name, action="store_true", help=what, **how)


def add_text(to: Options, name: str, metavar: str, what: str, **how: Any) -> None:
    """Add an option, or without dashes an argument, that is any text."""
    to.add_argument(name, metavar=metavar, help=what, **how)


def add_path(to: Options, name: str, metavar: str, what: str, **how: Any) -> None:
    """Add one that names a file or a folder."""
    to.add_argument(name, type=Path, metavar=metavar, help=what, **how)


def add_number(
    to: Options, name: str, metavar: str, what: str, default: float | None = None, **how: Any
) -> None:
    """Add one that is a number, whole unless its default is not."""
    kind = int if default is None else type(default)
    to.add_argument(name, **{"type": kind, **how}, default=default, metavar=metavar, help=what)
