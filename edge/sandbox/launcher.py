"""The sandbox: puts the sandbox on this process, then becomes the matcher.

    python -m edge.sandbox.launcher ORDER        (JSON, see `edge.sandbox.order.Order`)
    python -m edge.sandbox.launcher --probe      by layer what keeps it from going on, as JSON

The layers go on from the outside in: what needs privileges first, then the
privileges go, then files and system calls. One that cannot be put on ends the
process before the matcher's first instruction. This process has one thread.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from edge import isolation
from edge.errors import GuardError, SandboxError, failing
from edge.sandbox import landlock, mounts, privileges, seccomp
from edge.sandbox.order import LAYERS, NOBODY, REFUSED, Layer, Order
from edge.sandbox.spec import MATCHER_ENVIRONMENT
from edge.wire import from_json

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_DEVICES = (Path("/dev/null"),)
_DONE, _NOT_DONE = 42, 1  # of a child of the probe; success is reported, never assumed


def main() -> int:
    """Become the matcher; returns only if it cannot."""
    if sys.argv[1:] == ["--probe"]:
        print(json.dumps(_probe()))
        return 0
    order = from_json(Order, sys.argv[1])
    parent = os.getppid()
    try:
        if order.report >= 0:
            os.set_inheritable(order.report, False)
        for layer in _in_order(order.layers):
            _put_on(layer, order)
        if os.getppid() != parent:
            raise SandboxError("the guard ended meanwhile")
        if order.cwd:
            os.chdir(order.cwd)
        own = json.loads(os.environ.pop(MATCHER_ENVIRONMENT, "{}"))
        environment = {k: v for k, v in os.environ.items() if k not in order.drop}
        if "PYTHONPATH" in own:
            own = isolation.with_client(own)
        os.execve(order.command[0], list(order.command), {**environment, **own})
    except GuardError as err:
        print(f"framegate: the matcher was not started: {err}", file=sys.stderr)
    except OSError as err:
        what = err.filename or order.command[0]
        print(f"framegate: the matcher was not started: {what}: {err.strerror}", file=sys.stderr)
    return REFUSED


def _in_order(layers: tuple[Layer, ...]) -> list[Layer]:
    """Network and mounts take CAP_SYS_ADMIN, or else a user namespace, in which no user can be
    changed: with it they come before the change of user, without it after."""
    ordered = [layer for layer in LAYERS if layer in layers]
    if not privileges.has(privileges.CAP_SYS_ADMIN) and Layer.OWN_UID in layers:
        first = [layer for layer in (Layer.NETWORK, Layer.MOUNTS) if layer in layers]
        ordered = [layer for layer in ordered if layer not in first]
        at = ordered.index(Layer.OWN_UID) + 1
        ordered[at:at] = first
    return ordered


def _put_on(layer: Layer, order: Order) -> None:
    match layer:
        case Layer.DESCRIPTORS:
            _only_descriptors(order.fd, order.report)
        case Layer.NETWORK:
            _own_network()
        case Layer.MOUNTS:
            _own_mounts(order)
        case Layer.OWN_UID:
            if Layer.MOUNTS not in order.layers:
                mounts.open_ways(order.uid, _shown(order))
            _own_uid(order.uid)
        case Layer.NO_NEW_PRIVS:
            privileges.give_up()
        case Layer.NO_CORE:
            _no_core()
        case Layer.LANDLOCK:
            own = mounts.PRIVATE if Layer.MOUNTS in order.layers else ()
            writes = map(Path, (*order.writes, *own))
            lists, nodes = map(Path, order.lists), map(Path, order.devices)
            landlock.restrict(map(Path, order.reads), writes, _DEVICES, lists, nodes)
        case Layer.SECCOMP:
            reports = order.report >= 0
            listener = seccomp.apply(os.getpid(), report=reports, requests=order.requests)
            _hand_over(listener, order.report)


def _only_descriptors(fd: int, report: int) -> None:
    """Close everything but the standard streams, the matcher's `fd` and this process's `report`."""
    below = 3
    for kept in sorted(number for number in (fd, report) if number >= 0):
        os.closerange(below, kept)
        below = kept + 1
    os.closerange(below, os.sysconf("SC_OPEN_MAX"))
    if fd >= 0:
        os.set_inheritable(fd, True)


def _hand_over(listener: int | None, report: int) -> None:
    """Give the filter's listener to the guard, who alone may answer it."""
    if report < 0:
        return
    with socket.socket(fileno=report) as channel:
        fds = [] if listener is None else [listener]
        socket.send_fds(channel, [b"."], fds)
        for fd in fds:
            os.close(fd)


def _own_network() -> None:
    """Move into a network with nothing in it; without rights, in a user namespace of its own."""
    if privileges.libc().unshare(_CLONE_NEWNET) != 0:
        _own_users("network_namespace")
        if privileges.libc().unshare(_CLONE_NEWNET) != 0:
            raise privileges.failure("network_namespace: the kernel refused a network of its own")


def _own_mounts(order: Order) -> None:
    """Move into a view of the file system that holds what the matcher is to see."""
    if not privileges.has(privileges.CAP_SYS_ADMIN):
        _own_users("mount_namespace")
    mounts.own_namespace()
    changes = Layer.OWN_UID in order.layers and os.getuid() != order.uid
    cwd = order.cwd or os.getcwd()
    uid = order.uid if changes else None
    mounts.arrange(mounts.View(uid, _shown(order), cwd, order.models, order.hidden, order.devices))


def _shown(order: Order) -> tuple[str, ...]:
    return (*order.reads, *order.writes, *order.devices)


def _own_users(layer: str) -> None:
    """Move into a user namespace that knows this process's user alone, who may do more in it."""
    uid, gid = os.getuid(), os.getgid()
    libc = privileges.libc()
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # or /proc/self is root's after setuid
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise privileges.failure(f"{layer}: the kernel refused a user namespace")
    with failing(f"{layer}: no user map", SandboxError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _own_uid(uid: int) -> None:
    if uid < 1 or uid == os.getuid():  # -1 would mean: leave it as it is
        raise SandboxError(f"own_uid: expected a user that is not root or the guard's, got {uid}")
    with failing("own_uid: only root can give the matcher a user of its own", SandboxError):
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _no_core() -> None:
    """Leave no core file, not even through a pipe (a limit of 1 says so), and end with the guard.

    An exec makes a process readable to its own user again; the client library
    takes that back before the first frame.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = privileges.libc()
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise privileges.failure("no_core")
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _probe() -> dict[str, str]:
    """What keeps each layer from being put on behind those before it; empty: nothing does.

    Layers are tried together, as the matcher gets them: one may take away what the
    next one needs. One that is missing is left out of the tries after it.
    """
    order = Order((), uid=NOBODY, reads=("/usr",))
    found: dict[str, str] = {}
    held: list[Layer] = []
    for layer in _in_order(LAYERS):
        why = _in_child(lambda layers=(*held, layer): _put_on_all(layers, order))  # type: ignore[misc]
        found[layer.value] = why
        if not why:
            held.append(layer)
    return found


def _put_on_all(layers: Iterable[Layer], order: Order) -> None:
    for layer in layers:
        _put_on(layer, order)


def _in_child(work: Callable[[], None]) -> str:
    """What kept `work` from being done in a forked child; empty only if the child did it all."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = _NOT_DONE
        try:
            os.dup2(write_fd, 2)  # the one descriptor that stays when all others are closed
            # what Landlock and seccomp ask for before they let themselves be put on
            privileges.libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            work()
            status = _DONE
        except SandboxError as err:
            os.write(2, str(err).encode(errors="replace"))
        except OSError as err:
            os.write(2, f"{err.strerror or err}".encode(errors="replace"))
        except BaseException as err:
            os.write(2, f"{type(err).__name__}: {err}".encode(errors="replace"))
        finally:
            os._exit(status)  # no answer of the child's but this one counts as success
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as pipe:
        output = pipe.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == _DONE:
        return ""
    return output or (f"ended by signal {-code}" if code < 0 else f"ended with code {code}")


if __name__ == "__main__":
    sys.exit(main())
