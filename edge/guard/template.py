"""The template: loads once what several processes of a guard need, and forks them.

    python -m edge.guard.template ORDER

It loads the modules of its order, forks a process for each part except the last, and
then becomes the last part itself. All parts share the memory pages that none of them
writes to. The parent of each part is the guard, not the template: the intermediate
process ends at once, and the guard adopts its orphans. A template holds no key, token
or record: each part gets its own later, through its own standard input. See ADR 9.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edge import ipc
from edge.files import open_named
from edge.wire import from_json

_ARGUMENTS = slice(45, 47)  # of /proc/self/stat behind the name: where the command line lies


@dataclass(frozen=True, slots=True)
class Part:
    """One process."""

    module: str  # its `main` is run
    stdin_fd: int  # what becomes its standard input
    fds: tuple[int, ...]  # what else it keeps


@dataclass(frozen=True, slots=True)
class Order:
    """What a template is told on its command line."""

    guard_pid: int
    report_fd: int  # gets the process id of each fork, a line each, in order; then it is closed
    load: tuple[str, ...]  # modules
    parts: tuple[Part, ...]

    @property
    def fds(self) -> set[int]:
        """All that the template was given."""
        given = {fd for part in self.parts for fd in (part.stdin_fd, *part.fds)}
        return given | {self.report_fd}


def main() -> int:
    """Fork all parts but the last, and run that; a fork comes back here and runs its own."""
    ipc.die_with_parent()
    order = from_json(Order, sys.argv[1])
    for name in order.load:
        importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) != 1:
        raise RuntimeError("a template has one thread: a fork would copy the others' locks")
    gc.collect()
    gc.freeze()  # a collection writes to whatever it looks at, and so would copy every page
    *forked, last = order.parts
    for part in forked:
        if _fork(order.guard_pid, order.report_fd):
            os.setsid()  # so that its priority counts against other sessions
            return _become(part, order)
    return _become(last, order)


def _fork(guard_pid: int, report_fd: int) -> bool:
    """Fork a child of the guard's; whether this is that child."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return False
    between = os.getpid()
    child = os.fork()
    if child:
        os.write(report_fd, f"{child}\n".encode())
        os._exit(0)
    while os.getppid() == between:
        time.sleep(0.0002)
    if os.getppid() != guard_pid:  # it has ended
        os._exit(1)
    return True


def _become(part: Part, order: Order) -> int:
    """Run one part, with its own descriptors and under its own name."""
    os.dup2(part.stdin_fd, 0)
    for fd in order.fds - set(part.fds):
        os.close(fd)
    _show_as(part.module)
    sys.argv = [part.module]
    code: int = importlib.import_module(part.module).main()
    return code


def _show_as(module: str) -> None:
    """Name this process by what it runs, in /proc and so in `ps`."""
    with open_named(Path("/proc/self/stat")) as file:
        fields = file.read().rpartition(b")")[2].split()
    begin, end = map(int, fields[_ARGUMENTS])
    words = [*sys.orig_argv[:-2], module]  # without the template's name and its order
    line = "\0".join(words).encode()
    if 0 < len(line) < end - begin:
        ctypes.memmove(begin, line.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    sys.exit(main())
