"""The system calls a caged matcher may make, as a seccomp filter.

An allow-list: what is not named fails with EPERM. It holds what a Python
program with numpy, OpenCV and onnxruntime needs to compute, read files and
talk over sockets it was given; nothing that makes a socket, reads another
process, changes a mount or adds a namespace. Where arguments matter they are
compared too. Calls that only an attempt to get out would make (`REPORTED`) are
refused through a listener, where the kernel has those: `edge.sandbox.notifier`
answers them and tells the guard. The filter is classic BPF, assembled here for the machine it
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
_NOTIFY = 0x7FC00000  # ask the listener
_KILL = 0x80000000  # another machine's numbers: nothing in the list would mean what it says
_LOAD, _EQUAL, _ANY_BIT, _NOT_BELOW, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_AND = 0x54
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000  # x86_64 only: the same calls under other numbers

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_GET_NOTIF_SIZES = 3
_FILTER_FLAG_LOG = 2  # refusals go to the kernel's audit log where it keeps one
_FILTER_FLAG_NEW_LISTENER = 8
_REFUSE = _ERRNO | errno.EPERM

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
_O_ACCMODE, _O_RDWR, _O_CREAT = 0o3, 0o2, 0o100

# no program that computes and reads its own files makes one of these by accident
REPORTED: dict[str, tuple[int, int]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "setns": (308, 268),
    "unshare": (272, 97),
    "bpf": (321, 280),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
}
NOTICE_SIZES = (80, 24, 64)  # of what a listener reads, answers, and of the call in it
SOCKET = (41, 198)  # but for AF_UNIX, which name look-ups try: that is refused and not reported


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs between processors."""

    audit: int  # AUDIT_ARCH_*
    column: int  # of _CALLS
    seccomp: int
    clone: int
    clone3: int
    ioctl: int
    prctl: int
    prlimit: int
    tgkill: int


MACHINES = {
    "x86_64": Machine(0xC000003E, 0, 317, 56, 435, 16, 157, 302, 234),
    "aarch64": Machine(0xC00000B7, 1, 277, 220, 435, 29, 167, 261, 131),
}


def program(machine_name: str, pid: int, *, report: bool = False) -> bytes:
    """The filter as BPF instructions.

    Args:
        pid: the only process that may be sent a signal.
        report: ask a listener about `REPORTED` calls; else they are refused like any other.

    Raises:
        SandboxError: there is no table for this machine.
    """
    machine = MACHINES.get(machine_name)
    if machine is None:
        known = ", ".join(MACHINES)
        raise SandboxError(f"seccomp: no table for {machine_name}; expected one of {known}")
    attempt = _NOTIFY if report else _REFUSE
    code = [
        _op(_LOAD, _MACHINE_AT),
        _op(_EQUAL, machine.audit, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT),
        _op(_NOT_BELOW, _X32, 0, 1),
        _op(_RETURN, _REFUSE),
    ]
    code += _case(machine.clone3, [_op(_RETURN, _ERRNO | errno.ENOSYS)])  # libc falls back to clone
    code += _case(
        machine.clone, [_argument(0), _op(_ANY_BIT, _NEW_NAMESPACE, 1, 0), *_verdict(attempt)]
    )
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
    if report:
        code += _reports(machine)
    for name, numbers in _CALLS.items():
        number = numbers[machine.column]
        if number is not None and name != "socketpair":
            code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ALLOW)]
    code.append(_op(_RETURN, _REFUSE))
    return b"".join(code)


def opens(machine: Machine) -> dict[int, int]:
    """Numbers of the calls that open a file by name, and which argument the name is."""
    found = {_CALLS["open"][machine.column]: 0, _CALLS["openat"][machine.column]: 1}
    return {number: at for number, at in found.items() if number is not None}


def _reports(machine: Machine) -> list[bytes]:
    """What the listener is asked about: attempts, and opening for reading and writing.

    A camera's node is opened so, hardly anything else is; whether the name is
    one is for the listener to see, and the open goes on to the other layers if not.
    """
    code = _case(
        SOCKET[machine.column],
        [
            _argument(0),
            _op(_EQUAL, _AF_UNIX, 1, 0),
            _op(_RETURN, _NOTIFY),
            _op(_RETURN, _REFUSE),
        ],
    )
    for number, at in opens(machine).items():
        mask = _op(_AND, _O_ACCMODE | _O_CREAT)
        code += _case(
            number, [_argument(at + 1), mask, _op(_EQUAL, _O_RDWR, 1, 0), *_verdict(_NOTIFY)]
        )
    for numbers in REPORTED.values():
        code += [_op(_EQUAL, numbers[machine.column], 0, 1), _op(_RETURN, _NOTIFY)]
    return code


def apply(pid: int, *, report: bool = False) -> int | None:
    """Put the filter on this thread and all that come from it; it cannot be taken off.

    Returns:
        With `report` the listener's descriptor, or None where the kernel has none to
        give: then everything is refused all the same, and nothing is reported.

    Raises:
        SandboxError: the kernel refused, or there is no table for this machine.
    """
    if report and can_report():
        listener = _put(pid, report=True)
        if listener >= 0:
            return listener
    if _put(pid, report=False) != 0:
        raise SandboxError(f"seccomp: the kernel refused: {os.strerror(ctypes.get_errno())}")
    return None


def can_report() -> bool:
    """Whether the kernel has listeners, as it does from 5.0 on, and their messages are known."""
    machine = MACHINES.get(platform.machine())
    sizes = (ctypes.c_uint16 * 3)()
    if machine is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(machine.seccomp, _SECCOMP_GET_NOTIF_SIZES, 0, sizes) == 0 and (
        tuple(sizes) == NOTICE_SIZES
    )


def _put(pid: int, *, report: bool) -> int:
    name = platform.machine()
    code = program(name, pid, report=report)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    flags = _FILTER_FLAG_LOG | (_FILTER_FLAG_NEW_LISTENER if report else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(MACHINES[name].seccomp, _SECCOMP_SET_MODE_FILTER, flags, header))


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


def _case(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body` if the loaded call is `number`; a body always returns."""
    return [_op(_EQUAL, number, 0, len(body)), *body]
