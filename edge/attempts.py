"""How a matcher may try to leave its sandbox: a closed set, for the log takes no free text."""

from __future__ import annotations

from enum import Enum


class Attempt(Enum):
    """The kind of an attempt; the value is its name in the log."""

    CAMERA = "camera"  # opened a camera's node
    CONNECT = "connect"
    BIND = "bind"  # or listened, or accepted
    SEND = "send"  # to an address
    SOCKETS = "sockets"  # asked for ever more of them, each refused
    TRACE = "trace"  # another process, its memory or its descriptors
    NAMESPACE = "namespace"  # a new one, or one of others
    MOUNT = "mount"  # changed what is mounted, or opened a file past the mounts
    KERNEL = "kernel"  # loaded code into it


_CALLS = {
    Attempt.CONNECT: ("connect",),
    Attempt.BIND: ("bind", "listen", "accept", "accept4"),
    Attempt.SEND: ("sendto",),
    Attempt.SOCKETS: ("socket",),
    Attempt.TRACE: ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"),
    Attempt.NAMESPACE: ("clone", "unshare", "setns"),
    Attempt.MOUNT: (
        *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen"),
        "open_by_handle_at",
    ),
    Attempt.KERNEL: ("bpf", "init_module", "finit_module", "kexec_load"),
}
BY_CALL = {call: kind for kind, calls in _CALLS.items() for call in calls}
