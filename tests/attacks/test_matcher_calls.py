"""The matcher's system call filter, read instruction by instruction for both machines."""

from __future__ import annotations

import errno
import struct

import pytest

from edge.errors import SandboxError
from edge.sandbox import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, ABSENT = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
ASK = 0x7FC00000
NO_FAMILY = 0x00050000 | errno.EAFNOSUPPORT
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {  # name: (x86_64, aarch64)
    "read": (0, 63),
    "connect": (42, 203),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "setns": (308, 268),
    "unshare": (272, 97),
    "io_uring_setup": (425, 425),
    "open_by_handle_at": (304, 265),
    "memfd_create": (319, 279),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "execveat": (322, 281),
    "kill": (62, 129),
    "futex": (202, 98),
    "openat": (257, 56),
}
PERMITTED = {"read", "futex", "openat"}


def judged(
    machine: str, number: int, *arguments: int, audit: int | None = None, report: bool = False
) -> int:
    """What the filter says of one call: classic BPF, as far as it is used here."""
    code = seccomp.program(machine, 4242, report=report)
    return judged_by(code, machine, number, *arguments, audit=audit)


def judged_by(
    program: bytes, machine: str, number: int, *arguments: int, audit: int | None = None
) -> int:
    """What a filter says to a call."""
    padded = (*arguments, *(0 for _ in range(6 - len(arguments))))
    data = struct.pack("IIQ6Q", number, audit or AUDIT[machine], 0, *padded)
    code = list(struct.iter_unpack("HBBI", program))
    at = held = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                (held,) = struct.unpack_from("I", data, value)
            case 0x15:
                at += if_true if held == value else if_false
            case 0x45:
                at += if_true if held & value else if_false
            case 0x54:
                held &= value
            case 0x35:
                at += if_true if held >= value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(f"unknown instruction {operation:#x}")


@pytest.mark.parametrize("column", [0, 1], ids=list(AUDIT))
@pytest.mark.parametrize("name", NUMBERS)
def test_a_call_passes_only_if_it_is_named(name: str, column: int) -> None:
    machine = list(AUDIT)[column]

    found = judged(machine, NUMBERS[name][column])

    assert found == (ALLOW if name in PERMITTED else REFUSE)


@pytest.mark.parametrize("machine", AUDIT)
def test_no_other_number_slips_through(machine: str) -> None:
    allowed = [number for number in range(1024) if judged(machine, number) == ALLOW]

    column = list(AUDIT).index(machine)
    asked = [number for number in range(1024) if judged(machine, number, report=True) == ALLOW]
    assert asked == allowed  # a listener is asked about what is refused, and about opening
    named = set(seccomp.MACHINES[machine].allowed.values())
    # clone, prlimit, and sendto over a connection: harmless when all is zero
    plain = {0: {56, 302, 44}, 1: {220, 261, 206}}[column]
    assert set(allowed) - plain <= named


CASES = [  # (x86_64, aarch64), arguments, verdict
    ((56, 220), (0x00010F00,), ALLOW),  # a thread
    ((56, 220), (17,), ALLOW),  # a child
    ((56, 220), (0x10000000 | 17,), REFUSE),  # a user namespace
    ((56, 220), (0x80,), REFUSE),  # a time namespace
    ((435, 435), (), ABSENT),
    ((16, 29), (0, 0x5401), ALLOW),
    ((16, 29), (0, 0x5412), REFUSE),  # TIOCSTI: words put into the operator's terminal
    ((157, 167), (15,), ALLOW),
    ((157, 167), (3,), ALLOW),
    ((157, 167), (4, 0), ALLOW),
    ((157, 167), (4, 1), REFUSE),  # readable by its like again
    ((157, 167), (22, 2), REFUSE),  # another seccomp mode
    ((302, 261), (0,), ALLOW),
    ((302, 261), (1,), REFUSE),  # another process's limits
    ((234, 131), (4242, 4243, 6), ALLOW),  # abort
    ((234, 131), (1, 1, 9), REFUSE),
    ((41, 198), (2, 1), NO_FAMILY),
    ((41, 198), (16, 3), NO_FAMILY),
    ((41, 198), (1, 1), NO_FAMILY),
    ((53, 199), (1, 1), ALLOW),
    ((53, 199), (1, 5 | 0o2000000), ALLOW),  # closed at exec
    ((53, 199), (1, 2), REFUSE),  # datagrams could go to any socket by its name
    ((53, 199), (1, 3), REFUSE),  # which is another word for datagrams
    ((53, 199), (2, 1), REFUSE),
    ((53, 199), (16, 1), REFUSE),
    ((44, 206), (3, 4096, 1, 0, 0, 0), ALLOW),
    ((44, 206), (3, 4096, 1, 0, 4096, 16), REFUSE),
    ((44, 206), (3, 4096, 1, 0, 1 << 32, 16), REFUSE),
]


REPORTS = [  # (x86_64, aarch64), arguments, verdict with a listener
    ((41, 198), (2,), ASK),  # TCP, UDP
    ((41, 198), (16,), ASK),  # netlink
    ((41, 198), (1,), NO_FAMILY),  # what a look-up of a user's name tries first
    ((42, 203), (3, 4096, 16), ASK),
    ((49, 200), (3, 4096, 16), ASK),
    ((50, 201), (3, 1), ASK),
    ((44, 206), (3, 4096, 1, 0, 4096, 16), ASK),
    ((44, 206), (3, 4096, 1, 0, 0, 0), ALLOW),
    ((101, 117), (16,), ASK),
    ((310, 270), (), ASK),
    ((438, 438), (), ASK),
    ((56, 220), (0x10000000 | 17,), ASK),
    ((56, 220), (17,), ALLOW),
    ((257, 56), (0, 0, 0o2), ASK),  # for reading and writing: as a camera is opened
    ((257, 56), (0, 0, 0o2 | 0o4000), ASK),
    ((257, 56), (0, 0, 0o2 | 0o100), ALLOW),  # a file of its own is made
    ((257, 56), (0, 0, 0), ALLOW),
    ((257, 56), (0, 0, 0o1), ALLOW),
    ((2, None), (0, 0o2), ASK),
    ((2, None), (0, 0), ALLOW),
    ((62, 129), (1, 9), ASK),  # a signal: to its own processes it goes on
]


@pytest.mark.parametrize("column", [0, 1], ids=list(AUDIT))
@pytest.mark.parametrize(("numbers", "arguments", "verdict"), REPORTS)
def test_a_listener_hears_of_attempts_and_of_nothing_else(
    numbers: tuple[int, int | None], arguments: tuple[int, ...], verdict: int, column: int
) -> None:
    number = numbers[column]
    if number is None:
        return  # that processor has no such call

    assert judged(list(AUDIT)[column], number, *arguments, report=True) == verdict
    unasked = judged(list(AUDIT)[column], number, *arguments)
    assert unasked in (verdict, REFUSE, NO_FAMILY, ALLOW)


@pytest.mark.parametrize("column", [0, 1], ids=list(AUDIT))
@pytest.mark.parametrize(("numbers", "arguments", "verdict"), CASES)
def test_arguments_decide_where_they_matter(
    numbers: tuple[int, int], arguments: tuple[int, ...], verdict: int, column: int
) -> None:
    assert judged(list(AUDIT)[column], numbers[column], *arguments) == verdict


def test_another_machines_calls_end_the_matcher() -> None:
    assert judged("x86_64", 0, audit=0x40000003) == KILL  # 32-bit x86: 0 is restart_syscall
    assert judged("x86_64", 0) == ALLOW


def test_the_second_set_of_x86_numbers_is_refused() -> None:
    assert judged("x86_64", 0x40000000) == REFUSE


def test_a_machine_without_a_table_has_no_filter() -> None:
    with pytest.raises(SandboxError, match="no table for riscv64"):
        seccomp.program("riscv64", 1)
