"""Starting and ending the guard's processes.

A child reads its settings from standard input and inherits exactly the descriptors
it is given. It may be started before its settings are known, because its imports take
longer than anything else at a start. Most are fresh interpreters; those that look at
pictures come from one template, see `edge.guard.template`. The kernel ends the
children when the parent ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from edge import ipc, isolation
from edge.errors import GuardError, failing
from edge.guard.template import Order, Part
from edge.reasons import Reason
from edge.sandbox import spec as sandbox
from edge.wire import to_json

MATCHER = "matcher"  # the one child that is not the guard's own program
_GRACE_S = 3.0
_SET_CHILD_SUBREAPER = 36  # prctl
_ENDING_S = 0.5  # for the cause of a loss to be seen behind what it took along


class Forked:
    """A child that a template forked, held like one that `subprocess` spawned."""

    stdout: IO[bytes] | None = None
    stderr: IO[bytes] | None = None

    def __init__(self, pid: int, stdin: IO[bytes]) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.returncode: int | Any = None  # None while it runs

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """The same, waited for at most `timeout` seconds.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self.returncode is None and timeout is not None:
            pidfd = os.pidfd_open(self.pid)
            try:
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                if not poll.poll(max(0.0, timeout) * 1000):
                    raise subprocess.TimeoutExpired(str(self.pid), timeout)
            finally:
                os.close(pidfd)
        code = self._reap(0)
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # once reaped, its number may be another's
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Child:
    """One process of the guard."""

    def __init__(self, name: str, process: subprocess.Popen[bytes] | Forked) -> None:
        self.name = name
        self.process = process
        self.pidfd = os.pidfd_open(process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by a signal or a debugger, and so cannot make progress."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in "Tt"

    def configure(self, settings: object) -> None:
        """Send a spawned child its settings; it begins then."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; its waiting caller notices
            self.process.stdin.write(to_json(settings).encode())
            self.process.stdin.close()

    def dismiss(self) -> None:
        """Make a child that was spawned and never configured exit; does nothing to any other."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def describe_end(self) -> str:
        """How it ended, in words."""
        code = self.process.wait()
        if code == ipc.EXHAUSTED and self.name != MATCHER:  # which may mean anything by its code
            return f"{Reason.RESOURCE.value}: the {self.name} process ran out of memory"
        if code < 0:
            return f"the {self.name} process was ended by signal {-code}"
        return f"the {self.name} process ended with code {code}"

    def end(self, *, wait_s: float = 0.0) -> None:
        """Let it end by itself for `wait_s`, then end it; waits until it is gone."""
        if self.pidfd < 0:
            return
        self.dismiss()
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            try:
                self.process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self.pidfd)
        self.pidfd = -1


def first_lost(children: Collection[Child], ended: list[Child]) -> Child:
    """Which of the children was lost by itself, some having `ended`.

    One loss takes others along, which end in good order. It may be seen last, for
    a large process takes its time to be gone.
    """
    until = time.monotonic() + _ENDING_S
    poll = select.poll()
    for child in children:
        poll.register(child.pidfd, select.POLLIN)
    while True:
        for child in ended:
            if child.process.wait() not in (0, ipc.UNRECORDED):
                return child
            poll.unregister(child.pidfd)
        gone = {fd for fd, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000)}
        if not gone:
            return ended[0]
        ended = [child for child in children if child.pidfd in gone]


def spawn_unconfigured(name: str, module: str, fds: Iterable[int]) -> Child:
    """Start a module of this package; it waits for `configure`."""
    process = subprocess.Popen(
        isolation.python(module),
        stdin=subprocess.PIPE,
        env=isolation.environment(),
        pass_fds=tuple(fds),
        start_new_session=True,  # so that its priority counts against other sessions
    )
    return Child(name, process)


def spawn_from_template(
    load: Sequence[str],
    parts: Mapping[str, tuple[str, Sequence[int]]],
    wait_s: float,
    given: Mapping[str, str] | None = None,
) -> dict[str, Child]:
    """Start processes that share what they load; each waits for `configure`.

    Args:
        load: modules that the template loads before it forks.
        parts: the module and the descriptors of each, by its name.
        wait_s: how long the template may take.
        given: their environment, on top of the guard's.

    Raises:
        GuardError: it ended, or took longer.
    """
    with contextlib.ExitStack() as opened:
        pipes = [_pipe(opened) for _ in parts]
        pids_read, pids_write = _pipe(opened)
        ordered = tuple(
            Part(module, read.fileno(), tuple(fds))
            for (module, fds), (read, _) in zip(parts.values(), pipes, strict=True)
        )
        order = Order(os.getpid(), pids_write.fileno(), tuple(load), ordered)
        with _adopting():
            process = subprocess.Popen(
                isolation.python("edge.guard.template", to_json(order)),
                stdin=subprocess.DEVNULL,
                env=isolation.environment(given),
                pass_fds=tuple(order.fds),
                start_new_session=True,
            )
            for end in (pids_write, *(read for read, _ in pipes)):
                end.close()
            whole, pids = _forks(pids_read.fileno(), wait_s)
        opened.pop_all()  # from here on each child holds its own
    pids_read.close()
    *names, last = parts
    *writers, process.stdin = (write for _, write in pipes)
    found = {
        name: Child(name, Forked(pid, writer))
        for name, pid, writer in zip(names, pids, writers, strict=False)
    }
    if not whole or len(found) != len(names):
        template = Child("template", process)
        why = _why_unforked(template, whole, wait_s)
        for child in (template, *found.values()):
            child.end()
        raise GuardError(f"at the start, {why}")
    return {**found, last: Child(last, process)}


def _why_unforked(template: Child, whole: bool, wait_s: float) -> str:
    """Why a template has not forked all; it may run still, and is not ended yet."""
    try:
        template.process.wait(_ENDING_S if whole else 0.0)
    except subprocess.TimeoutExpired:
        if whole:  # it went on without one of them
            return "a process was lost while it was forked"
        return f"the template process had not forked after {wait_s:g} s"
    return template.describe_end()


def _pipe(opened: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """The ends of a pipe, to read and to write, closed with `opened`."""
    read, write = os.pipe()
    return opened.enter_context(os.fdopen(read, "rb")), opened.enter_context(os.fdopen(write, "wb"))


def _forks(fd: int, wait_s: float) -> tuple[bool, list[int]]:
    """Whether a template has forked all, and the process ids that it told."""
    text, until = b"", time.monotonic() + wait_s
    while select.select([fd], [], [], max(0.0, until - time.monotonic()))[0]:
        more = os.read(fd, 4096)
        if not more:
            return True, [int(line) for line in text.split()]
        text += more
    return False, [int(line) for line in text.split()]


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Descendants whose parent ends become children of this process meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def spawn_module(name: str, module: str, settings: object, fds: Iterable[int]) -> Child:
    """Start a module of this package with its settings on standard input."""
    child = spawn_unconfigured(name, module, fds)
    child.configure(settings)
    return child


def spawn_matcher(command: list[str], environment: Mapping[str, str]) -> Child:
    """Start the matcher; it inherits nothing but its environment and standard streams.

    Raises:
        GuardError: the command cannot be started.
    """
    names = isolation.with_client({**isolation.cleaned(os.environ), **environment})
    with failing(f"matcher {command[0]!r} cannot be started", GuardError):
        process = subprocess.Popen(command, env=names)
    return Child(MATCHER, process)


def spawn_sandboxed(
    command: tuple[str, ...],
    confinement: sandbox.Confinement,
    given: Mapping[str, str],
    fd: int,
    report: int = -1,
) -> Child:
    """Start the matcher in its sandbox; it inherits `fd`, and pipes to print to.

    Its sandbox sends the listener of its filter to `report`.

    Raises:
        SandboxError: the command names no program.
    """
    order = sandbox.order(command, confinement, fd, report)
    process = subprocess.Popen(
        isolation.python("edge.sandbox.launcher", to_json(order)),
        env=sandbox.environment(
            {
                **given,
                "FRAMEGATE_FD": str(fd),
                sandbox.MATCHER_ENVIRONMENT: json.dumps(dict(confinement.env)),
            }
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=tuple(number for number in (fd, report) if number >= 0),
        start_new_session=True,  # its filter keeps it in this process group
    )
    return Child(MATCHER, process)


def key_pipe(key: bytes) -> int:
    """A descriptor from which `key` can be read once; it never touches a disk or a command line."""
    read_fd, write_fd = os.pipe()
    os.write(write_fd, key)
    os.close(write_fd)
    return read_fd
