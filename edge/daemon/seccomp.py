"""The system calls a caged matcher may make, as a seccomp filter.

An allow-list: what is not named fails with EPERM. It holds what a Python
program with numpy, OpenCV and onnxruntime needs to compute, read files and
talk over sockets it was given; nothing that makes a socket, reads another
process, changes a mount or adds a namespace. Where arguments matter they are
compared too. The filter is classic BPF, assembled here for the machine it
runs on; numbers are those of the kernel's x86_64 and arm64 tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

from edge.errors import SandboxError

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000  # another machine's numbers: nothing in the list would mean what it says
_LOAD, _EQUAL, _ANY_BIT, _NOT_BELOW, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000  # x86_64 only: the same calls under other numbers

_SECCOMP_SET_MODE_FILTER = 1
_FILTER_FLAG_LOG = 2  # refusals go to the kernel's audit log where it keeps one

# CLONE_NEW*: NEWTIME is the lone low bit
_NEW_NAMESPACE = 0x7E020000 | 0x80
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminal, FIONREAD, FIO*
_PRCTLS = (3, 15, 16, 0x53564D41)  # get dumpable, thread name, mapping name
_PR_SET_DUMPABLE = 4

# name: (x86_64, arm64); None where the machine has no such call
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "close": (3, 57),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "stat": (4, None),
    "lstat": (6, None),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "open": (2, None),
    "openat": (257, 56),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rmdir": (84, None),
    "ftruncate": (77, 46),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "fcntl": (72, 25),
    "flock": (73, 32),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "umask": (95, 166),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "mincore": (27, 232),
    "msync": (26, 227),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "pause": (34, None),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "rseq": (334, 293),
    "arch_prctl": (158, None),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_setaffinity": (203, 122),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getpriority": (140, 141),
    "getcpu": (309, 168),
    "membarrier": (324, 283),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getrandom": (318, 278),
    "getitimer": (36, 102),
    "setitimer": (38, 103),
    "alarm": (37, None),
    "select": (23, None),
    "pselect6": (270, 72),
    "poll": (7, None),
    "ppoll": (271, 73),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd2": (290, 19),
    "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
}
_AF_UNIX = 1


@dataclass(frozen=True, slots=True)
class _Machine:
    audit: int  # AUDIT_ARCH_*
    column: int  # of _CALLS
    seccomp: int
    clone: int
    clone3: int
    ioctl: int
    prctl: int
    prlimit: int
    tgkill: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0, 317, 56, 435, 16, 157, 302, 234),
    "aarch64": _Machine(0xC00000B7, 1, 277, 220, 435, 29, 167, 261, 131),
}


def program(machine_name: str, pid: int) -> bytes:
    """The filter as BPF instructions; `pid` is the only process that may be sent a signal.

    Raises:
        SandboxError: there is no table for this machine.
    """
    machine = _MACHINES.get(machine_name)
    if machine is None:
        known = ", ".join(_MACHINES)
        raise SandboxError(f"seccomp: no table for {machine_name}; expected one of {known}")
    code = [
        _op(_LOAD, _MACHINE_AT),
        _op(_EQUAL, machine.audit, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT),
        _op(_NOT_BELOW, _X32, 0, 1),
        _op(_RETURN, _ERRNO | errno.EPERM),
    ]
    code += _case(machine.clone3, [_op(_RETURN, _ERRNO | errno.ENOSYS)])  # libc falls back to clone
    code += _case(machine.clone, [_argument(0), _op(_ANY_BIT, _NEW_NAMESPACE, 1, 0), *_verdict()])
    code += _case(machine.ioctl, [_argument(1), *_one_of(_IOCTLS)])
    code += _case(
        machine.prctl,
        [
            _argument(0),
            _op(_EQUAL, _PR_SET_DUMPABLE, 0, 3),
            _argument(1),
            _op(_EQUAL, 0, 0, 1 + len(_PRCTLS)),  # it may only be given up
            _op(_RETURN, _ALLOW),
            *_one_of(_PRCTLS),
        ],
    )
    code += _case(machine.prlimit, [_argument(0), _op(_EQUAL, 0, 0, 1), *_verdict()])
    code += _case(machine.tgkill, [_argument(0), _op(_EQUAL, pid, 0, 1), *_verdict()])
    pair = _CALLS["socketpair"][machine.column]
    assert pair is not None
    code += _case(pair, [_argument(0), _op(_EQUAL, _AF_UNIX, 0, 1), *_verdict()])
    for name, numbers in _CALLS.items():
        number = numbers[machine.column]
        if number is not None and name != "socketpair":
            code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ALLOW)]
    code.append(_op(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(code)


def apply(pid: int) -> None:
    """Put the filter on this thread and all that come from it; it cannot be taken off.

    Raises:
        SandboxError: the kernel refused, or there is no table for this machine.
    """
    name = platform.machine()
    code = program(name, pid)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    number = _MACHINES[name].seccomp
    if libc.syscall(number, _SECCOMP_SET_MODE_FILTER, _FILTER_FLAG_LOG, header) != 0:
        raise SandboxError(f"seccomp: the kernel refused: {os.strerror(ctypes.get_errno())}")


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _argument(index: int) -> bytes:
    """Load the low half of an argument; every flag and command compared here fits in it."""
    return _op(_LOAD, _ARGUMENTS_AT + 8 * index)


def _verdict() -> list[bytes]:
    """Allow, or with one instruction skipped, refuse."""
    return [_op(_RETURN, _ALLOW), _op(_RETURN, _ERRNO | errno.EPERM)]


def _one_of(values: tuple[int, ...]) -> list[bytes]:
    """Allow if the loaded argument is one of `values`."""
    count = len(values)
    tests = [_op(_EQUAL, value, count - i, 0) for i, value in enumerate(values)]
    return [*tests, _op(_RETURN, _ERRNO | errno.EPERM), _op(_RETURN, _ALLOW)]


def _case(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body` if the loaded call is `number`; a body always returns."""
    return [_op(_EQUAL, number, 0, len(body)), *body]
