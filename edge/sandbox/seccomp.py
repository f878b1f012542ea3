"""The system calls a sandboxed matcher may make, as a seccomp filter.

An allow-list: what is not named fails with EPERM. It holds what a Python
program with numpy, OpenCV and onnxruntime needs to compute, read files and
talk over sockets it was given; nothing that makes a socket, reads another
process, changes a mount or adds a namespace. Where arguments matter they are
compared too. Calls that only an attempt to get out would make are
refused through a listener, where the kernel has those: `edge.sandbox.notifier`
answers them and tells the guard. The filter is classic BPF, assembled here for the machine it
runs on; numbers are those of the kernel's x86_64 and arm64 tables.
"""

from __future__ import annotations

import ctypes
import errno
import json
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import SandboxError
from edge.sandbox.privileges import failure, libc

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NOTIFY = 0x7FC00000  # ask the listener
_KILL = 0x80000000  # another machine's numbers: nothing in the list would mean what it says
_LOAD, _EQUAL, _ANY_BIT, _NOT_BELOW, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_AND = 0x54
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000  # x86_64 only: the same calls under other numbers

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_GET_NOTIF_SIZES = 3
_FILTER_FLAG_ALL_THREADS = 1
_FILTER_FLAG_LOG = 2  # refusals go to the kernel's audit log where it keeps one
_FILTER_FLAG_NEW_LISTENER = 8
_REFUSE = _ERRNO | errno.EPERM
_NO_FAMILY = _ERRNO | errno.EAFNOSUPPORT  # as on a machine without a network

# CLONE_NEW*: NEWTIME is the lone low bit
_NEW_NAMESPACE = 0x7E020000 | 0x80
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminal, FIONREAD, FIO*
_REQUEST_TYPE = 0xFF00
_PRCTLS = (3, 15, 16, 0x53564D41)  # get dumpable, thread name, mapping name
_PR_SET_DUMPABLE = 4

_AF_UNIX = 1
_SOCKET_TYPE, _STREAM, _SEQPACKET = 0xF, 1, 5
_TABLES = Path(__file__).with_name("syscalls")
_O_ACCMODE, _O_RDWR, _O_CREAT = 0o3, 0o2, 0o100

NOTICE_SIZES = (80, 24, 64)  # of what a listener reads, answers, and of the call in it


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs between processors: the numbers of the system calls, by name.

    They stand in `syscalls/MACHINE.json`, after the kernel's own tables
    (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
    """

    audit: int  # AUDIT_ARCH_*
    allowed: Mapping[str, int]  # whatever the arguments
    judged: Mapping[str, int]  # by their arguments, see `program`
    reported: Mapping[str, int]  # no program that computes makes one of these by accident
    decoder: Mapping[str, int]  # what a program that decodes video may not call besides

    @classmethod
    def load(cls, path: Path) -> Machine:
        """The table in a file."""
        fields = json.loads(path.read_text())
        names = ("audit_arch", "allowed", "judged", "reported", "decoder")
        return cls(*(fields[name] for name in names))


MACHINES = {path.stem: Machine.load(path) for path in sorted(_TABLES.glob("*.json"))}


def program(
    machine_name: str, pid: int, *, report: bool = False, requests: Iterable[int] = ()
) -> bytes:
    """The filter as BPF instructions.

    Args:
        pid: the only process that may be sent a signal.
        report: ask a listener about attempts; else those are refused like any other.
        requests: types of the ioctl requests of accelerators.

    Raises:
        SandboxError: there is no table for this machine.
    """
    machine = _machine(machine_name)
    attempt = _NOTIFY if report else _REFUSE
    judged = machine.judged
    code = _load_number(machine)
    code += _answer([judged["clone3"]], _ERRNO | errno.ENOSYS)  # libc falls back to clone
    code += _case(
        judged["clone"], [_argument(0), _op(_ANY_BIT, _NEW_NAMESPACE, 1, 0), *_verdict(attempt)]
    )
    code += _case(judged["ioctl"], _ioctl(requests))
    code += _case(
        judged["prctl"],
        [
            _argument(0),
            _op(_EQUAL, _PR_SET_DUMPABLE, 0, 3),
            _argument(1),
            _op(_EQUAL, 0, 0, 1 + len(_PRCTLS)),  # it may only be given up
            _op(_RETURN, _ALLOW),
            *_one_of(_PRCTLS),
        ],
    )
    code += _case(judged["prlimit64"], [_argument(0), _op(_EQUAL, 0, 0, 1), *_verdict()])
    code += _case(judged["tgkill"], [_argument(0), _op(_EQUAL, pid, 0, 1), *_verdict()])
    code += _answer([judged["kill"]], attempt)
    code += _case(judged["socketpair"], _pair())
    code += _case(judged["sendto"], _no_address(attempt))
    code += _case(judged["socket"], _socket(_NOTIFY if report else _NO_FAMILY))
    if report:
        code += _reports(machine)
    code += _answer(machine.allowed.values(), _ALLOW)
    return b"".join([*code, _op(_RETURN, _REFUSE)])


def without(machine_name: str, names: Iterable[str]) -> bytes:
    """A filter that refuses the named calls with EPERM and allows every other.

    Raises:
        SandboxError: there is no table for this machine.
    """
    machine = _machine(machine_name)
    numbers = {**machine.reported, **machine.decoder}
    there = [numbers[name] for name in names if name in numbers]  # not each processor has all
    code = _load_number(machine) + _answer(there, _REFUSE)
    return b"".join([*code, _op(_RETURN, _ALLOW)])


def _machine(name: str) -> Machine:
    if name not in MACHINES:
        known = ", ".join(MACHINES)
        raise SandboxError(f"seccomp: no table for {name}; expected one of {known}")
    return MACHINES[name]


def _load_number(machine: Machine) -> list[bytes]:
    """Load the call's number; under another machine's numbers, or x32's, no call is judged."""
    return [
        _op(_LOAD, _MACHINE_AT),
        _op(_EQUAL, machine.audit, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT),
        _op(_NOT_BELOW, _X32, 0, 1),
        _op(_RETURN, _REFUSE),
    ]


def opens(machine: Machine) -> dict[int, int]:
    """Numbers of the calls that open a file by name, and which argument the name is."""
    at = {"open": 0, "openat": 1}
    return {machine.allowed[name]: at[name] for name in at if name in machine.allowed}


def _ioctl(requests: Iterable[int]) -> list[bytes]:
    """The few of terminals and descriptors by number, those of accelerators by type."""
    return [
        _argument(1),
        *_answer(_IOCTLS, _ALLOW),
        _op(_AND, _REQUEST_TYPE),
        *_answer([kind << 8 for kind in requests], _ALLOW),
        _op(_RETURN, _REFUSE),
    ]


def _pair() -> list[bytes]:
    """Two ends of one connection. A pair of datagram sockets could send to any other by name."""
    return [
        _argument(0),
        _op(_EQUAL, _AF_UNIX, 1, 0),
        _op(_RETURN, _REFUSE),
        _argument(1),
        _op(_AND, _SOCKET_TYPE),
        *_one_of((_STREAM, _SEQPACKET)),
    ]


def _no_address(attempt: int) -> list[bytes]:
    """Only over a connection that is there: both halves of the address's pointer are zero."""
    return [
        _argument(4),
        _op(_EQUAL, 0, 0, 3),
        _op(_LOAD, _ARGUMENTS_AT + 8 * 4 + 4),
        _op(_EQUAL, 0, 0, 1),
        *_verdict(attempt),
    ]


def _socket(other: int) -> list[bytes]:
    """None is made. A look-up of a user's name tries AF_UNIX first, which is harmless."""
    return [
        _argument(0),
        _op(_EQUAL, _AF_UNIX, 1, 0),
        _op(_RETURN, other),
        _op(_RETURN, _NO_FAMILY),
    ]


def _reports(machine: Machine) -> list[bytes]:
    """What the listener is asked about: attempts, and opening for reading and writing.

    A camera's node is opened so, hardly anything else is; whether the name is
    one is for the listener to see, and the open goes on to the other layers if not.
    """
    code: list[bytes] = []
    for number, at in opens(machine).items():
        mask = _op(_AND, _O_ACCMODE | _O_CREAT)
        code += _case(
            number, [_argument(at + 1), mask, _op(_EQUAL, _O_RDWR, 1, 0), *_verdict(_NOTIFY)]
        )
    return code + _answer(machine.reported.values(), _NOTIFY)


def apply(pid: int, *, report: bool = False, requests: Iterable[int] = ()) -> int | None:
    """Put the filter on this thread and all that come from it; it cannot be taken off.

    Returns:
        With `report` the listener's descriptor, or None where the kernel has none to
        give: then everything is refused all the same, and nothing is reported.

    Raises:
        SandboxError: the kernel refused, or there is no table for this machine.
    """
    name = platform.machine()
    if report and can_report():
        code = program(name, pid, report=True, requests=requests)
        listener = _load(code, _FILTER_FLAG_NEW_LISTENER)
        if listener >= 0:
            return listener
    if _load(program(name, pid, requests=requests), 0) != 0:
        raise failure("seccomp: the kernel refused")
    return None


def can_report() -> bool:
    """Whether the kernel has listeners, as it does from 5.0 on, and their messages are known."""
    machine = MACHINES.get(platform.machine())
    sizes = (ctypes.c_uint16 * 3)()
    if machine is None:
        return False
    known = libc().syscall(machine.judged["seccomp"], _SECCOMP_GET_NOTIF_SIZES, 0, sizes) == 0
    return known and tuple(sizes) == NOTICE_SIZES


def refuse(names: Iterable[str]) -> None:
    """Refuse these calls to this process, all its threads, and whatever it starts.

    Raises:
        SandboxError: the kernel refused, or there is no table for this machine.
    """
    if _load(without(platform.machine(), names), _FILTER_FLAG_ALL_THREADS) != 0:
        raise failure("seccomp: the kernel refused")


def _load(code: bytes, flags: int) -> int:
    call = MACHINES[platform.machine()].judged["seccomp"]
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    flags |= _FILTER_FLAG_LOG
    return int(libc().syscall(call, _SECCOMP_SET_MODE_FILTER, flags, header))


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _argument(index: int) -> bytes:
    """Load the low half of an argument; every flag and command compared here fits in it."""
    return _op(_LOAD, _ARGUMENTS_AT + 8 * index)


def _verdict(refusal: int = _REFUSE) -> list[bytes]:
    """Allow, or with one instruction skipped, refuse."""
    return [_op(_RETURN, _ALLOW), _op(_RETURN, refusal)]


def _one_of(values: tuple[int, ...]) -> list[bytes]:
    """Allow if the loaded argument is one of `values`."""
    count = len(values)
    tests = [_op(_EQUAL, value, count - i, 0) for i, value in enumerate(values)]
    return [*tests, _op(_RETURN, _REFUSE), _op(_RETURN, _ALLOW)]


def _answer(values: Iterable[int], verdict: int) -> list[bytes]:
    """Return `verdict` for each of the values, if it is what is loaded."""
    return [op for value in values for op in _case(value, [_op(_RETURN, verdict)])]


def _case(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body` if the loaded call is `number`; a body always returns."""
    return [_op(_EQUAL, number, 0, len(body)), *body]
