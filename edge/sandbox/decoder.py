"""A sandbox for the process that decodes video, which anybody may have made.

Whatever source it opens, the process keeps no capability, gains none, and may
not trace, mount, load modules or make namespaces. Sources that need no network
get none, and only a GStreamer pipeline may start a program. A recording is
read under Landlock: the file itself and what the interpreter needs, nothing to
write. A layer that the kernel lacks is named, and the others hold all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.cameras.source import SourceKind, parse_source
from edge.errors import SandboxError
from edge.sandbox import landlock, privileges, seccomp
from edge.sandbox.spec import interpreter_reads

_NETWORK = ("socket", "connect", "bind", "listen", "accept", "accept4")
_PROGRAMS = ("execve", "execveat")
_NEVER = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "perf_event_open"),
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen"),
    *("setns", "unshare", "bpf", "userfaultfd", "io_uring_setup", "open_by_handle_at"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
    *("keyctl", "add_key", "request_key", "mknod", "mknodat", "iopl", "ioperm"),
    *("reboot", "swapon", "swapoff", "acct", "settimeofday", "clock_settime", "clock_adjtime"),
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a source must be left, to work at all."""

    network: bool = False
    programs: bool = False
    file: Path | None = None  # a recording: nothing else is read then

    @classmethod
    def of(cls, source: str) -> Needs:
        """By what kind of source it is.

        Raises:
            CameraError: it is none.
        """
        parsed = parse_source(source)
        match parsed.kind:
            case SourceKind.PIPELINE:
                return cls(network=True, programs=True)
            case SourceKind.STREAM:
                return cls(network=True)
            case SourceKind.FILE:
                return cls(file=Path(parsed.target))
        return cls()


def confine(needs: Needs) -> tuple[str, ...]:
    """Put every layer on this process, for good; call it before anything is opened.

    Returns:
        The layers that this kernel lacks, each in words.
    """
    lacking = []
    refused = [*_NEVER, *(() if needs.network else _NETWORK)]
    refused += () if needs.programs else _PROGRAMS
    layers: list[Callable[[], None]] = [
        partial(privileges.give_up, keep=(privileges.CAP_DAC_READ_SEARCH,))
    ]
    if needs.file is not None:
        own = Path("/proc/self").resolve()  # which libraries are mapped, and where
        reads = [*map(Path, interpreter_reads()), own, needs.file]
        layers.append(partial(landlock.restrict, reads, []))
    layers.append(partial(seccomp.refuse, refused))
    for layer in layers:
        try:
            layer()
        except SandboxError as err:
            lacking.append(str(err))
    return tuple(lacking)
