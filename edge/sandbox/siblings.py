"""The Python modules beside a matcher's script, which it may import as it does without a guard.

The matcher does not get the whole folder, which may hold keys, logs and pictures as
well. It gets each module and package by name, and may list the folder, because Python
searches for modules that way. The operator must name any other file there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST = 512  # a folder with more is no folder of a program
_SUFFIXES = (".py", ".so", ".pth", ".zip")
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


@dataclass(frozen=True, slots=True)
class Siblings:
    """What a command may import from its own folder."""

    folder: str = ""  # may be listed; empty for none
    modules: tuple[str, ...] = ()  # may be read


def siblings(command: tuple[str, ...], cwd: str, apart: Iterable[Path] = ()) -> Siblings:
    """The modules beside the script that `command` runs, or in `cwd` for `python -m MODULE`.

    Args:
        command: its first word is the program's absolute path.
        apart: the guard's own files and folders; a package that meets one is left out.
    """
    folder = _folder(command, cwd)
    if not folder:
        return Siblings()
    own = [path.resolve() for path in apart]
    try:
        found = sorted(entry.path for entry in os.scandir(folder) if _importable(entry))
    except OSError:
        return Siblings()
    modules = [path for path in found if not any(map(Path(path).resolve().is_relative_to, own))]
    modules = [path for path in modules if not any(o.is_relative_to(path) for o in own)]
    return Siblings(folder, tuple(modules[:MOST]))


def script_of(command: tuple[str, ...], cwd: str) -> str:
    """The file that `python ... FILE` runs, seen from `cwd`; empty if the command names none."""
    word = _what_runs(command)[1] if _interpreter(command[0]) else ""
    return "" if not word or word.startswith("-") else os.path.normpath(os.path.join(cwd, word))


def _folder(command: tuple[str, ...], cwd: str) -> str:
    """Where Python looks for modules first; empty if that is nowhere of its own."""
    if not _interpreter(command[0]):
        return os.path.dirname(os.path.realpath(command[0])) if _python(command[0]) else ""
    options, word = _what_runs(command)
    if word in ("", "-c") or any(set("IP") & set(o) for o in options if not o.startswith("--")):
        return ""
    return cwd if word == "-m" else os.path.dirname(os.path.realpath(os.path.join(cwd, word)))


def _interpreter(program: str) -> bool:
    return os.path.basename(program).startswith("python")


def _what_runs(command: tuple[str, ...]) -> tuple[list[str], str]:
    """The options of `python`, and what follows them: a script, `-m`, `-c` or nothing."""
    options, words = list[str](), iter(command[1:])
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word in ("-c", "-m") or not word.startswith("-"):
            return options, word
        else:
            options.append(word)
    return options, ""


def _python(program: str) -> bool:
    """Whether a program is a Python script by its first line."""
    try:
        with open(program, "rb") as file:
            first = file.readline(256)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


def _importable(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir():
        return os.path.isfile(os.path.join(entry.path, "__init__.py"))
    return entry.is_file() and entry.name.endswith(_SUFFIXES)
